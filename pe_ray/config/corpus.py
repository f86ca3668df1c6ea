"""What a corpus can be told: its sources, how they are cleaned and judged, how they are balanced and written."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pe_ray.config.section import Section

SHARES = {"edge_case": 0.25, "voice": 0.20, "psychology": 0.15, "dual_persona": 0.10, "standard": 0.30}
"""The design's share of kept records by source."""
TABLE = "table"
"""The kind that is no source of its own: it maps the columns of a table onto one."""


def source_kinds() -> tuple[str, ...]:
    """The sources there are: a file each in `pe_ray/corpus/sources/`; those of the design stand first."""
    folder = Path(__file__).resolve().parents[1] / "corpus" / "sources"
    found = sorted(p.stem for p in folder.glob("[a-z]*.py"))
    return (*SHARES, *(name for name in found if name not in SHARES and name != TABLE))


SOURCE_KINDS = source_kinds()


class SourceSpec(Section):
    """One source of the corpus: which reader, over what."""

    shorthand: ClassVar[str | None] = "kind"

    kind: str = Field(json_schema_extra={"enum": [*SOURCE_KINDS, TABLE]})
    """Which reader understands it: a file of that name in `pe_ray/corpus/sources/`."""
    path: str = "bundled"
    """File or folder; `bundled` is the sample that comes with pe_ray; `${PE_RAY_DATA}` may stand in it."""
    licence: str = ""
    """SPDX id or name of the licence of the texts; empty: what the reader knows."""
    attribution: str = ""
    """Who is to be named; empty: what the reader knows."""
    becomes: str | None = Field(None, json_schema_extra={"enum": [*SOURCE_KINDS, None]})
    """With kind=table: the source whose records its rows are."""
    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """With kind=table: a field of that source, and the column (or columns, joined by a blank line) that it is read
    from."""
    values: dict[str, str] = Field(default_factory=dict)
    """Fields that are the same in every row: {category: suicidality}."""

    @property
    def source(self) -> str:
        """Whose share of the corpus its records count for."""
        return self.becomes or self.kind

    @field_validator("kind", "becomes")
    @classmethod
    def _is_a_source(cls, value: str | None, info: ValidationInfo) -> str | None:
        # listed anew, so that a source that was just added counts
        allowed = (*source_kinds(), TABLE) if info.field_name == "kind" else source_kinds()
        if value is not None and value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(allowed)} is wanted"
            raise PydanticCustomError("unknown_source", "{what}", {"what": f"is no source; {hint}"})
        return value

    @model_validator(mode="after")
    def _table_is_told(self) -> SourceSpec:
        if self.kind == TABLE and self.becomes is None:
            raise ValueError("becomes is missing; kind=table needs the source whose records its rows are")
        if self.kind == TABLE and not self.columns:
            raise ValueError("columns is empty; kind=table needs {field: column} for the fields of its source")
        if self.kind != TABLE and (self.becomes or self.columns):
            raise ValueError(f"becomes and columns belong to kind=table, not to kind={self.kind}")
        if self.kind == TABLE and self.path == "bundled":
            raise ValueError("path=bundled: no table is bundled; give a file or folder")
        return self


class CheckConfig(Section):
    """Thresholds of the row checks; scores lie in 0..1, 1 is good."""

    coherence_min: float = Field(0.208, ge=0, le=1)
    """Least probability that an answer belongs to its question; the default was set to keep 90 % of true pairs, and
    kept 88 % of those of held-out questions."""
    generic_min: float = Field(0.4, ge=0, le=1)
    """Least specificity of an answer; lower ones could answer anything."""
    bias_min: float = Field(0.5, ge=0, le=1)
    """Least bias score of what the assistant says."""
    transcription_min: float = Field(0.5, ge=0, le=1)
    """Least quality of a transcript: what was heard, timed and written down."""
    naturalness_min: float = Field(0.2, ge=0, le=1)
    """Least naturalness of a dialogue; a low bar, since written dialogues are tidy."""
    persona_min: float = Field(0.5, ge=0, le=1)
    """Least consistency of what a persona says with its card."""
    appropriateness_min: float = Field(0.3, ge=0, le=1)
    """Least appropriateness of what a helper says in a difficult moment."""
    evidence_min: float = Field(0.3, ge=0, le=1)
    """Least agreement of statements about disorders and techniques with what is known."""
    prejudice_min: float = Field(0.0, ge=0, le=1)
    """Least respect of the assistant's sentences about a group, as a small model sees it; at 0 it is told and removes
    nothing."""
    authenticity_min: float = Field(0.2, ge=0, le=1)
    """Least fit of a helper's tone to a client's feeling."""
    review_level: int = Field(2, ge=1, le=4)
    """A record in which triage finds this level or more waits for clinical review."""


class ReviewConfig(Section):
    """Clinical review of held records."""

    two_person: bool = False
    """A held record needs the approval of two different reviewers."""


class QuestionConfig(Section):
    """Where the questions of spoken records are from: asked in the recording, or formed from the answer."""

    contextual_share: float = Field(0.5, ge=0, le=1)
    """Share of kept spoken records whose question was formed from their words."""
    tolerance: float = Field(0.01, ge=0, le=0.5)
    """How far from it is still it."""
    strict: bool = False
    """Reject what is too much of one kind, so that the share holds; else it is as near as what was read allows."""


class PiiConfig(Section):
    """Personal data: found in three tiers, and replaced by stable surrogates."""

    tier: Literal["off", "patterns", "presidio"] = "patterns"
    """patterns: a gate, our own patterns with validators, and names. presidio: its recognisers too (extra `pii`)."""
    ner: Path | None = None
    """Folder of a spaCy or transformers model that finds further names; empty: cues and lists of names alone."""


