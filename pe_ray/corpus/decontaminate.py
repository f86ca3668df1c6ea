"""Records that a model would later be tested on: what shares text with a named evaluation set is marked.

A record is contaminated if one of its messages shares a run of 13 words with an item of a set, or is an item of 4 to 12
words, both without regard to case, punctuation and spaces (`dedup.normalise`). Runs are found by their hashes and then
compared as words, so that no record is marked by chance. Evaluation sets themselves are never de-duplicated or changed.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.dedup import normalise
from pe_ray.corpus.neardup.shingles import BLOCK_DOCUMENTS, Words, blocks, ngrams, words_of
from pe_ray.corpus.row import kind
from pe_ray.errors import SourceError

SHORTEST = 4
"""Words below which an item is no evidence: anybody says "I don't know"."""
_SEPARATORS = re.compile(r"[^\w\x00-\x7f]+|_+")  # the other ASCII ones separate shingles anyway
FORMATS = (".csv", ".tsv", ".jsonl", ".json", ".txt")


@dataclass(frozen=True)
class Passage:
    """One text of an item, normalised, with a space on either side; `number` counts the items of its set from 1."""

    name: str
    number: int
    text: str = field(repr=False)


@dataclass(frozen=True)
class Runs:
    """Distinct hashes of runs of words, ascending, and the first passage that each is from. `likely` is a table by a
    hash's upper bits that sorts out nearly all others."""

    hashes: NDArray[np.uint64]
    owners: NDArray[np.int64]
    likely: NDArray[np.bool_]
    shift: np.uint64

    @classmethod
    def of(cls, hashes: Sequence[NDArray[np.uint64]], owners: Sequence[NDArray[np.int64]]) -> Runs:
        """Of pieces that belong together, with ascending owners."""
        flat, first = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]), return_index=True)
        bits = min(max(len(flat).bit_length() + 4, 10), 24)  # 16 places a hash, up to 16 MB
        shift = np.uint64(64 - bits)
        likely = np.zeros(1 << bits, np.bool_)
        likely[flat >> shift] = True
        return cls(flat, np.concatenate([np.empty(0, np.int64), *owners])[first], likely, shift)

    def found(self, runs: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of `runs` are here, and the passage each is from."""
        at = np.flatnonzero(self.likely[runs >> self.shift])
        place = np.searchsorted(self.hashes, runs[at])
        here = self.hashes[np.minimum(place, len(self.hashes) - 1)] == runs[at] if at.size else np.zeros(0, np.bool_)
        return at[here], self.owners[place[here]]


@dataclass(frozen=True)
class EvalIndex:
    """What evaluation sets say. `items` counts them by set; `too_short` those without a text of `SHORTEST` words."""

    ngram: int
    passages: Sequence[Passage] = field(repr=False)
    long: Runs = field(repr=False)
    short: Runs = field(repr=False)
    items: Mapping[str, int]
    too_short: Mapping[str, int]

    @classmethod
    def of(cls, texts_by_name: Mapping[str, Iterable[str | Sequence[str]]], ngram: int = 13) -> EvalIndex:
        """Index sets of items; an item is one text, or several that are compared each for itself.

        Raises ValueError if `ngram` is under 1.
        """
        if ngram < 1:
            raise ValueError(f"ngram={ngram} is not 1 or more")
        passages: list[Passage] = []
        items, too_short = dict.fromkeys(texts_by_name, 0), dict.fromkeys(texts_by_name, 0)
        for name, texts in texts_by_name.items():
            for number, item in enumerate(texts, 1):
                said = [_words(text) for text in ([item] if isinstance(item, str) else item)]
                usable = [text for text in said if len(text.split()) >= min(SHORTEST, ngram)]
                passages += [Passage(name, number, f" {text} ") for text in usable]
                items[name] += 1
                too_short[name] += not usable
        long, short = _runs([p.text for p in passages], ngram)
        return cls(ngram, passages, long, short, items, too_short)


def apply(table: pa.Table, index: EvalIndex) -> pa.Table:
    """Append `contaminated`: null, or the first item that a record shares text with, as "<set name>: item <n>"."""
    messages = table["messages"].combine_chunks()
    texts, record = pc.struct_field(messages.flatten(), "text"), pc.list_parent_indices(messages).to_numpy()
    first: dict[int, int] = {}
    for message, owner in _shared(texts, index) if index.passages else ():
        row = int(record[message])
        first[row] = min(owner, first.get(row, owner))
    said = [index.passages[first[row]] if row in first else None for row in range(len(table))]
    marks = [p and f"{p.name}: item {p.number}" for p in said]
    return table.append_column("contaminated", pa.array(marks, pa.string()))


def counted(contaminated: Iterable[str | None], names: Iterable[str]) -> dict[str, int]:
    """Records contaminated by each set, from the column that `apply` wrote; 0 for a set that matched none."""
    found = Counter(mark.rsplit(": item ", 1)[0] for mark in contaminated if mark)
    return {name: found[name] for name in names}


def _words(text: str) -> str:
    return normalise(text.encode("utf-8", "replace").decode())  # JSON may hold half a character, Arrow may not


def _runs(texts: Sequence[str], ngram: int) -> tuple[Runs, Runs]:
    """The runs of `ngram` words of all passages, and those of whole passages with fewer."""
    parts: tuple[list[Any], list[Any], list[Any], list[Any]] = ([], [], [], [])
    start = 0
    for block in blocks(pa.array(texts, pa.large_string()), BLOCK_DOCUMENTS):
        words = words_of(block)
        grams = ngrams(words, ngram)
        parts[0].append(grams.flat)
        parts[1].append(start + np.repeat(np.arange(len(block)), grams.counts))
        for rows, whole in _whole(words, ngram):
            parts[2].append(whole)
            parts[3].append(start + rows)
        start += len(block)
    return Runs.of(parts[0], parts[1]), Runs.of(parts[2], parts[3])


def _whole(words: Words, ngram: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Documents of `SHORTEST` words up to under `ngram`, those of one length at a time, and a hash of each."""
    counts = np.diff(words.first)
    for num in range(SHORTEST, ngram):
        rows = np.flatnonzero(counts == num)
        if rows.size:
            hashes = words.hashes[words.first[rows][:, None] + np.arange(num)].ravel()
            yield rows, ngrams(Words(hashes, np.arange(len(rows) + 1) * num), num).flat


def _shared(texts: pa.Array, index: EvalIndex) -> Iterator[tuple[int, int]]:
    """Messages and the first passage that each shares text with."""
    start = 0
    for block in blocks(texts, BLOCK_DOCUMENTS):
        words = words_of(_plain(block))
        grams = ngrams(words, index.ngram)
        run, owner = index.long.found(grams.flat)
        message = np.searchsorted(grams.offsets, run, "right") - 1
        yield from _verified(block, start, message, run - grams.offsets[message], owner, index)
        for rows, whole in _whole(words, index.ngram):
            at, owner = index.short.found(whole)
            yield from _verified(block, start, rows[at], None, owner, index)
        start += len(block)


def _plain(block: pa.Array) -> pa.Array:
    """Texts whose words, as the shingles have them, are those of `normalise`, at a fraction of its cost."""
    ascii_only = pc.string_is_ascii(block)
    plain = pc.replace_substring(block, "_", " ")
    if pc.all(ascii_only).as_py():
        return plain
    foreign = pc.invert(ascii_only)
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in plain.filter(foreign).to_pylist()]
    return pc.replace_with_mask(plain, foreign, pa.array([_SEPARATORS.sub(" ", text) for text in folded]))


