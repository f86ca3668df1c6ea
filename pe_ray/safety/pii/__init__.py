"""Personal data: found in three tiers, and replaced by stand-ins that are the same wherever the value is the same.

    text, counts = replace("Call Anna Smith on 020 7946 0018", key)

1. A gate: nearly all plain text ends here, after a few microseconds.
2. Patterns with validators, and names by cue and by Faker's lists.
3. On request, presidio's pattern recognisers (extra `pii`), and a model of names from a folder on this machine.

Nothing here opens a socket. Crisis lines, toll-free numbers and the addresses of those who help are kept. This is a
help against careless disclosure and no proof of anonymity: `coverage` lists the identifiers of HIPAA's Safe Harbor and
says plainly which are not looked for, and `phi` measures the rest on made-up data.
"""

from pe_ray.safety.pii.masking import Tier, find, may_hold, replace
from pe_ray.safety.pii.spans import TYPES, Span

__all__ = ["TYPES", "Span", "Tier", "find", "may_hold", "replace"]
