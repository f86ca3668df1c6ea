"""What ten times the input costs, and that the fingerprint of a corpus does not depend on how the work is cut.

Growth is measured on Ray, with less memory for its objects than the larger corpus has bytes: that is where "larger than
memory" must hold. The same figures in one process stand beside it without a bound. There nothing is hidden behind the
memory that Ray's own processes take. CPU seconds are those above a build of next to nothing, memory is all of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pe_ray.bench.building import OBJECT_STORE_MB, START, Workshop
from pe_ray.bench.document import Result, at_least, measured

TIMES = 10
CUTS = (1, 4, 16)
"""Parts of each source, and shares of each band of the near-duplicate search."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--cut-records", type=at_least(100), default=2000, help="of scale.fingerprints")


def run(args: argparse.Namespace, shop: Workshop) -> list[Result]:
    """Growth on Ray, growth in one process, fingerprints."""
    small, large = max(args.records // TIMES, 1), args.records
    rows = [*_growth("ray", small, large, shop), *_growth("local", small, large, shop)]
    corpus_mb = _bytes(shop.dialogues(large)) / 1e6
    rows.append(measured("scale.corpus_over_object_store", corpus_mb / OBJECT_STORE_MB, "ratio", "higher", 1.0))
    rows.append(measured("scale.corpus_mb", corpus_mb, "MB", "higher"))
    rows.append(measured("scale.object_store_mb", OBJECT_STORE_MB, "MB", "lower"))
    return rows + _fingerprints(args.cut_records, (small, large), shop)


def _growth(engine: str, small: int, large: int, shop: Workshop) -> list[Result]:
    """The figures of an engine; those on Ray have the bounds."""
    start, one, ten = (shop.built(records, engine) for records in (START, small, large))
    cpu = (ten.cpu_s - start.cpu_s) / (one.cpu_s - start.cpu_s)
    memory = ten.peak_memory_gib / one.peak_memory_gib
    on_ray = engine == "ray"
    prefix = "scale" if on_ray else f"scale.{engine}"
    return [
        measured(f"{prefix}.cpu_growth_10x", cpu, "ratio", "lower", 11 if on_ray else None),
        measured(f"{prefix}.memory_growth_10x", memory, "ratio", "lower", 1.3 if on_ray else None),
        measured(f"{prefix}.memory_1x_gib", one.peak_memory_gib, "GiB", "lower"),
        measured(f"{prefix}.memory_10x_gib", ten.peak_memory_gib, "GiB", "lower"),
    ]


def _fingerprints(records: int, built: tuple[int, ...], shop: Workshop) -> list[Result]:
    """Distinct fingerprints of one corpus that was cut in several ways; on both engines for those that were built."""
    file_mib = _bytes(shop.dialogues(records)) / 5 / 2**20
    cut = [
        shop.built(records, part_mib=file_mib / cuts, partitions=cuts, backwards=bool(at % 2))
        for at, cuts in enumerate(CUTS)
    ]
    groups = [cut, *([shop.built(n, "local"), shop.built(n, "ray")] for n in built)]
    distinct = max(len({b.fingerprint for b in group}) for group in groups)
    parts = [measured(f"scale.parts.{c}", b.parts, "parts", "higher") for c, b in zip(CUTS, cut, strict=True)]
    return [measured("scale.fingerprints", distinct, "distinct", "lower", 1), *parts]


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*.jsonl"))
