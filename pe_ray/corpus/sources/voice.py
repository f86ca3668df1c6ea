"""Recorded speech as transcripts: an exchange, a question with its answer, or a passage of one voice is a record.

    WEBVTT

    NOTE
    title: Two minds about smoking
    content_type: transcript
    language: en

    00:00:04.200 --> 00:00:18.900
    <v Client>So, um, my wife basically booked this.

Formats are in `corpus/transcripts`: WebVTT, SRT, caption and recogniser JSON, CSV. What a file does not say about
itself (`title`, `content_type`, `language`, `helper`) is taken from the spec's `values`.

- Who helps is known: each exchange of those who ask and those who help is a record (`turns.py`).
- Interviews and podcasts: a host who asks, and whoever answers (`qa/interview.py`).
- One voice, or nobody named: passages (`passages.py`); of a helper who speaks alone, the content type is
  psychologist_voice. Without names a transcript or an interview gives only pairs that dashes and questions show.

`question_span` and `answer_span` tell where both stand in the words of the recording (`qa/spans.py`). Where a passage
answers nothing, its question is formed from its own words (`qa/contextual.py`).

Real transcripts are untidy, and what they lose or hide is in the metadata: `back_channels`, `stage_directions`,
`unheard`, `negative_time_steps` (never a negative duration), `folded`, `opening_turns`, `unanswered_turns`,
`speaker_swaps`, `asr_confidence`, `no_speech`, `loops`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from pe_ray.config import SourceSpec
from pe_ray.corpus.qa import interview
from pe_ray.corpus.qa.contextual import contextual
from pe_ray.corpus.qa.spans import Words, written
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files, read_text
from pe_ray.corpus.row import Fault, label, one_of, text
from pe_ray.corpus.transcripts import SUFFIXES, parse
from pe_ray.corpus.transcripts.cue import Transcript
from pe_ray.corpus.transcripts.facts import of_exchange, of_passage
from pe_ray.corpus.transcripts.passages import Passage, passages
from pe_ray.corpus.transcripts.roles import Said, helper_by_words, helpers_of, is_client
from pe_ray.corpus.transcripts.turns import Dialogue, Exchange, between_unnamed, dialogue
from pe_ray.errors import SourceError
from pe_ray.record import CONTENT_TYPES, Record

VALUES = ("title", "content_type", "language", "helper")
OF_SEVERAL = ("transcript", "interview")
"""Content types of more than one voice."""
DOMAIN = "mental_health"


def plan(spec: SourceSpec) -> ReadPlan:
    """The transcripts of a spec; raises SourceError for a value that means nothing here."""
    where = f"corpus.sources {spec.kind}: values"
    for key in spec.values:
        if key not in VALUES:
            raise SourceError(f"{where}.{key}: is not known; one of {', '.join(VALUES)} is wanted")
    kind = spec.values.get("content_type", CONTENT_TYPES[0])
    if kind not in CONTENT_TYPES:
        raise SourceError(f"{where}.content_type={kind}: is not one of {', '.join(CONTENT_TYPES)}")
    return plan_files(spec, *SUFFIXES)


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """The records of each file; a record's offset is the number of its first cue, from 1 (of a CSV: its line)."""
    for file in (part or plan(spec)).files:
        yield from _read_file(spec, file)


def from_row(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    """The record of one row that holds an exchange: `question`, `answer`, and what else is known of it."""
    known = {k: label(row.data, k) for k in ("title", "language", "speaker", "helper", "recording") if row.data.get(k)}
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", DOMAIN),
        content_type=label(row.data, "content_type", "transcript"),
        messages=[("user", text(row.data, "question")), ("assistant", text(row.data, "answer"))],
        metadata=known | {"question": "extracted"},
    )


def _read_file(spec: SourceSpec, file: SourceFile) -> Iterator[Record | Unreadable]:
    suffix = PurePath(file.path).suffix.lower()
    if suffix not in SUFFIXES:
        wanted = f"is no transcript by its name; {', '.join(SUFFIXES)} is wanted"
        yield Unreadable(spec.source, file.uri, 0, "file", wanted)
        return
    words = read_text(spec, file)
    if isinstance(words, Unreadable):
        yield words
        return
    for transcript in parse(words, suffix):
        for problem in transcript.problems:
            yield Unreadable(spec.source, file.uri, problem.line, problem.field, problem.reason)
        if not transcript.cues:
            if not transcript.problems:
                yield Unreadable(spec.source, file.uri, 0, "cues", "none in the file; nothing is said in it")
            continue
        try:
            yield from _records(spec, file, transcript)
        except Fault as fault:
            line = transcript.cues[0].number if transcript.name else 0
            yield Unreadable(spec.source, file.uri, line, fault.name, fault.reason)


def _records(spec: SourceSpec, file: SourceFile, transcript: Transcript) -> list[Record]:
    """All records of a recording; raises Fault before the first if there can be none."""
    about = {k: transcript.notes.get(k) or spec.values.get(k, "") for k in VALUES}
    if about["content_type"]:
        one_of("content_type", about["content_type"], CONTENT_TYPES)
    shared = {
        "title": about["title"],
        "language": about["language"],
        "topic": transcript.notes.get("topic", ""),
        "recording": _recording(file, transcript),
    }
    names = {c.speaker for c in transcript.cues}
    if names == {""}:
        return _unnamed(spec, file, transcript, about["content_type"], shared)
    if len(names) == 1:
        return _alone(spec, file, transcript, about["content_type"], shared)
    helpers, by_words = _helpers(transcript, about["helper"])
    kind = about["content_type"] or "transcript"
    if kind in interview.KINDS and not helpers and not any(map(is_client, names)):
        helpers = interview.answering(transcript.cues)
    check_labels = not by_words and kind == "transcript" and any(map(is_client, names))
    talk = dialogue(transcript.cues, helpers, check_labels=check_labels)
    if kind in interview.KINDS:
        talk = interview.joined(talk)
    return _exchanges(spec, file, transcript, kind, shared | {"helper_by": "words" if by_words else ""}, talk)


