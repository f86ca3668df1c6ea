"""What the routes accept. Unknown fields are refused; text that no store can hold is refused; times need a zone."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt
from pydantic_core import PydanticCustomError

from pe_ray.security.text import CLIENT_ID, CleanText

MAX_TEXT = 20_000
MAX_PARCELS = 256


def _plausible(at: datetime) -> datetime:
    if not datetime(1900, 1, 1, tzinfo=UTC) <= at <= datetime.now(UTC) + timedelta(days=1):
        raise PydanticCustomError("time_out_of_range", "lies before 1900 or in the future")
    return at


def _decoded(value: object) -> bytes:
    try:
        return b64decode(value if isinstance(value, str) else "?", validate=True)  # pydantic's own skips what is wrong
    except ValueError:
        raise PydanticCustomError("base64", "is not base64") from None


Id = Annotated[str, Field(pattern=CLIENT_ID)]
Words = Annotated[CleanText, Field(min_length=1, max_length=MAX_TEXT)]
Base64 = Annotated[bytes, BeforeValidator(_decoded)]
When = Annotated[AwareDatetime, AfterValidator(_plausible)]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid")


class NewEntry(Body):
    """Something to remember; `occurred_at` defaults to now."""

    text: Words
    kind: Literal["message", "crisis", "note", "mood", "assessment"] = "note"
    occurred_at: When | None = None
    session_id: Id | None = None


class NewSession(Body):
    """A session, held or beginning."""

    channel: Literal["ai", "human", "import"] = "human"
    started_at: When | None = None
    ended_at: When | None = None
    summary: Words | None = None


class SessionEnd(Body):
    """The end of a session."""

    ended_at: When | None = None
    summary: Words | None = None


class NewGoal(Body):
    """A goal."""

    text: Words
    target_date: date | None = None


class GoalStatus(Body):
    """A goal's new status."""

    status: Literal["active", "achieved", "paused", "dropped"]


class NewRating(Body):
    """Attainment of a goal: -2 much less than hoped, 0 as expected, 2 much more."""

    level: StrictInt = Field(ge=-2, le=2)
    source: Literal["self", "clinician"] = "self"
    at: When | None = None


class NewMilestone(Body):
    """A step towards a goal."""

    goal_id: Id
    text: Words
    due: date | None = None


class MilestoneDone(Body):
    """That a milestone is reached."""

    done_at: When | None = None


class NewAssessment(Body):
    """Answers to a questionnaire, in its own order."""

    instrument: Annotated[str, Field(pattern="^[a-z0-9]{1,20}$")]
    items: Annotated[list[StrictInt], Field(min_length=1, max_length=100)]
    source: Literal["self", "clinician"] = "self"
    administered_at: When | None = None


class Parcel(Body):
    """One sealed entry from an outbox, in base64."""

    id: Id
    sealed: Base64


class Deliveries(Body):
    """Parcels, at most 256."""

    parcels: Annotated[list[Parcel], Field(max_length=MAX_PARCELS)]
