"""From what the stages wrote about each record to one decision a record; the only step that sees the whole corpus.

It works on key columns, not on text, and on whole columns at a time. A record is, in this order,

1. rejected by `clean`, if nothing usable was left of it;
2. rejected by `decontaminate`, if an evaluation set holds its words;
3. rejected by `dedup`, if another record says the same (the reason names that record);
4. held for review, if triage or the class or category of it or of a duplicate asks for it, whatever its scores, unless
   reviewers approved it as it is now; rejected by `review`, if a reviewer rejected it;
5. rejected by the first check whose score is under the threshold;
6. rejected by `balance`: too many answers to its question (question_cap), too much text from templates (template_cap),
   too many spoken records with a question of its kind (question_half), or more than its source's share (not_selected);
7. kept, in training, validation or test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.config import CheckConfig, CorpusConfig
from pe_ray.corpus.balance import Balance, choose, hash_rank, share_out
from pe_ray.corpus.columns import with_column
from pe_ray.corpus.duplicates import KINDS, Duplicates
from pe_ray.corpus.qa import halves
from pe_ray.corpus.quality import checks, crisis
from pe_ray.corpus.review import (
    APPROVED,
    MARKED,
    STAGE,
    TURNED_DOWN,
    WAITING,
    Docket,
    category_of,
    labelled,
    remembered,
)
from pe_ray.corpus.split import split
from pe_ray.corpus.stages import LABELS, score_column
from pe_ray.security.decisions import Matter

KEPT, REJECTED, HELD = "kept", "rejected", "held"
STATUSES = (KEPT, REJECTED, HELD)
TEMPLATE = "template"
TEMPLATE_SHARE = 0.1
"""Most of a source that may be text made by templates."""
REVIEW = MARKED

KEY_COLUMNS = (
    *("id", "source", "uri", "offset", "licence", "domain", "fault", "text_key", "row_key", "group", "content_type"),
    *("changes", "verdicts", "crisis_level", "crisis_classes", "pii", "language", "contaminated"),
    *(*LABELS, "user_words", "assistant_words", *(score_column(name) for name in checks.NAMES)),
)
"""What `decide` and the report read of every record."""

DECISION_COLUMNS = pa.schema(
    [
        ("status", pa.string()),
        ("stage", pa.string()),  # of a reject
        ("reason", pa.string()),
        ("held_for", pa.list_(pa.string())),
        ("copies", pa.int32()),  # rows in the corpus; more than 1 under on_shortage=repeat
        ("split", pa.string()),
        ("decided_by", pa.list_(pa.string())),  # the reviewers' decisions in force; null where there is none
        ("stands_for", pa.int64()),  # row of the record that stays in this one's place, or its own
    ]
)


@dataclass(frozen=True)
class Decided:
    """The key table with a decision in each row, how the shares came out, and what duplicates were found."""

    table: pa.Table
    balance: Balance
    duplicates: Duplicates


@dataclass
class Decisions:
    """What becomes of N records, column by column; all are kept until something is said against them."""

    status: NDArray[np.int8]
    stage: list[str | None]
    reason: list[str | None]
    held_for: list[Sequence[str]] = field(repr=False)
    copies: NDArray[np.int32]
    split: list[str | None]
    decided_by: dict[int, list[str]] = field(default_factory=dict)
    """By row: the decisions of reviewers that are in force."""

    @classmethod
    def of(cls, num: int) -> Decisions:
        return cls(
            np.zeros(num, np.int8), [None] * num, [None] * num, [()] * num, np.zeros(num, np.int32), [None] * num
        )

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(N,) whether nothing has been said against a record so far."""
        return self.status == STATUSES.index(KEPT)

    def reject(self, rows: NDArray[np.int64], stage: str, reason: Callable[[int], str]) -> None:
        """Reject those of `rows` that nothing else has decided."""
        for row in rows[self.kept[rows]].tolist():
            self.stage[row], self.reason[row] = stage, reason(row)
            self.status[row] = STATUSES.index(REJECTED)

    def columns(self) -> dict[str, pa.Array]:
        """As columns of `DECISION_COLUMNS`, without `stands_for`."""
        return {
            "status": pa.array(np.array(STATUSES, object)[self.status], pa.string()),
            "stage": pa.array(self.stage, pa.string()),
            "reason": pa.array(self.reason, pa.string()),
            "held_for": pa.array(self.held_for, pa.list_(pa.string())),
            "copies": pa.array(self.copies, pa.int32()),
            "split": pa.array(self.split, pa.string()),
            "decided_by": pa.array([self.decided_by.get(row) for row in range(len(self.split))], pa.list_(pa.string())),
        }


