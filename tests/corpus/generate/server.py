"""A provider to test against: a real HTTP server that speaks OpenAI's, Anthropic's and Ollama's language.

    python -m tests.corpus.generate.server --port 8123         # prints its URL, then serves until it is ended

It writes varied, valid scenarios and dialogues, the same for the same request. How it behaves is the model's name:

| model | behaviour |
|---|---|
| good | answers |
| flaky | a fifth of all requests go wrong in ten different ways, by the request |
| slow | answers after 20 ms |
| down, silent, denied, missing, busy | 500; no answer at all; 401; 404; 429 with Retry-After: 7 |
| nonsense, empty, cut, refusing, same, harmful, dear | what the name says, inside a reply of the right form |

GET /stats tells how many requests came, and how often each scenario was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import zlib
from collections import Counter
from random import Random
from typing import Any

import uvicorn

MARK = "SPECIFICATION:\n"
FLAWS = ("429", "500", "503", "garbage", "nonsense", "empty", "cut", "refusing", "short", "cut_json")
THINGS = """ladder kettle bicycle ledger curtain violin harbour sweater lantern orchard tractor suitcase piano garage
drawer staircase ferry saddle greenhouse carpet stove mailbox balcony wardrobe trumpet canoe fence notebook mirror
radiator cellar hammock engine ribbon calendar telescope basket compass blanket chimney anchor pillow""".split()  # noqa: SIM905
PEOPLE = """sister uncle neighbour landlord coach nephew grandmother foreman cousin roommate midwife teacher captain
gardener butcher aunt brother nurse boss pastor tailor niece plumber librarian""".split()  # noqa: SIM905
DEEDS = """repaired carried painted hidden borrowed cleaned counted dropped wrapped polished sold folded buried measured
mended stacked emptied locked weighed sanded traded unpacked""".split()  # noqa: SIM905
TIMES = """Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April June July August
September October November December Easter midsummer""".split()  # noqa: SIM905
STEPS = {
    "in plain words": "Are you having thoughts of suicide?",
    "harming somebody": "Are you thinking of hurting someone?",
    "intent, plan": "Do you have a plan for it?",
    "safe to talk": "Is it safe to talk where you are now?",
    "crisis service": "A crisis line answers day and night.",
    "stays private": "I will be honest about what stays confidential.",
    "reporting law": "This I have to report, and we can do it side by side.",
    "duty to warn": "There is a duty to protect everybody here.",
    "medical care": "A doctor should look at this with you today.",
    "physician": "A doctor should look at this with you.",
    "safety plan": "Let us write a safety plan.",
    "Stay in contact": "I will stay with you until someone is there.",
}
"""What a therapist says where a step of the protocol holds these words."""


class Server:
    """The behaviours, and what was asked of them."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.keys: set[str] = set()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/stats":
            stats = {"requests": self.requests, "answered": self.answered, "keys": sorted(self.keys)}
            await _send(send, 200, stats)
            return
        raw, more = b"", True
        while more:
            part = await receive()
            raw += part.get("body", b"")
            more = part.get("more_body", False)
        status, reply, headers = await self.reply(scope, json.loads(raw))
        await _send(send, status, reply, headers)

    async def reply(self, scope: Any, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers for one request."""
        sent = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.keys.add(sent.get("authorization") or sent.get("x-api-key") or "")
        model = body["model"]
        self.requests[model] += 1
        if model == "silent":
            await asyncio.sleep(3600)
        if model == "slow":
            await asyncio.sleep(0.02)
        if refused := {"down": 500, "denied": 401, "missing": 404, "busy": 429}.get(model):
            return refused, {"error": {"type": f"error_{refused}", "message": "no"}}, {"retry-after": "7"}
        words = body["messages"][-1]["content"]
        asked = json.loads(words.partition(MARK)[2].partition("\n\nYour last answer")[0])
        seed = (body.get("options") or body).get("seed", 0)
        flaw = _flaw(json.dumps(asked, sort_keys=True), seed) if model == "flaky" else model
        if flaw in ("429", "500", "503"):
            return int(flaw), {"error": {"type": "overloaded", "message": "busy"}}, {"retry-after": "0"}
        if flaw == "garbage":
            return 200, b"<html>gateway</html>", {}
        text, finish = _text(flaw, asked, seed)
        if flaw in ("good", "slow", "dear"):
            self.answered[str(zlib.crc32(json.dumps(asked, sort_keys=True).encode()))] += 1
        tokens = (10**6, 10**6) if model == "dear" else (len(words) // 4, len(text) // 4)
        return 200, _form(scope["path"], text, finish, *tokens), {}


def _flaw(asked: str, seed: int) -> str:
    at = zlib.crc32(f"{asked}/{seed}".encode()) % 100
    return FLAWS[at % len(FLAWS)] if at < 20 else "good"


def _text(flaw: str, asked: dict[str, Any], seed: int) -> tuple[str, str]:
    if flaw == "nonsense":
        return "zx " * 50, "stop"
    if flaw == "empty":
        return "", "stop"
    if flaw == "refusing":
        return "I'm sorry, but I can't help with that.", "stop"
    if flaw == "short":
        return json.dumps(
            {"client": "No.", "therapist": "Yes.", "purpose": "none", "expected_challenges": ["x"]}
        ), "stop"
    random = Random("same" if flaw == "same" else json.dumps(asked, sort_keys=True))
    answer = dialogue(asked, random) if "turns" in asked else edge_case(asked, random)
    if flaw == "harmful":
        answer["therapist"] = answer["therapist"] + " You clearly have bipolar disorder."
    text = json.dumps(answer, ensure_ascii=False)
    if flaw in ("cut", "cut_json"):
        return text[: len(text) // 2], "length" if flaw == "cut" else "stop"
    return f"Here it is:\n```json\n{text}\n```" if seed % 3 == 0 else text, "stop"


def edge_case(asked: dict[str, Any], random: Random) -> dict[str, Any]:
    """A scenario of invented things, other ones for each specification."""
    said = [_sentence(random) for _ in range(5)]
    steps = dict.fromkeys(says for words, says in STEPS.items() if any(words in m for m in asked["must"]))
    thing = re.findall(r"the (\w+)", said[0])[-1]
    return {
        "client": " ".join(said),
        "therapist": f"The {thing}, and what your people say about it: {said[1]} {' '.join(steps)}",
        "purpose": f"hearing what the {thing} stands for",
        "expected_challenges": [asked["manner"], "staying with the picture"],
    }


def dialogue(asked: dict[str, Any], random: Random) -> dict[str, Any]:
    """A dialogue of the two cards."""
    names = (asked["client"]["name"], asked["therapist"]["name"])
    turns = [{"speaker": names[i % 2], "text": _sentence(random)} for i in range(asked["turns"])]
    return {"turns": turns, "topic": "invented things", "purpose": "listening", "expected_challenges": ["patience"]}


def _sentence(random: Random) -> str:
    a, b = random.sample(THINGS, 2)
    who, other = random.sample(PEOPLE, 2)
    deed, when = random.choice(DEEDS), random.choice(TIMES)
    forms = (
        f"Last {when} my {who} {deed} the {a} beside the {b} while the {other} watched in silence.",
        f"Ever since {when} I keep wondering why the {other} {deed} the {a} and left the {b} to my {who}.",
        f"My {who} tells everybody that the {a} was {deed} by the {other}, and nobody mentions the {b}.",
        f"If the {other} had only {deed} the {b} before {when}, my {who} would still sit beside the {a}.",
    )
    return random.choice(forms)


def _form(path: str, text: str, finish: str, prompt: int, reply: int) -> dict[str, Any]:
    if path == "/v1/messages":
        return {
            "content": [{"type": "text", "text": text}],
            "stop_reason": "max_tokens" if finish == "length" else "end_turn",
            "usage": {"input_tokens": prompt, "output_tokens": reply},
        }
    if path == "/api/chat":
        return {
            "message": {"role": "assistant", "content": text},
            "done_reason": finish,
            "prompt_eval_count": prompt,
            "eval_count": reply,
        }
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": reply},
    }


async def _send(send: Any, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"content-type": "application/json", "content-length": str(len(raw)), **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in lines.items()],
        }
    )
    await send({"type": "http.response.body", "body": raw})


def main() -> None:
    """Serve on a port of this machine; 0 takes a free one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", parser.parse_args().port))
    listener.listen(128)  # from here on a client waits and is not refused
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(Server().app, log_level="error", lifespan="off", interface="asgi3")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
