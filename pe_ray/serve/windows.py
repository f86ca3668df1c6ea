"""Streaming in judged windows: a sentence leaves when everything up to its end has passed the output filter.

What has left cannot be taken back, so the last, unfinished sentence always waits. A text without sentences leaves in
steps that stay behind by more than any rule looks at.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pe_ray.safety.output import OutputJudgement
from pe_ray.serve.engine.base import TokenEvent

SENTENCE_END = re.compile(r"[.!?…][\"')\]]*(?=\s)|\n")
LONGEST_WAIT = 480
STAY_BEHIND = 240


class Windows:
    """Collects a reply and releases what may be said."""

    def __init__(self, judge: Callable[[str], OutputJudgement]) -> None:
        self._judge = judge
        self.text, self.released = "", ""
        self.tokens, self.prompt_tokens, self.finish = 0, 0, "length"
        self.rules: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether the filter has refused what was written."""
        return bool(self.rules)

    def add(self, event: TokenEvent) -> None:
        """Take what the engine wrote next."""
        self.text = (self.text + event.text).lstrip() if not self.text.strip() else self.text + event.text
        self.tokens += event.tokens
        self.prompt_tokens = max(self.prompt_tokens, event.prompt_tokens)
        self.finish = event.finish or self.finish

    def release(self) -> str:
        """What may be sent now; empty while the next sentence is unfinished or once the filter refused."""
        return self._pass(self._end_of_window())

    def rest(self) -> str:
        """What is left at the end, if it passes."""
        self.text = self.text.rstrip()
        return self._pass(len(self.text), final=True)

    def _pass(self, end: int, final: bool = False) -> str:
        if self.blocked or (end <= len(self.released) and not final):
            return ""
        judged = self._judge(self.text[:end])
        self.rules = judged.rules
        if judged.blocked:
            return ""
        piece, self.released = self.text[len(self.released) : end], self.text[:end]
        return piece

    def _end_of_window(self) -> int:
        start = len(self.released)
        ends = [m.end() for m in SENTENCE_END.finditer(self.text, start)]
        if ends:
            return ends[-1]
        if len(self.text) - start > LONGEST_WAIT:
            return self.text.rfind(" ", start, len(self.text) - STAY_BEHIND) + 1 or start
        return start