def _unnamed(
    spec: SourceSpec, file: SourceFile, transcript: Transcript, kind: str, shared: dict[str, str]
) -> list[Record]:
    marked = any(c.new_turn for c in transcript.cues)
    if marked and kind in ("", "podcast", *OF_SEVERAL):
        return _exchanges(spec, file, transcript, kind or "transcript", shared, between_unnamed(transcript.cues))
    if kind in OF_SEVERAL:
        several = f"content_type={kind} means several; name them, or say that it is a monologue or a speech"
        raise Fault("speaker", f"is named nowhere, and {several}")
    return _passages(spec, file, transcript, kind or "monologue", shared)


def _alone(
    spec: SourceSpec, file: SourceFile, transcript: Transcript, kind: str, shared: dict[str, str]
) -> list[Record]:
    """One named voice. A client's is not taken: nobody answers, and a client's words are no model of a helper's."""
    name = transcript.cues[0].speaker
    if is_client(name):
        raise Fault("cues", "hold no exchange: only a client speaks, and nobody answers")
    usual = "psychologist_voice" if helpers_of([name]) else "monologue"
    one_voice = kind if kind and kind not in OF_SEVERAL else usual
    return _passages(spec, file, transcript, one_voice, shared | {"speaker": name})


def _helpers(transcript: Transcript, helper: str) -> tuple[set[str], bool]:
    """Who helps: as the file or the spec says, by the speakers' names, or (then the second is true) by their words."""
    names = {c.speaker for c in transcript.cues}
    if helper:
        wanted = {h.strip().casefold() for h in helper.split(",")}
        found = {n for n in names if n.casefold() in wanted}
        if not found:
            raise Fault("helper", "names nobody who speaks in the file; a speaker's name as it stands there is wanted")
        return found, False
    by_name = helpers_of(names)
    if by_name or any(map(is_client, names)):
        return by_name, False
    by_words = helper_by_words([Said(c.speaker, c.text) for c in transcript.cues])
    return by_words, bool(by_words)


def _exchanges(
    spec: SourceSpec, file: SourceFile, transcript: Transcript, kind: str, shared: dict[str, str], talk: Dialogue
) -> list[Record]:
    records = []
    words = Words(transcript.cues)
    for number, exchange in enumerate(talk.exchanges):
        first, last = number == 0, number == len(talk.exchanges) - 1
        asked = interview.questions(exchange) or interview.said(exchange.asking)
        spans = {
            "question_span": written(words.of(asked)),
            "answer_span": written(words.of(interview.said(exchange.helping))),
        }
        metadata = of_exchange(exchange, timed=transcript.timed) | shared | spans
        metadata["opening_turns"] = str(talk.opening) if first and talk.opening else ""
        metadata["unanswered_turns"] = str(talk.unanswered) if last and talk.unanswered else ""
        messages = [("user", _asked(exchange)), ("assistant", "\n".join(t.text for t in exchange.helping))]
        records.append(_record(spec, file, exchange.first.number, kind, messages, metadata, "extracted"))
    return records


def _asked(exchange: Exchange) -> str:
    several = len({t.speaker for t in exchange.asking}) > 1
    return "\n".join(f"{t.speaker}: {t.text}" if several else t.text for t in exchange.asking)


def _passages(
    spec: SourceSpec, file: SourceFile, transcript: Transcript, kind: str, shared: dict[str, str]
) -> list[Record]:
    found = passages(transcript.cues)
    if not found:
        raise Fault("cues", "hold no words, only stage directions")
    words = Words(transcript.cues)
    return [
        _record(
            spec,
            file,
            passage.cues[0].number,
            kind,
            [("user", _question(passage, shared["language"])), ("assistant", passage.text)],
            of_passage(passage, timed=transcript.timed)
            | shared
            | {
                "passage": f"{number}/{len(found)}",
                "question_span": written(words.of([passage.question] if passage.question else [])),
                "answer_span": written(words.of(passage.sentences)),
            },
            "extracted" if passage.question else "contextual",
        )
        for number, passage in enumerate(found, start=1)
    ]


def _question(passage: Passage, language: str) -> str:
    return passage.question.text if passage.question else contextual(passage.text, language)


def _record(
    spec: SourceSpec,
    file: SourceFile,
    offset: int,
    content_type: str,
    messages: list[tuple[str, str]],
    metadata: dict[str, str],
    question: str,
) -> Record:
    known = {k: v for k, v in metadata.items() if v} | {"question": question}
    return make_record(spec, file, offset, domain=DOMAIN, content_type=content_type, messages=messages, metadata=known)


def _recording(file: SourceFile, transcript: Transcript) -> str:
    """What must never be split between training and validation: the recording, as the file names it."""
    if named := transcript.notes.get("recording"):
        return named
    return f"{file.uri}#{transcript.name}" if transcript.name else file.uri
