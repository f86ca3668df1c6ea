import asyncio

import pytest

from pe_ray.safety import triage
from pe_ray.serve.engine.base import EngineBusy, EngineFailed
from pe_ray.serve.gateway import EngineTimeout, InputTooLong, JournalUnavailable
from pe_ray.serve.schemas import InferenceRequest, Turn

pytestmark = pytest.mark.anyio
CRISIS = "I'm going to kill myself tonight"
GOOD = "That sounds hard. What was the worst moment?"


def asked(text: str = "I argue with my sister.", **more) -> InferenceRequest:
    return InferenceRequest(user_input=text, **more)


async def pieces(gateway, request) -> list:
    return [p async for p in gateway.stream(request)]


async def test_an_ordinary_reply_and_its_prompt(place):
    here = place()
    reply = await here.gateway.infer(
        asked(
            conversation_history=(Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello")),
            system_prompt="Be brief.",
            max_new_tokens=9,
        )
    )
    assert (reply.response, reply.cache_hit, reply.safety.level, reply.safety.action) == (GOOD, False, 0, "none")
    assert reply.tokens_generated == len(GOOD.split())
    assert reply.metadata["model"] == "scripted@1"
    prompt = here.engine.asked[0]
    assert [m.role for m in prompt.messages] == ["system", "user", "assistant", "user"]
    assert (prompt.max_new_tokens, prompt.temperature) == (9, 0.0)
    assert here.entries() == []


async def test_danger_is_answered_without_the_model_and_journalled(place):
    here = place()
    reply = await here.gateway.infer(asked(CRISIS, client_id="ada", session_id="s1"))
    assert (reply.safety.level, reply.safety.action, reply.cache_hit) == (4, "safe_reply", False)
    assert "911" in reply.response
    assert {r.locale for r in reply.safety.resources} == {"US"}
    assert here.engine.asked == []
    (entry,) = here.entries()
    assert (entry.kind, entry.client_id, entry.response_id) == ("crisis", "ada", reply.response_id)
    assert entry.body["text"] == CRISIS
    assert entry.body["level"] == 4
    assert len(here.gateway.cache) == 0


async def test_a_crisis_without_a_name_is_journalled_without_words(place):
    here = place()
    await here.gateway.infer(asked(CRISIS))
    (entry,) = here.entries()
    assert entry.client_id == "anonymous"
    assert entry.body["classes"] == ["suicide_self_harm"]
    assert not {"text", "response"} & set(entry.body)


async def test_the_country_of_the_request_decides_whom_to_call(place):
    here = place()
    british = await here.gateway.infer(asked(CRISIS, locale="en-GB"))
    unknown = await here.gateway.infer(asked(CRISIS, locale="XX"))
    assert "999" in british.response
    assert not any(c.isdigit() for c in unknown.response)


async def test_the_same_question_comes_from_the_cache_until_its_time(place):
    here = place("First.", "Second.", cache_ttl_s=60)
    replies = [await here.gateway.infer(asked()) for _ in range(2)]
    assert [(r.response, r.cache_hit, r.tokens_generated) for r in replies] == [
        ("First.", False, 1),
        ("First.", True, 0),
    ]
    assert replies[0].response_id != replies[1].response_id
    here.now += 61
    assert (await here.gateway.infer(asked())).response == "Second."


@pytest.mark.parametrize(
    "change",
    [
        {"use_cache": False},
        {"temperature": 0.5},
        {"max_new_tokens": 5},
        {"system_prompt": "Be brief."},
        {"conversation_history": (Turn(role="user", content="Hi"),)},
    ],
)
async def test_another_question_is_another_reply(place, change):
    here = place("First.", "Second.")
    await here.gateway.infer(asked())
    assert (await here.gateway.infer(asked(**change))).response == "Second."


async def test_a_conversation_is_cached_for_its_client_alone(place):
    here = place("For Ada.", "For Bob.")
    history = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello"))
    ask = [asked(conversation_history=history, client_id=c) for c in ("ada", "bob", "ada")]
    replies = [await here.gateway.infer(a) for a in ask]
    assert [r.response for r in replies] == ["For Ada.", "For Bob.", "For Ada."]
    assert [r.cache_hit for r in replies] == [False, False, True]


async def test_sampled_and_grave_replies_are_never_kept(place):
    here = place()
    for request in (asked(temperature=1.0), asked("I wish I was dead"), asked(CRISIS), asked("My sister wants to die")):
        await here.gateway.infer(request)
    assert len(here.gateway.cache) == 0


async def test_a_hit_is_judged_again(place, monkeypatch):
    from pe_ray.safety.output import OutputJudgement
    from pe_ray.serve import gateway as module

    here = place("First.", "Second.")
    await here.gateway.infer(asked())
    strict = lambda text, **_: OutputJudgement("blocked", ("new@1",)) if "First" in text else OutputJudgement("none")  # noqa: E731
    monkeypatch.setattr(module.output, "judge", strict)
    reply = await here.gateway.infer(asked())
    assert (reply.response, reply.cache_hit) == ("Second.", False)


async def test_a_blocked_reply_is_generated_once_more(place):
    here = place("You have bipolar disorder.", GOOD)
    reply = await here.gateway.infer(asked())
    assert (reply.response, reply.safety.action) == (GOOD, "none")
    assert reply.safety.rules == ("output.diagnosis@1",)
    assert [r.temperature for r in here.engine.asked] == [0.0, 0.7]
    assert len(here.gateway.cache) == 0


@pytest.mark.parametrize("words", ["Double your dose.", "  "])
async def test_a_reply_blocked_twice_is_replaced(place, words):
    here = place(words)
    reply = await here.gateway.infer(asked())
    assert reply.safety.action == "blocked"
    assert reply.metadata["finish_reason"] == "content_filter"
    assert "dose" not in reply.response
    assert reply.response.strip()
    assert len(here.engine.asked) == 2


async def test_the_system_prompt_does_not_come_out(place):
    secret = "You are the night assistant of the harbour clinic and you answer in short sentences."
    here = place(f"I was told: {secret}")
    reply = await here.gateway.infer(asked(system_prompt=secret))
    assert reply.safety.action == "blocked"
    assert "harbour" not in reply.response


async def test_level_two_keeps_the_models_words_and_adds_what_must_not_be_missing(place):
    here = place()
    reply = await here.gateway.infer(asked("I wish I was dead", client_id="ada"))
    assert reply.safety.action == "resources"
    assert reply.response.startswith(GOOD)
    assert "killing yourself?" in reply.response
    assert "988" in reply.response
    assert here.entries()[0].kind == "crisis"


async def test_a_demonstration_base_does_not_speak_at_level_two(place):
    here = place(demo=True)
    reply = await here.gateway.infer(asked("I wish I was dead"))
    assert reply.safety.action == "safe_reply"
    assert here.engine.asked == []
    assert (await here.gateway.infer(asked())).metadata["demo_base"] is True


async def test_a_session_remembers_its_danger(place):
    here = place()
    await here.gateway.infer(asked(CRISIS, session_id="s1"))
    then = await here.gateway.infer(asked("What a nice day", session_id="s1"))
    other = await here.gateway.infer(asked("What a nice day", session_id="s2"))
    assert (then.safety.level, then.safety.action) == (4, "safe_reply")
    assert other.safety.level == 0
    here.now += 25 * 3600
    assert (await here.gateway.infer(asked("What a nice day", session_id="s1"))).safety.level == 0


async def test_a_yes_to_the_models_question_is_heard(place):
    here = place()
    history = (
        Turn(role="user", content="I wish I was dead"),
        Turn(role="assistant", content="Are you having thoughts of killing yourself?"),
    )
    reply = await here.gateway.infer(asked("Yes. Every day.", conversation_history=history))
    assert reply.safety.level >= 3
    assert "suicide.answer_yes@1" in reply.safety.rules


async def test_triage_that_fails_gives_the_safe_reply(place, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("marmalade")

    monkeypatch.setattr(triage, "assess", broken)
    here = place()
    reply = await here.gateway.infer(asked("marmalade", client_id="ada"))
    assert (reply.safety.action, reply.safety.rules) == ("safe_reply", ("triage.failed@1",))
    assert "988" in reply.response
    assert here.engine.asked == []
    assert here.entries()[0].kind == "crisis"


async def test_in_danger_the_reply_does_not_wait_for_the_engine(place):
    here = place()

    async def away():
        raise EngineFailed("away")

    here.engine.info = away
    assert (await here.gateway.infer(asked(CRISIS))).safety.action == "safe_reply"
    with pytest.raises(EngineFailed):
        await here.gateway.infer(asked())


async def test_a_tracked_reply_is_on_disk_before_it_leaves(place):
    here = place()
    reply = await here.gateway.infer(asked(client_id="ada", session_id="s1", track_progress=True))
    (entry,) = here.entries()
    assert (entry.kind, entry.session_id, entry.response_id) == ("message", "s1", reply.response_id)
    assert entry.body["response"] == reply.response
    assert reply.metadata["journalled"] is True


async def test_a_full_disk_is_no_acknowledgement(place):
    here = place()
    here.outbox.put = lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    with pytest.raises(JournalUnavailable):
        await here.gateway.infer(asked(client_id="ada", track_progress=True))
    crisis = await here.gateway.infer(asked(CRISIS, client_id="ada"))
    assert (crisis.safety.action, crisis.metadata["journalled"]) == ("safe_reply", False)
    del here.outbox.put


async def test_a_failed_engine_is_asked_once_more(place):
    here = place(EngineFailed("gone"), GOOD)
    assert (await here.gateway.infer(asked())).response == GOOD
    here.engine.says = [EngineFailed("gone")]
    with pytest.raises(EngineFailed):
        await here.gateway.infer(asked("Another thing."))
    assert len(here.engine.asked) == 4


async def test_overload_and_slowness_are_told_apart(place):
    with pytest.raises(EngineBusy):
        await place(EngineBusy("full")).gateway.infer(asked())


async def test_an_engine_that_is_too_slow_is_given_up(home):
    from tests.serve.conftest import Place, Scripted

    here = Place(home, Scripted(GOOD, pause_s=5), timeout_s=0.05)
    with pytest.raises(EngineTimeout):
        await here.gateway.infer(asked())
    with pytest.raises(EngineTimeout):
        await pieces(here.gateway, asked())
    here.outbox.close()


async def test_a_long_message_is_refused_before_anything_else(place):
    here = place(max_input_chars=100)
    with pytest.raises(InputTooLong):
        await here.gateway.infer(asked("x" * 101))
    with pytest.raises(InputTooLong):
        await here.gateway.infer(asked(conversation_history=(Turn(role="user", content="x" * 101),)))


async def test_a_stream_says_what_a_reply_says(place):
    here = place()
    sent = await pieces(here.gateway, asked(client_id="ada", track_progress=True))
    assert "".join(p.text for p in sent) == GOOD
    assert [p.reply is None for p in sent] == [True] * (len(sent) - 1) + [False]
    assert len(sent) == 3
    assert here.entries()[0].body["response"] == GOOD
    again = await pieces(here.gateway, asked())
    assert again[-1].reply.cache_hit
    assert again[0].text == GOOD


@pytest.mark.parametrize("text", [CRISIS, "I wish I was dead"])
async def test_a_stream_in_danger_comes_in_one_piece(place, text):
    here = place()
    first, last = await pieces(here.gateway, asked(text))
    assert first.text == last.reply.response
    assert "988" in first.text


async def test_a_stream_stops_before_what_must_not_be_said(place):
    here = place("I hear you. You have bipolar disorder. Take 50 mg of lithium.")
    sent = "".join(p.text for p in await pieces(here.gateway, asked()))
    assert sent.startswith("I hear you.")
    assert "bipolar" not in sent
    assert "lithium" not in sent
    assert "Could you tell me a little more" in sent


async def test_a_stream_that_begins_badly_is_generated_once_more(place):
    here = place("You have bipolar disorder.", "You have bipolar disorder.", GOOD)
    sent = await pieces(here.gateway, asked())
    assert "".join(p.text for p in sent) == GOOD
    assert sent[-1].reply.safety.action == "none"


async def test_a_stream_is_retried_only_before_its_first_token(place):
    here = place(EngineFailed("gone"), GOOD)
    assert "".join(p.text for p in await pieces(here.gateway, asked())) == GOOD


async def test_with_a_real_model_equal_questions_get_equal_replies(home, engine):
    from tests.serve.conftest import Place

    here = Place(home, engine, max_new_tokens=12)
    one, two = await asyncio.gather(
        here.gateway.infer(asked("Hello", use_cache=False)), here.gateway.infer(asked("Hello", use_cache=False))
    )
    assert one.response == two.response
    assert one.safety.action in ("none", "blocked")
    here.outbox.close()
