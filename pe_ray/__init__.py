"""pe_ray: build, serve and improve a therapeutic language model on Ray.

The rooms, top to bottom, are listed in README.md; `docs/design.md` says why they stand where they do.
"""

import os

# Threads of torch that spin while they wait for each other made a step up to 30 times slower on a busy machine with two
# cores. libgomp reads this when torch is loaded, so it must be set before; a value that the user gave stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