def thresholds(config: CheckConfig) -> dict[str, float]:
    """Least score by check, in the order in which they reject."""
    return {name: getattr(config, f"{name}_min") for name in checks.NAMES}


def usable(keys: pa.Table) -> NDArray[np.bool_]:
    """Whether each record has words left, and none of an evaluation set's."""
    return pc.and_(pc.is_null(keys["fault"]), pc.is_null(keys["contaminated"])).to_numpy(zero_copy_only=False)


def decide(keys: pa.Table, config: CorpusConfig, duplicates: Duplicates, docket: Docket | None = None) -> Decided:
    """Decide every row of a table that has `KEY_COLUMNS`; `duplicates` are those of its rows.

    `docket` is what reviewers decided, nothing without it.
    """
    found = Decisions.of(len(keys))
    _reject_named(found, keys["fault"], "clean")
    _reject_named(found, keys["contaminated"], "decontaminate")
    _reject_duplicates(found, keys["id"], duplicates)
    _hold(found, keys, duplicates, config.checks.review_level, docket or Docket(config.name))
    _reject_by_score(found, keys, config.checks)
    _cap_questions(found, keys, config.max_per_question)
    balance = _balance(found, keys, config)
    _split(found, keys, duplicates.root, config)
    for row in found.decided_by:
        if found.kept[row]:
            found.reason[row] = APPROVED
    table = keys.drop_columns(["verdicts"])
    for name, values in found.columns().items():
        table = table.append_column(name, values)
    return Decided(table.append_column("stands_for", pa.array(duplicates.stands_for)), balance, duplicates)


def passes(score: float, minimum: float) -> bool:
    """Whether a stored score (float32, four decimals) reaches a threshold."""
    return round(score, 4) >= minimum


def _reject_named(found: Decisions, reasons: pa.ChunkedArray, stage: str) -> None:
    rows = np.flatnonzero(pc.is_valid(reasons).to_numpy(zero_copy_only=False))
    found.reject(rows, stage, lambda row: reasons[row].as_py())


def _reject_duplicates(found: Decisions, ids: pa.ChunkedArray, duplicates: Duplicates) -> None:
    def reason(row: int) -> str:
        kind = KINDS[duplicates.kind[row]]
        if kind == "indexed":
            return f"like {duplicates.outside[row]} of the index, Jaccard {duplicates.likeness[row]:.2f}"
        survivor = ids[duplicates.stands_for[row]].as_py()
        if kind == "exact":
            return f"same text as {survivor}"
        if kind == "near":
            return f"nearly the same text as {survivor}, Jaccard {duplicates.likeness[row]:.2f}"
        return f"means the same as {survivor}, cosine {duplicates.likeness[row]:.2f}"

    found.reject(np.flatnonzero(duplicates.kind > 0), "dedup", reason)


def _hold(found: Decisions, keys: pa.Table, duplicates: Duplicates, review_level: int, docket: Docket) -> None:
    """Hold what must be seen by a clinician, but for what reviewers decided about exactly this."""
    for row, reasons in sorted(_spread(_held_for(keys, review_level, docket), duplicates).items()):
        if not found.kept[row]:
            continue
        why = sorted(reasons)
        standing = docket.standing(_matter(keys, row, why, docket)) if docket.decisions else WAITING
        if standing.state in ("approved", "rejected"):
            found.decided_by[row] = standing.ids
        if standing.state == "rejected":
            found.reject(np.array([row]), STAGE, lambda _, ids=standing.ids: f"rejected by decision {ids[0]}")
        elif standing.state != "approved":
            found.status[row], found.held_for[row] = STATUSES.index(HELD), why


