"""A larger judge of danger beside the small model, where a deployment has one: an encoder, a classifier, a server.

    PE_RAY_TRIAGE_JUDGE=judge.toml

    kind = "remote"                   # or encoder: a folder and a head trained over it; or classifier: a folder
    url = "http://127.0.0.1:8080/v1"
    model = "guard"
    style = "guard"                   # or json
    level = 2                         # what its word alone raises a message to: 2 asks, 3 gives the safe reply

    [classes]                         # its labels -> classes of triage; other labels are not heard
    S11 = "suicide_self_harm"
    S1 = "harm_to_others"

It is asked about the messages that the small model would be asked about, and the graver of the two counts. Where it
abstains, fails or is late, the small model's word stands alone. Its messages leave this machine if its URL does.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from pe_ray.config.section import Section
from pe_ray.errors import UserError
from pe_ray.safety.learn.encoder import Judge
from pe_ray.safety.learn.model import Judgement
from pe_ray.safety.rules import TRIAGE_FILES

VARIABLE = "PE_RAY_TRIAGE_JUDGE"
NEEDS = {"encoder": ("folder", "head"), "classifier": ("folder",), "remote": ("url", "model")}
GRAVE, DANGER = "grave", "danger"
"""Labels of a head of ours (`learn/tasks/crisis.py`): they give the level, its other labels are the classes."""


class LargerJudge(Section):
    """What the file says."""

    kind: Literal["encoder", "classifier", "remote"]
    """How it is asked."""
    folder: Path | None = None
    """The Transformer, for an encoder and a classifier."""
    head: Path | None = None
    """What `pe-ray safety train crisis --encoder` wrote, for an encoder."""
    url: str | None = None
    """An OpenAI-compatible address, for a remote one."""
    model: str = ""
    """Its name there."""
    style: Literal["json", "guard"] = "json"
    """Asked for probabilities as JSON, or as a Llama Guard is."""
    timeout_s: float = Field(5.0, gt=0, le=60)
    """How long a message waits for it."""
    level: Literal[2, 3] = 2
    """What its word alone raises a message to."""
    classes: dict[str, str] = Field(default_factory=dict)
    """Its labels -> classes of triage; an encoder's head has them already."""

    @model_validator(mode="after")
    def _is_whole(self) -> LargerJudge:
        if missing := [name for name in NEEDS[self.kind] if not getattr(self, name)]:
            raise ValueError(f"{missing[0]} is missing; kind={self.kind} needs {' and '.join(NEEDS[self.kind])}")
        if self.kind != "encoder" and not self.classes:
            raise ValueError(f"classes is empty; kind={self.kind} needs its labels, each with a class of triage")
        if wrong := [c for c in self.classes.values() if c not in TRIAGE_FILES]:
            raise ValueError(f"classes names {wrong[0]!r}; one of {', '.join(TRIAGE_FILES)} would be right")
        return self


def read(texts: Sequence[str]) -> list[tuple[str, int] | None]:
    """(class, level) of each text that the larger judge finds; None for all where there is none."""
    told = _told()
    if told is None or not texts:
        return [None] * len(texts)
    return [_heard(told, judgement) for judgement in _judge().judge(texts)]


def version() -> str:
    """Part of the version of triage: a hash of what the file says, empty without one."""
    told = _told()
    return hashlib.sha256(told.model_dump_json().encode()).hexdigest()[:8] if told else ""


def present() -> bool:
    """Whether there is one, so that an answer may take time."""
    return _told() is not None


def _heard(told: LargerJudge, judgement: Judgement) -> tuple[str, int] | None:
    if judgement.abstained:
        return None
    if told.kind == "encoder":
        return _of_head(judgement.scores, judgement.labels)
    found = [label for label in judgement.labels if label in told.classes]
    if not found:
        return None
    return told.classes[max(found, key=lambda label: judgement.scores.get(label, 0.0))], told.level


def _of_head(scores: Mapping[str, float], labels: Sequence[str]) -> tuple[str, int] | None:
    if DANGER not in labels:
        return None
    return max(TRIAGE_FILES, key=lambda name: scores.get(name, 0.0)), 3 if GRAVE in labels else 2


@cache
def _told() -> LargerJudge | None:
    """The file that the environment names; raises UserError for one that cannot be used."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    try:
        return LargerJudge.model_validate(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{VARIABLE}={path}: cannot be read ({error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{VARIABLE}={path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


@cache
def _judge() -> Judge:
    from pe_ray.safety.learn import load
    from pe_ray.safety.learn.encoder import Classifier, Encoder, EncoderModel, Remote

    told = _told()
    assert told is not None
    if told.kind == "remote":
        return Remote(str(told.url), tuple(told.classes), told.model, told.style, told.timeout_s, min_words=2)
    assert told.folder is not None
    if told.kind == "classifier":
        return Classifier(told.folder, min_words=2)
    assert told.head is not None
    model = load(told.head)
    if missing := [name for name in (DANGER, GRAVE, *TRIAGE_FILES) if name not in model.labels]:
        raise UserError(f"{VARIABLE}: head={told.head}: has no label {missing[0]!r}; a head of crisis would be right")
    return EncoderModel(Encoder(told.folder), model)


def forget() -> None:
    """Read the environment again at the next message."""
    _told.cache_clear()
    _judge.cache_clear()