class DuplicateConfig(Section):
    """Near and semantic duplicates. Exact ones are always removed."""

    near: bool = True
    """Remove near-duplicates (MinHash, every removal verified)."""
    threshold: float = Field(0.7, gt=0, le=1)
    """Word-shingle Jaccard from which two records are near-duplicates."""
    permutations: int = Field(128, gt=0)
    """MinHash permutations."""
    bands: int = Field(16, gt=0)
    """LSH bands; divides permutations."""
    ngram: int = Field(3, gt=0)
    """Words per shingle."""
    partitions: int | None = Field(None, gt=0)
    """Tasks that a band is spread over; empty: one for less than 3 million records, then one for each million."""
    index: Path | None = None
    """Folder of an earlier corpus' index: what is like a record in it is removed too."""
    save_index: bool = False
    """Leave such an index of the kept records in the snapshot, for the next crawl."""
    semantic: str | None = None
    """Embedder of semantic duplicates: `hashing`, or `module:attribute` with an `encode(texts)`; empty: none."""
    semantic_threshold: float = Field(0.95, gt=0, le=1)
    """Cosine from which two records mean the same."""
    licence_order: tuple[str, ...] = ("Apache-2.0", "MIT", "CC0-1.0", "CC-BY-4.0", "CC BY 4.0", "CC-BY-SA-4.0")
    """Of equal quality, the record with the earlier licence stays."""

    @model_validator(mode="after")
    def _bands_divide(self) -> DuplicateConfig:
        if self.permutations % self.bands:
            raise ValueError(f"bands={self.bands} does not divide permutations={self.permutations}")
        return self


class EvalSetSpec(Section):
    """An evaluation set whose texts must not be trained on."""

    name: str
    """What the report calls it."""
    path: str
    """CSV, TSV, JSONL, JSON or text file; `${PE_RAY_DATA}` may stand in it."""
    columns: tuple[str, ...] = ()
    """Columns that hold text; empty: all of a text file."""


class CorpusConfig(Section):
    """From sources to a balanced snapshot."""

    name: str = Field("therapy", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Folder under `corpora/`."""
    sources: tuple[SourceSpec, ...] = tuple(SourceSpec(kind=k) for k in SHARES)
    """What is read; several specs may be of one kind."""
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=lambda: dict(SHARES))
    """Share of kept records by source kind; sums to 1."""
    max_records: int = Field(8000, gt=0)
    """Most records that balance keeps."""
    on_shortage: Literal["fail", "renormalise", "repeat"] = "fail"
    """When a source cannot fill its share: give up, share the rest out over the others, or repeat records."""
    min_records: int = Field(200, ge=0)
    """Fewest kept records for which on_shortage=fail accepts a balanced but smaller corpus."""
    max_repeat: int = Field(3, ge=1)
    """Most times that one record may stand in the corpus under on_shortage=repeat."""
    max_per_question: int | None = Field(None, gt=0)
    """Most kept answers to one question; empty: all."""
    edge_cells: Literal["as_found", "even"] = "as_found"
    """Within edge cases: take records as they come, or evenly from each category and difficulty."""
    min_processed: float = Field(0.99, ge=0, le=1)
    """Least share of all rows that must be readable; below it the job exits 3 and names the sources."""
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Share of kept records held out of training, chosen by near-duplicate cluster."""
    test_share: float = Field(0.05, ge=0, lt=0.5)
    """Share of kept records that no step of training ever reads."""
    checks: CheckConfig = CheckConfig()
    """Thresholds; changing one does not recompute the annotations."""
    review: ReviewConfig = ReviewConfig()
    """Who must approve a held record before it is decided on like any other."""
    criteria: Path | None = None
    """A .criteria.txt file, or a folder of them: statements about these disorders are held against it."""
    questions: QuestionConfig = QuestionConfig()
    """Half of the spoken records' questions extracted, half contextual."""
    pii: PiiConfig = PiiConfig()
    """Personal data."""
    duplicates: DuplicateConfig = DuplicateConfig()
    """Near and semantic duplicates."""
    decontaminate: tuple[EvalSetSpec, ...] = ()
    """Evaluation sets whose texts are kept out."""
    formats: tuple[Literal["jsonl", "json", "csv", "messages"], ...] = ()
    """Forms that are written beside the Parquet files."""
    engine: Literal["ray", "local"] = "ray"
    """Where the stages run: on Ray Data, or in this process."""
    part_mib: float = Field(4.0, gt=0)
    """Input of one reading task: small enough to spread over cores, large enough to hide the task's own cost."""

    @model_validator(mode="after")
    def _targets_fit(self) -> CorpusConfig:
        if not self.sources:
            raise ValueError("sources is empty; list at least one, such as {kind: standard, path: answers.jsonl}")
        total = sum(self.targets.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"targets sum to {total:g}; they are shares and must sum to 1")
        unknown = sorted(set(self.targets) - set(source_kinds()))
        if unknown:
            raise ValueError(f"targets name {unknown[0]!r}, which is no source kind: {', '.join(source_kinds())}")
        missing = sorted(set(self.targets) - {s.source for s in self.sources})
        if missing and self.on_shortage == "fail":
            raise ValueError(f"targets ask for {missing[0]!r} but no source of that kind is listed")
        names = [e.name for e in self.decontaminate]
        if len(set(names)) != len(names):
            raise ValueError(f"decontaminate names a set twice: {', '.join(names)}")
        if self.validation_share + self.test_share >= 0.5:
            raise ValueError(
                f"validation_share={self.validation_share:g} and test_share={self.test_share:g} leave half of the "
                "records or less to train on; they must sum to less than 0.5"
            )
        return self