def _verified(
    block: pa.Array,
    start: int,
    message: NDArray[np.int64],
    word: NDArray[np.int64] | None,
    owner: NDArray[np.int64],
    index: EvalIndex,
) -> Iterator[tuple[int, int]]:
    """For each message the first passage that really has its run of words from `word` on, or is the whole message."""
    order = np.lexsort((owner, message))
    for some in np.split(order, np.flatnonzero(np.diff(message[order])) + 1) if order.size else ():
        said = normalise(block[int(message[some[0]])].as_py()).split()
        for i in some.tolist():
            run = said if word is None else said[int(word[i]) : int(word[i]) + index.ngram]
            passage = index.passages[int(owner[i])].text
            if passage == f" {' '.join(run)} " if word is None else f" {' '.join(run)} " in passage:
                yield start + int(message[i]), int(owner[i])
                break


def read_eval_set(path: str | Path, columns: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The items of an evaluation set: the texts that each has in `columns`, none where they are empty.

    .csv and .tsv have a header; .jsonl and .json hold objects, or texts if no column is named; each line of a .txt that
    is not blank is an item. Raises SourceError for a file that is missing or not of its format, for a column that no
    item has, and for one that holds something else than text.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceError(f"evaluation set {file}: no such file; give a {' or '.join(FORMATS)} file")
    if file.suffix.lower() not in FORMATS:
        raise SourceError(f"evaluation set {file}: {file.suffix or 'no suffix'} is not one of {', '.join(FORMATS)}")
    try:
        rows = list(_rows(file, file.read_text(encoding="utf-8-sig")))
    except UnicodeDecodeError as error:
        raise SourceError(f"evaluation set {file}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise SourceError(f"evaluation set {file}: cannot be opened ({error.strerror})") from None
    _check_columns(file, rows, columns)
    items = [tuple(_texts(file, number, row, columns)) for number, row in enumerate(rows, 1)]
    if not any(items):
        raise SourceError(f"evaluation set {file}: holds no text; give one with at least one item")
    return items


def _rows(file: Path, content: str) -> Iterator[Any]:
    suffix = file.suffix.lower()
    if suffix == ".txt":
        yield from (line for line in content.splitlines() if line.strip())
    elif suffix in (".csv", ".tsv"):
        yield from _csv_rows(file, content, "," if suffix == ".csv" else "\t")
    elif suffix == ".jsonl":
        yield from (_json(file, line, n) for n, line in enumerate(content.split("\n"), 1) if line.strip())
    else:
        found = _json(file, content, 0)
        if not isinstance(found, list):
            raise SourceError(f"evaluation set {file}: is no list; a list of objects or of texts is wanted")
        yield from found


def _csv_rows(file: Path, content: str, delimiter: str) -> list[dict[str, Any]]:
    limit = csv.field_size_limit((1 << 31) - 1)  # one for the process, and other readers rely on theirs
    try:
        return list(csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise SourceError(f"evaluation set {file}: cannot be read as a table ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _json(file: Path, content: str, line: int) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        where = f"line {line or getattr(error, 'lineno', 1)}"
        raise SourceError(f"evaluation set {file}: {where} is no JSON; repair it or leave it out") from None


def _check_columns(file: Path, rows: Sequence[Any], columns: Sequence[str]) -> None:
    known = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row if isinstance(name, str))
    if known and not columns:
        raise SourceError(f"evaluation set {file}: name the columns that hold text; there are {', '.join(known)}")
    for name in columns:
        if rows and name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise SourceError(f"evaluation set {file}: no column {name}; {hint}")


def _texts(file: Path, number: int, row: Any, columns: Sequence[str]) -> Iterator[str]:
    found = [row.get(name) for name in columns] if isinstance(row, dict) else [row]
    for value in (v for f in found for v in (f if isinstance(f, list) else [f])):
        if value is not None and not isinstance(value, str):
            raise SourceError(f"evaluation set {file}: item {number} holds {kind(value)}; text is wanted")
        if value and value.strip():
            yield value
