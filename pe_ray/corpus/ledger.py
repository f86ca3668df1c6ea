"""The account of a corpus: every row that was read is kept, rejected, held for review, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pe_ray.corpus.balance import Balance


@dataclass(frozen=True)
class Account:
    """Counts of records, for one source or over all; they balance by construction and are checked all the same."""

    records_in: int
    kept: int
    rejected: int
    held_for_review: int
    errors: int

    def __post_init__(self) -> None:
        parts = self.kept + self.rejected + self.held_for_review + self.errors
        assert self.records_in == parts, f"ledger: {self.records_in} rows in, {parts} accounted for"

    @property
    def processed(self) -> float:
        """Share of rows that could be read; 1 where there were none."""
        return 1 - self.errors / self.records_in if self.records_in else 1.0


@dataclass(frozen=True)
class Ledger:
    """The account over all and by source, and what the shares came to."""

    total: Account
    by_source: Mapping[str, Account]
    shares: Mapping[str, float]
    """Of the corpus' rows, copies included."""
    targets: Mapping[str, float]
    short: tuple[str, ...]

    def as_stage(self, fingerprint: str, manifest: str) -> dict[str, object]:
        """The `corpus` object of summary.json."""
        return {
            "records_in": self.total.records_in,
            "kept": self.total.kept,
            "rejected": self.total.rejected,
            "held_for_review": self.total.held_for_review,
            "errors": self.total.errors,
            "processed": self.total.processed,
            "per_source": {
                source: {
                    "in": account.records_in,
                    "kept": account.kept,
                    "share": self.shares.get(source, 0.0),
                    "target": self.targets.get(source, 0.0),
                    "short": source in self.short,
                }
                for source, account in self.by_source.items()
            },
            "fingerprint": fingerprint,
            "manifest": manifest,
        }


def draw_up(
    sources: Sequence[str],
    statuses: Sequence[str],
    copies: Sequence[int],
    errors: Mapping[str, int],
    targets: Mapping[str, float],
    balance: Balance,
) -> Ledger:
    """The ledger from one status (kept, rejected, held) and one number of copies a record, and errors by source."""
    counted = Counter(zip(sources, statuses, strict=True))
    rows: Counter[str] = Counter()
    for source, number in zip(sources, copies, strict=True):
        rows[source] += number
    names = sorted({*sources, *errors, *targets})
    read = Counter(sources)
    by_source = {s: _account(s, read[s], counted, errors.get(s, 0)) for s in names}
    total = Account(
        len(sources) + sum(errors.values()),
        *(sum(getattr(a, part) for a in by_source.values()) for part in ("kept", "rejected", "held_for_review")),
        sum(errors.values()),
    )
    shares = {s: rows[s] / rows.total() if rows.total() else 0.0 for s in names}
    return Ledger(total, by_source, shares, targets, balance.short)


def _account(source: str, read: int, counted: Counter[tuple[str, str]], errors: int) -> Account:
    kept, rejected, held = (counted[source, status] for status in ("kept", "rejected", "held"))
    return Account(read + errors, kept, rejected, held, errors)
