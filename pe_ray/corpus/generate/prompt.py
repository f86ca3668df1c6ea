"""What the model is asked, word for word: a system message with the rules, and one user message with the specification.

The specification stands in the user message as JSON, so that nothing in it can be taken for an instruction, and so that
the offline provider can read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pe_ray.corpus.generate.personas import Card
from pe_ray.corpus.generate.protocol import Protocol
from pe_ray.corpus.generate.scenario import Specification
from pe_ray.record import Message, digest

MARK = "SPECIFICATION:\n"
"""What stands before the specification in the user message."""

FICTION = """\
You write fictional material from which therapists in training, and language models under their supervision, learn to \
answer well in hard moments. Every person is invented. You write with respect: no person is a type, and no age, \
culture, faith, body, gender or illness is made strange or laughed at. Language is everyday English, as spoken."""

EDGE_CASE = """\
Write one exchange: what the client says, and the therapist's next reply.

The client (60 to 140 words) speaks in the first person, with details of a life that fit the specification; what \
brings them is shown, not named with clinical words. The therapist (80 to 180 words) speaks to this client alone, \
warmly and plainly, one question at a time, and does everything under `must` that fits one reply. What stands under \
`after` is done after the session: never write it as speech. Nothing under `must_not` may appear anywhere, in the \
client's words neither.

Answer with one JSON object and nothing else:
{"client": "...", "therapist": "...", "purpose": "what a learner should see here, in at most 15 words", \
"expected_challenges": ["two to five short phrases"]}"""

DIALOGUE = """\
Write one dialogue of a client and a therapist, with `turns` turns in all. The client begins and the two alternate; \
the therapist has the last word. Each speaks as their card says: age, background, history and way of speaking stay \
true in every line, and neither knows what only the other's card says. `lines` are examples of the voice; do not \
repeat them. A turn has 15 to 80 words. The therapist listens, follows, asks one question at a time, gives no \
lecture, and does what stands under `must`. Nothing under `must_not` may appear.

Answer with one JSON object and nothing else:
{"turns": [{"speaker": "name on the card", "text": "..."}], "topic": "at most 8 words", "purpose": "what a learner \
should see here, in at most 15 words", "expected_challenges": ["two to five short phrases"]}"""

AGAIN = "Your last answer could not be used: {fault}. Keep to the format and to every rule."

WORDING = digest(FICTION, EDGE_CASE, DIALOGUE, AGAIN)
"""Changes when a word of the prompts does."""


def edge_case(specification: Specification, protocol: Protocol, fault: str = "") -> tuple[Message, ...]:
    """The request for one scenario; `fault` says why the last answer was not taken."""
    asked = {
        **specification.data,
        "meaning_of_difficulty": protocol.means,
        "must": [s.text for s in protocol.steps if s.spoken],
        "after": [s.text for s in protocol.steps if not s.spoken],
        "must_not": [p.text for p in protocol.must_not],
    }
    return _messages(EDGE_CASE, asked, fault)


def dialogue(
    specification: Specification, client: Card, therapist: Card, protocol: Protocol, fault: str = ""
) -> tuple[Message, ...]:
    """The request for one dialogue of two personas."""
    asked = {
        **specification.data,
        "client": _card(client),
        "therapist": _card(therapist),
        "must": [s.text for s in protocol.steps if s.spoken],
        "must_not": [p.text for p in protocol.must_not],
    }
    return _messages(DIALOGUE, asked, fault)


def specification_in(messages: tuple[Message, ...]) -> dict[str, Any]:
    """The specification that a request asks for."""
    body = messages[-1].text.partition(MARK)[2]
    found, _ = json.JSONDecoder().raw_decode(body)
    assert isinstance(found, dict)
    return found


def _messages(task: str, asked: Mapping[str, Any], fault: str) -> tuple[Message, ...]:
    again = "\n\n" + AGAIN.format(fault=fault) if fault else ""
    return (
        Message("system", f"{FICTION}\n\n{task}"),
        Message("user", MARK + json.dumps(asked, ensure_ascii=False, indent=1) + again),
    )


def _card(card: Card) -> dict[str, Any]:
    own = {"history": card.history, "beliefs": card.beliefs, "coping": card.coping, "lines": card.lines}
    return {"id": card.id, **card.public, **own}
