"""pe_ray: build, serve and improve a therapeutic language model on Ray.

The rooms, top to bottom, are listed in README.md; `docs/design.md` says why they stand where they do.
"""

__version__ = "0.1.0"
