"""Word n-grams of many documents as 64-bit hashes, with numpy over the Arrow buffer and no Python loop over words.

A word is a run of ASCII letters, digits, underscores and bytes of non-ASCII characters, lower-cased; all else
separates. Non-ASCII punctuation therefore belongs to words: clean and normalise first.

Hashes are 64 bits of word order and bytes; "exact" here means exact but for collisions, which at a thousand shingles a
document have a chance of 1e-13 a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 19
"""Text handled at a time: its temporaries (about 4 bytes a byte) then stay in the second-level cache, which is
worth a factor of 1.7 over 5,000 documents at a time."""
BLOCK_DOCUMENTS = 4096
"""At most so many documents at a time: a number below it and 52 bits of a hash share 64 bits while sets are made."""

_WORD_BYTES = bytes(
    ord(chr(b).lower()) if b < 128 and (chr(b).isalnum() or chr(b) == "_") else b if b >= 128 else 0 for b in range(256)
)
"""Byte to itself in lower case where it belongs to a word, to 0 where it separates."""
_A, _B, _C, _D = (
    np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93)
)
_TAIL = b"\0" * 16  # an 8-byte window may begin at the last byte


@dataclass(frozen=True)
class Shingles:
    """The n-gram hashes of N documents, one document after the other, repetitions included.

    `flat` is uint64 (S,), `offsets` int64 (N + 1,): document i has `flat[offsets[i]:offsets[i + 1]]`.
    """

    flat: NDArray[np.uint64]
    offsets: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of n-grams of each document; 0 for one that is shorter than n words."""
        return np.diff(self.offsets)

    def content(self) -> NDArray[np.uint64]:
        """One hash per document over the n-grams it holds, whatever their order; 0 where there are none."""
        found = np.zeros(len(self.offsets) - 1, np.uint64)
        held = np.flatnonzero(self.counts)
        if held.size:
            found[held] = np.add.reduceat(self.flat, self.offsets[held])
        return found


def blocks(texts: pa.Array | pa.ChunkedArray | Sequence[str], chunk: int) -> Iterator[pa.Array]:
    """Cut into consecutive string arrays of at most `chunk` documents and about `BLOCK_BYTES` bytes; null is empty."""
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column.cast(pa.large_string())
    for part in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        part = pc.fill_null(part, "") if part.null_count else part
        ends = np.cumsum(pc.binary_length(part).to_numpy(zero_copy_only=False), dtype=np.int64)
        start = 0
        while start < len(part):
            before = ends[start - 1] if start else 0
            fitting = int(np.searchsorted(ends, before + BLOCK_BYTES, "right"))
            stop = min(max(fitting, start + 1), start + min(chunk, BLOCK_DOCUMENTS))
            yield part.slice(start, min(stop, len(part)) - start).cast(pa.string())
            start = stop


@dataclass(frozen=True)
class Words:
    """The hashes of all words of N documents in order; document i begins at word `first[i]`, (N + 1,)."""

    hashes: NDArray[np.uint64]
    first: NDArray[np.int64]


def shingle(block: pa.Array, ngram: int) -> Shingles:
    """The n-grams of a string array without nulls."""
    return ngrams(words_of(block), ngram)


def words_of(block: pa.Array) -> Words:
    """The words of a string array without nulls."""
    text, offsets = _bytes(_lower(block))
    hashes, starts = _word_hashes(text)
    return Words(hashes, np.searchsorted(starts, offsets))


def ngrams(words: Words, ngram: int) -> Shingles:
    """The n-grams of documents whose words are known."""
    num = words.hashes.size
    if num < ngram:
        return Shingles(np.empty(0, np.uint64), np.zeros(len(words.first), np.int64))
    grams = words.hashes[: num - ngram + 1].copy() if ngram == 1 else words.hashes
    for n in range(1, ngram):
        grams = grams[:-1] * _A
        grams += words.hashes[n:]
    grams ^= grams >> np.uint64(32)
    grams *= _D  # not linear in the words any more, so that the sum over a document tells word order
    inside = np.ones(num, np.bool_)
    for back in range(1, ngram):
        # reaching before a short document lands on another window that runs past its document's end
        inside[words.first[1:] - back] = False
    counts = np.maximum(np.diff(words.first) - (ngram - 1), 0)
    return Shingles(grams[inside[: grams.size]], np.concatenate([[0], np.cumsum(counts)]))


def _lower(block: pa.Array) -> pa.Array:
    """Lower-case documents with non-ASCII characters; the rest are lower-cased by the byte table."""
    foreign = pc.invert(pc.string_is_ascii(block))
    if not pc.any(foreign).as_py():
        return block
    return pc.replace_with_mask(block, foreign, pc.utf8_lower(block.filter(foreign)))


def _bytes(block: pa.Array) -> tuple[bytes, NDArray[np.int64]]:
    """A zero, then each document and a zero, all separators zeroed; and where each begins after that first zero."""
    listed = pa.ListArray.from_arrays(pa.array([0, len(block)], pa.int32()), block)
    joined = pc.binary_join(listed, "\0")[0].as_buffer() if len(block) else pa.py_buffer(b"")
    text = b"".join((b"\0", joined, _TAIL)).translate(_WORD_BYTES)
    lengths = pc.binary_length(block).to_numpy(zero_copy_only=False).astype(np.int64)
    return text, np.concatenate([[0], np.cumsum(lengths + 1)])


def _word_hashes(text: bytes) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash of every word of a text from `_bytes`, and its start, counted after the first zero.

    A word's first eight bytes are read as one number, whatever their alignment, and shifted so that what follows the
    word falls out. Longer words add their further eight-byte pieces, each times a power of its place.
    """
    inside = np.frombuffer(text, np.uint8) != 0
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, lengths = edges[0::2], edges[1::2] - edges[0::2]
    windows = np.ndarray((len(text) - 8,), "V8", text, offset=1, strides=(1,))
    words = _read(windows, starts, lengths)
    long = np.flatnonzero(lengths > 8)
    if long.size:
        words[long] += _long_tails(windows, starts[long], lengths[long])
    words *= _B
    words ^= words >> np.uint64(32)
    words *= _C
    words ^= words >> np.uint64(29)
    return words, starts


def _read(windows: NDArray[np.void], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    found = windows[starts].view("<u8")
    spare = 8 - np.minimum(lengths, 8)
    spare <<= 3
    found <<= spare.view(np.uint64)
    return found


def _long_tails(windows: NDArray[np.void], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What the bytes after the eighth add to the hash of each word."""
    pieces = (lengths - 1) >> 3
    first = np.cumsum(pieces) - pieces
    place = np.arange(1, pieces.sum() + 1) - np.repeat(first, pieces)
    piece = _read(windows, np.repeat(starts, pieces) + 8 * place, np.repeat(lengths, pieces) - 8 * place)
    powers = np.multiply.accumulate(np.full(int(pieces.max()) + 1, _A))
    piece *= powers[place]
    return np.add.reduceat(piece, first)