def _matter(keys: pa.Table, row: int, why: Sequence[str], docket: Docket) -> Matter:
    record_id, content, level = (keys[name][row].as_py() for name in ("id", "row_key", "crisis_level"))
    return Matter(docket.corpus, record_id, content, tuple(why), level)


def _held_for(keys: pa.Table, review_level: int, docket: Docket) -> dict[int, set[str]]:
    """Why each row must be reviewed: what triage found in it, what it is or was labelled with, and a rejection.

    A rejected record is told of even if nothing holds it any more: what says the same must not take its place.
    """
    levels, classes, category = keys["crisis_level"].to_numpy(), keys["crisis_classes"], keys["category"]
    found = pc.fill_null(pc.greater(pc.list_value_length(classes), 0), False).to_numpy(zero_copy_only=False)
    reasons: dict[int, set[str]] = defaultdict(set)
    for row in np.flatnonzero((levels >= review_level) | found).tolist():
        label = category_of(category[row].as_py())
        reasons[row] |= set(crisis.held_for(int(levels[row]), classes[row].as_py(), label, review_level))
    for labels in (labelled(keys), remembered(keys, docket)):
        for row, why in labels.items():
            reasons[row] |= set(why)
    ruled = pc.is_in(keys["id"], pa.array(list(docket.decisions), pa.string())).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(ruled).tolist():
        if docket.standing(_matter(keys, row, (), docket)).state == "rejected":
            reasons[row].add(TURNED_DOWN)
    return {row: why for row, why in reasons.items() if why}


def _spread(reasons: Mapping[int, set[str]], duplicates: Duplicates) -> dict[int, set[str]]:
    """The reasons of what stays: its own, those of what it stands for, and of all its near-duplicate cluster.

    A chain of near-duplicates may leave several records, of which one resembles the held one that was removed.
    """
    rows = np.fromiter(reasons, np.int64, len(reasons))
    stays = np.flatnonzero((duplicates.kind == 0) & np.isin(duplicates.root, duplicates.root[rows]))
    in_cluster: dict[int, list[int]] = defaultdict(list)
    for row in stays.tolist():
        in_cluster[int(duplicates.root[row])].append(row)
    found: dict[int, set[str]] = defaultdict(set)
    for row, why in reasons.items():
        for target in (int(duplicates.stands_for[row]), *in_cluster[int(duplicates.root[row])]):
            found[target] |= why
    return found


def slim(keys: pa.Table, config: CheckConfig) -> pa.Table:
    """The key columns of a shard without the verdicts of what every check lets pass: nobody asks for their reasons,
    and they are half of the bytes that a corpus keeps in memory while it is decided."""
    failed = np.zeros(len(keys), np.bool_)
    for check, minimum in thresholds(config).items():
        failed |= _under(keys, check, minimum)
    rows = pa.array(np.arange(len(keys)), mask=~failed)
    return with_column(keys, "verdicts", keys["verdicts"].combine_chunks().take(rows))


def _under(keys: pa.Table, check: str, minimum: float) -> NDArray[np.bool_]:
    scores = keys[score_column(check)].to_numpy().astype(np.float64)
    low: NDArray[np.bool_] = np.round(scores, 4) < minimum  # nan, where the check said nothing, is not less
    return low


def _reject_by_score(found: Decisions, keys: pa.Table, config: CheckConfig) -> None:
    verdicts = keys["verdicts"]
    for check, minimum in thresholds(config).items():
        rows = np.flatnonzero(_under(keys, check, minimum))

        def reason(row: int, check: str = check, minimum: float = minimum) -> str:
            verdict = next(v for v in verdicts[row].as_py() if v["check"] == check)
            detail = f" ({verdict['reason']})" if verdict["reason"] else ""
            return f"score {verdict['score']:.3f} is under {minimum:g}{detail}"

        found.reject(rows, check, reason)


