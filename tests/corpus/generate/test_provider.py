"""Three languages over real HTTP, keys that go nowhere else, and faults that say whether asking again makes sense."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate import prompt, protocol, scenario
from pe_ray.corpus.generate.answer import edge_case
from pe_ray.corpus.generate.provider import Completion, ProviderFault, anthropic, connect, ollama, openai
from pe_ray.corpus.generate.provider.http import retry_after_s
from pe_ray.errors import ConfigError
from pe_ray.record import Message

PROTOCOLS = protocol.load()
SPECIFICATION = scenario.edge_cases(GenerateConfig())[0].specifications[0]
MESSAGES = prompt.edge_case(SPECIFICATION, PROTOCOLS.of("suicidality", "moderate"))


def ask(config: GenerateConfig, environ: dict[str, str] | None = None) -> Completion:
    """One request."""

    async def go() -> Completion:
        provider = connect(config, PROTOCOLS, environ or {})
        try:
            return await provider.complete(MESSAGES, 500, 0.5, 7)
        finally:
            await provider.close()

    return asyncio.run(go())


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1"), ("anthropic", ""), ("ollama", "")])
def test_each_language_is_spoken_over_http(
    settings: Callable[..., GenerateConfig], provider_url: str, provider: str, path: str
) -> None:
    found = ask(settings("good", provider=provider, base_url=provider_url + path))
    assert edge_case(found.text).purpose
    assert found.finish == "stop"
    assert found.prompt_tokens == len(MESSAGES[1].text) // 4
    assert found.completion_tokens
    assert ask(settings("cut", provider=provider, base_url=provider_url + path)).finish == "length"


@pytest.mark.parametrize(
    ("model", "said", "fatal", "charged", "retry_after_s"),
    [
        ("down", r"answers 500 \(error_500\)", False, False, 7),
        ("busy", "answers 429", False, False, 7),
        ("denied", "answers 401", True, False, None),
        ("missing", "answers 404", True, False, None),
        ("silent", "no answer within 0.2 s", False, True, None),
    ],
)
def test_a_fault_says_whether_to_ask_again_and_whether_it_may_have_cost(
    settings: Callable[..., GenerateConfig], model: str, said: str, fatal: bool, charged: bool, retry_after_s: Any
) -> None:
    with pytest.raises(ProviderFault, match=said) as caught:
        ask(settings(model, timeout_s=0.2))
    found = caught.value
    assert (found.fatal, found.charged, found.retry_after_s) == (fatal, charged, retry_after_s)


def test_nobody_listens(settings: Callable[..., GenerateConfig]) -> None:
    with pytest.raises(ProviderFault, match=r"no connection to 127\.0\.0\.1:9") as caught:
        ask(settings("good", base_url="http://127.0.0.1:9/v1"))
    assert not caught.value.charged


def test_a_key_goes_into_its_header_and_nowhere_else(
    settings: Callable[..., GenerateConfig],
    stats: Callable[[], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "sk-very-secret-0123"
    with caplog.at_level(logging.DEBUG):
        ask(settings("good"), {"OPENAI_API_KEY": f" {key}\n"})
        with pytest.raises(ProviderFault) as caught:
            ask(settings("denied"), {"OPENAI_API_KEY": key})
    assert f"Bearer {key}" in stats()["keys"]
    assert key not in caplog.text + repr(caught.value) + str(settings("good"))


@pytest.mark.parametrize(
    ("changes", "environ", "said"),
    [
        ({"base_url": ""}, {}, "OPENAI_API_KEY is not set"),
        ({"base_url": "", "provider": "anthropic"}, {}, "ANTHROPIC_API_KEY is not set"),
        ({"base_url": "http://far.example/v1"}, {"OPENAI_API_KEY": "k"}, "over the network unencrypted"),
        ({}, {"OPENAI_API_KEY": "a\nb"}, "holds characters that no key has"),
        ({}, {"OPENAI_API_KEY": "schlüssel"}, "holds characters that no key has"),
    ],
)
def test_a_key_that_is_missing_or_in_danger_is_said_before_anything_is_sent(
    settings: Callable[..., GenerateConfig], changes: dict[str, Any], environ: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        connect(settings("good", **changes), PROTOCOLS, environ)


def test_the_body_of_a_request_can_be_changed_and_shortened() -> None:
    body = openai.DIALECT.body("m", [Message("user", "x")], 5, 0.5, 7)
    assert body["max_tokens"] == 5
    config = GenerateConfig(
        provider="openai",
        model="m",
        prices={"m": {"input": 0, "output": 0}},
        extra_body={"max_tokens": None, "top_p": 1},
    )
    laid = {k: v for k, v in {**body, **config.extra_body}.items() if v is not None}
    assert "max_tokens" not in laid
    assert laid["top_p"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": "x"},
        {"content": "x"},
        {"content": [None]},
        {"message": {}},
        {"message": "x"},
    ],
)
def test_a_body_that_is_not_the_provider_s_never_becomes_a_traceback(body: Any) -> None:
    for dialect in (openai.DIALECT, anthropic.DIALECT, ollama.DIALECT):
        with pytest.raises((KeyError, TypeError, IndexError, AttributeError, ValueError)):
            dialect.read(json.loads(json.dumps(body)))


def test_counts_that_are_no_counts_are_not_taken() -> None:
    def usage(value: Any) -> Completion:
        reply = {"choices": [{"message": {"content": None}}], "usage": {"prompt_tokens": value, "completion_tokens": 3}}
        return openai.DIALECT.read(reply)

    assert usage(5).prompt_tokens == 5
    assert all(usage(v).prompt_tokens is None for v in ("5", -1, True, 1e3, 10**12, None))
    assert usage(5).text == ""
    refused = {"choices": [{"message": {"content": None, "refusal": "no"}}]}
    assert openai.DIALECT.read(refused).finish == "refusal"
    assert openai.DIALECT.read(refused).completion_tokens is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0.5", 0.5), ("Thu, 01 Jan 2026 00:00:30 GMT", 30), ("Wed, 31 Dec 2025 00:00:00 GMT", 0)]
    + [(v, None) for v in ("", "soon", "-5", "nan", "9" * 40)],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}, datetime(2026, 1, 1, tzinfo=UTC)) == seconds
