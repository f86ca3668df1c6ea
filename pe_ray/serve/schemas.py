"""The HTTP contract of serving: what requests may say, and what replies hold.

Unknown fields are refused. No `repr` shows a field, so that neither an exception nor Ray's own messages can print a
person's words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from pe_ray.record import Message
from pe_ray.security.text import CLIENT_ID, clean

MAX_CHARS = 100_000
"""Of any one text; the gateway's own limit (`serve.max_input_chars`) is smaller."""
MAX_TURNS = 200


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text_blank", "holds no word")
    return text


Words = Annotated[str, Field(max_length=MAX_CHARS), AfterValidator(clean), AfterValidator(_not_blank)]
Id = Annotated[str, Field(pattern=CLIENT_ID)]
NewTokens = Annotated[StrictInt, Field(gt=0, le=8192)]
Temperature = Annotated[float, Field(ge=0, le=2, strict=True, allow_inf_nan=False)]
Locale = Annotated[str, Field(pattern=r"^([A-Za-z]{2,3}[-_])?[A-Z]{2}$")]


class Quiet(BaseModel):
    """A model that prints its name alone: its fields hold a person's words."""

    model_config = ConfigDict(frozen=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    __str__ = __repr__


class Body(Quiet):
    """A part of a request: strict about its keys."""

    model_config = ConfigDict(extra="forbid")


class Turn(Body):
    """An earlier turn of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: Words


class InferenceRequest(Body):
    """`POST /api/v1/inference`."""

    user_input: Words
    client_id: Id | None = None
    session_id: Id | None = None
    conversation_history: Annotated[tuple[Turn, ...], Field(max_length=MAX_TURNS)] = ()
    system_prompt: Words | None = None
    max_new_tokens: NewTokens | None = None
    temperature: Temperature | None = None
    use_cache: StrictBool = True
    track_progress: StrictBool = False
    locale: Locale | None = None
    """Country whose crisis resources are shown; empty: the configured one."""

    @model_validator(mode="after")
    def _tracked_by_name(self) -> InferenceRequest:
        if self.track_progress and self.client_id is None:
            raise PydanticCustomError("client_id_missing", "track_progress needs a client_id")
        return self

    @property
    def earlier(self) -> tuple[Message, ...]:
        """The conversation so far."""
        return tuple(Message(t.role, t.content) for t in self.conversation_history)


class ResourceOut(BaseModel):
    """Whom the person can call."""

    name: str
    contact: str
    locale: str
    source: str


class Safety(BaseModel):
    """What triage and the output filter found."""

    level: int
    action: Literal["none", "resources", "safe_reply", "blocked"]
    rules: tuple[str, ...] = ()
    resources: tuple[ResourceOut, ...] = ()


class InferenceReply(Quiet):
    """The answer to an inference; `latency` is in seconds."""

    response: str
    response_id: str
    latency: float
    cache_hit: bool
    tokens_generated: int
    safety: Safety
    metadata: dict[str, Any] = Field(default_factory=dict)


class TextPart(Body):
    """A piece of a chat message."""

    type: Literal["text"]
    text: Words


class ChatMessage(Body):
    """A chat message; its content is text, or a list of text parts."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Words | tuple[TextPart, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """The content in one string."""
        return self.content if isinstance(self.content, str) else "\n".join(p.text for p in self.content)


class StreamOptions(Body):
    """Options of a streamed chat."""

    include_usage: StrictBool = False


class ChatRequest(Body):
    """`POST /v1/chat/completions` in OpenAI's shape, as far as one model can follow it.

    `user` is the client's id. The last message must be the user's.
    """

    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=MAX_TURNS)]
    model: str | None = None
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    max_tokens: NewTokens | None = None
    max_completion_tokens: NewTokens | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(ge=1, le=1)] | None = None
    n: Literal[1] | None = None
    user: Id | None = None

    @model_validator(mode="after")
    def _user_speaks_last(self) -> ChatRequest:
        if self.messages[-1].role != "user":
            raise PydanticCustomError("last_message_not_user", "the last message must be the user's")
        return self

    def as_inference(self) -> InferenceRequest:
        """The same question to the gateway."""
        instructions = [m.text for m in self.messages if m.role in ("system", "developer")]
        earlier = [m for m in self.messages[:-1] if m.role in ("user", "assistant")]
        return InferenceRequest(
            user_input=self.messages[-1].text,
            client_id=self.user,
            conversation_history=tuple(Turn(role=m.role, content=m.text) for m in earlier),
            system_prompt="\n".join(instructions) or None,
            max_new_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
        )
