"""Corpus: near-duplicates beside the peers, the pipeline beside its own functions, scale, and real duplicates."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pe_ray.bench import counselchat, neardup, pipeline, scale
from pe_ray.bench.building import Workshop
from pe_ray.bench.document import Result, at_least, parts_of

PURPOSE = (
    "The corpus engine: near-duplicates against rensa and datasketch, rates, Ray's share, growth, real duplicates."
)
PARTS = ("near_dedup", "counselchat", "pipeline", "scale")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this area."""
    parser.add_argument(
        "--only", type=parts_of(PARTS), default=PARTS, help=f"some of {','.join(PARTS)}; a comma between"
    )
    parser.add_argument("--rounds", type=at_least(1), default=3, help="of what is measured in rounds; the best counts")
    parser.add_argument(
        "--records", type=at_least(100), default=100_000, help="of the largest corpus that is built (and a tenth of it)"
    )
    for part in (neardup, pipeline, scale):
        part.arguments(parser)


def run(args: argparse.Namespace) -> list[Result]:
    """The figures of the parts that are asked for."""
    found: list[Result] = []
    with TemporaryDirectory(prefix="pe_ray-bench-") as folder:
        shop = Workshop(Path(folder), say=lambda line: print(line, file=sys.stderr, flush=True))
        for part in args.only:
            found += _part(part, args, shop)
    return found


def _part(name: str, args: argparse.Namespace, shop: Workshop) -> list[Result]:
    if name == "near_dedup":
        return neardup.run(args)
    if name == "counselchat":
        return counselchat.run()
    return pipeline.run(args, shop) if name == "pipeline" else scale.run(args, shop)
