"""What is remembered of a session's danger, whether or not the client sends the conversation along.

Levels and counts only, no words; in memory, for 24 hours, the least recently used out first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pe_ray.safety.triage import Sticky
from pe_ray.serve.schemas import InferenceRequest

KEEP_S = 24 * 3600.0
MAX_SESSIONS = 50_000


class Sessions:
    """States by client and session."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, Sticky]] = OrderedDict()

    def recall(self, request: InferenceRequest) -> Sticky | None:
        """The state before this message; None where none is known. A conversation that is sent along adds to it."""
        if request.session_id is None:
            return None
        kept = self._kept.get((request.client_id or "", request.session_id))
        if kept is None or self._clock() - kept[0] > KEEP_S:
            return None
        return kept[1]

    def remember(self, request: InferenceRequest, state: Sticky) -> None:
        """Keep the state after this message, if there is anything to keep."""
        if request.session_id is None or state.level < 2:
            return
        key = (request.client_id or "", request.session_id)
        self._kept[key] = (self._clock(), state)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_SESSIONS:
            self._kept.popitem(last=False)