def _cap_questions(found: Decisions, keys: pa.Table, most: int | None) -> None:
    if most is None:
        return
    rows = np.flatnonzero(found.kept)
    rows = rows[np.argsort(hash_rank(keys["id"].take(pa.array(rows))), kind="stable")]
    asked: dict[str, int] = defaultdict(int)
    over = []
    for row, group in zip(rows.tolist(), keys["group"].take(pa.array(rows)).to_pylist(), strict=True):
        asked[group] += 1
        if asked[group] > most:
            over.append(row)
    found.reject(np.array(over, np.int64), "balance", lambda _: "question_cap")


def _balance(found: Decisions, keys: pa.Table, config: CorpusConfig) -> Balance:
    _cap_templates(found, keys)
    _halve(found, keys, config)
    members = _members(found.kept, keys["source"])
    balance = share_out({s: len(rows) for s, rows in members.items()}, config)
    for source, rows in members.items():
        taken = pa.array(rows)
        wanted = balance.counts.get(source, 0)
        if source == "voice":
            contextual = _is(keys["question"].take(taken), halves.CONTEXTUAL)
            found.copies[rows] = halves.chosen(
                keys["id"].take(taken), contextual, wanted, config.questions.contextual_share
            )
            found.reject(rows[found.copies[rows] == 0], "balance", lambda _: "not_selected")
            continue
        cells = None
        if source == "edge_case" and config.edge_cells == "even":
            names = pc.binary_join_element_wise(
                *(pc.fill_null(keys[n].take(taken), "") for n in ("category", "difficulty")), "/"
            )
            cells = names.to_pylist()
        found.copies[rows] = choose(keys["id"].take(taken), wanted, cells)
        found.reject(rows[found.copies[rows] == 0], "balance", lambda _: "not_selected")
    return balance


def _halve(found: Decisions, keys: pa.Table, config: CorpusConfig) -> None:
    if not config.questions.strict:
        return
    spoken = pc.is_in(keys["content_type"], pa.array(halves.SPEECH)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(found.kept & spoken)
    taken = pa.array(rows)
    contextual = _is(keys["question"].take(taken), halves.CONTEXTUAL)
    over = halves.surplus(keys["id"].take(taken), contextual, config.questions.contextual_share)
    found.reject(rows[over], "balance", lambda _: "question_half")


def _is(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = pc.fill_null(pc.equal(column, value), False).to_numpy(zero_copy_only=False)
    return same


def _cap_templates(found: Decisions, keys: pa.Table) -> None:
    made = pc.fill_null(pc.equal(keys["generated"], TEMPLATE), False).to_numpy(zero_copy_only=False)
    for rows in _members(found.kept & made, keys["source"]).values():
        source = keys["source"][int(rows[0])]
        own = pc.equal(keys["source"], source).to_numpy(zero_copy_only=False) & found.kept & ~made
        room = int(np.count_nonzero(own) * TEMPLATE_SHARE / (1 - TEMPLATE_SHARE))
        ranked = rows[np.argsort(hash_rank(keys["id"].take(pa.array(rows))), kind="stable")]
        found.reject(ranked[room:], "balance", lambda _: "template_cap")


def _members(wanted: NDArray[np.bool_], sources: pa.ChunkedArray) -> Mapping[str, NDArray[np.int64]]:
    """Rows of each source among those wanted."""
    coded = sources.combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    found = {name: np.flatnonzero(wanted & (codes == code)) for code, name in enumerate(coded.dictionary.to_pylist())}
    return {name: rows for name, rows in sorted(found.items()) if len(rows)}


def _split(found: Decisions, keys: pa.Table, root: NDArray[np.int64], config: CorpusConfig) -> None:
    rows = np.flatnonzero(found.kept)
    taken = pa.array(rows)
    groups = keys["group"].take(taken).to_pylist()
    sides = split(
        keys["domain"].take(taken).to_pylist(), groups, root[rows], config.validation_share, config.test_share
    )
    for row, side in zip(rows.tolist(), sides, strict=True):
        found.split[row] = side
