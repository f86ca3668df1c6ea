import pytest
from pydantic import ValidationError

from pe_ray.serve.schemas import ChatRequest, InferenceRequest


def test_an_inference_needs_words_only():
    asked = InferenceRequest(user_input="hello")
    assert (asked.use_cache, asked.track_progress, asked.max_new_tokens) == (True, False, None)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"user_input": ""}, "text_blank"),
        ({"user_input": " \n "}, "text_blank"),
        ({"user_input": 5}, "string_type"),
        ({"user_input": "a\x00"}, "text_not_storable"),
        ({"user_input": "x" * 100_001}, "string_too_long"),
        ({"client_id": "../etc"}, "string_pattern_mismatch"),
        ({"max_new_tokens": 0}, "greater_than"),
        ({"max_new_tokens": 1.5}, "int_type"),
        ({"max_new_tokens": True}, "int_type"),
        ({"temperature": 2.1}, "less_than_equal"),
        ({"temperature": "1"}, "float_type"),
        ({"use_cache": "yes"}, "bool_type"),
        ({"track_progress": True}, "client_id_missing"),
        ({"conversation_history": [{"role": "wizard", "content": "x"}]}, "literal_error"),
        ({"conversation_history": [{"role": "user", "content": "x"}] * 201}, "too_long"),
        ({"locale": "english"}, "string_pattern_mismatch"),
        ({"user_inputs": "x"}, "extra_forbidden"),
    ],
)
def test_what_does_not_fit_is_refused_by_kind(change, kind):
    with pytest.raises(ValidationError) as caught:
        InferenceRequest.model_validate({"user_input": "hello"} | change)
    assert kind in {e["type"] for e in caught.value.errors()}


def test_requests_do_not_print_words():
    asked = InferenceRequest(user_input="marmalade", client_id="ada", system_prompt="marmalade")
    chat = ChatRequest.model_validate({"messages": [{"role": "user", "content": "marmalade"}]})
    for shown in (repr(asked), str(asked), f"{chat!r}{chat.messages[0]!s}"):
        assert "marmalade" not in shown
        assert "ada" not in shown


def test_a_chat_is_the_same_question():
    chat = ChatRequest.model_validate(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": [{"type": "text", "text": "I sleep"}, {"type": "text", "text": "badly"}]},
            ],
            "max_tokens": 7,
            "temperature": 0,
            "user": "ada",
        }
    )
    asked = chat.as_inference()
    assert (asked.user_input, asked.system_prompt, asked.client_id) == ("I sleep\nbadly", "Be brief.", "ada")
    assert [(m.role, m.text) for m in asked.earlier] == [("user", "Hi"), ("assistant", "Hello")]
    assert (asked.max_new_tokens, asked.temperature) == (7, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        {"n": 2},
        {"top_p": 0.5},
        {"streams": True},
    ],
)
def test_what_one_model_cannot_follow_is_refused(change):
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}]} | change)
