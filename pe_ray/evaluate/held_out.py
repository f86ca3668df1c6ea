"""The held-out examples of a corpus, tokenised as for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pe_ray.corpus.split import TEST, VALIDATION
from pe_ray.corpus.tokenise import tokenise
from pe_ray.errors import UserError
from pe_ray.record import DOMAINS
from pe_ray.train.base import corpus_fingerprint
from pe_ray.train.data import Examples, read_examples

SPLITS = (VALIDATION, TEST)


@dataclass(frozen=True)
class HeldOut:
    """Examples of one split; `domain_X` of `examples` numbers DOMAINS, whatever the experts are called."""

    examples: Examples
    name: str
    fingerprint: str
    split: str
    left_out: int
    """Documents beyond the most tokens of a domain."""


def held_out(
    corpus_dir: Path,
    tokenizer_dir: Path,
    split: str,
    *,
    chat_template: str | None = None,
    max_tokens: int | None = None,
    seed: int = 7,
) -> HeldOut:
    """The examples of `split`, of each domain at most `max_tokens` tokens, chosen by the seed.

    Raises UserError for another split than validation and test, or one without an example; ManifestError for a corpus
    that is not finished.
    """
    if split not in SPLITS:
        raise UserError(f"--split {split}: is not one of {', '.join(SPLITS)}")
    fingerprint = corpus_fingerprint(corpus_dir)
    found = read_examples(tokenise(corpus_dir, tokenizer_dir, chat_template), split, DOMAINS)
    if not len(found):
        raise UserError(f"--split {split}: the corpus {corpus_dir.parent.name} {fingerprint} holds no record of it")
    kept = found if max_tokens is None else found.take(_chosen(found, max_tokens, seed))
    return HeldOut(kept, corpus_dir.absolute().parent.name, fingerprint, split, len(found) - len(kept))


def _chosen(examples: Examples, max_tokens: int, seed: int) -> np.ndarray:
    """Of each domain, documents in a shuffled order as long as they fit; at least one."""
    length_X = np.diff(examples.start_X)
    chosen: list[int] = []
    for domain in np.unique(examples.domain_X):
        order = np.random.default_rng([seed, int(domain) + 1]).permutation(np.flatnonzero(examples.domain_X == domain))
        fits = np.cumsum(length_X[order]) <= max_tokens
        fits[0] = True
        chosen += order[fits].tolist()
    return np.array(sorted(chosen), dtype=np.int64)
