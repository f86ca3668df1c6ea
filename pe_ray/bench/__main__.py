"""`python -m pe_ray.bench <area> [--json] ...`: measure an area and compare each figure with its bound.

An area is a module here with `PURPOSE`, `arguments(parser)` and `run(args) -> list[Result]`. It is imported only when
asked for, and this module imports the standard library only: an area may run on a machine that lacks what the others
need.

Exit codes: 0 every bound is met, 1 something broke, 2 no such area or option, 3 a bound is missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from pe_ray.bench.document import as_text, document, exit_code, load_average
from pe_ray.errors import PeRayError

AREAS = ("corpus", "train", "faults", "validators")
PURPOSE = "Measure an area and compare each figure with its bound."


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one area, print its document and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    choice = argparse.ArgumentParser(prog="pe-ray bench", description=PURPOSE, add_help=False)
    choice.add_argument("area", choices=AREAS)
    if not given or given[0] not in AREAS:
        choice.parse_args(given[:1])  # says what is wrong and ends with 2
    area = importlib.import_module(f"pe_ray.bench.{given[0]}")
    parser = argparse.ArgumentParser(prog=f"pe-ray bench {given[0]}", description=area.PURPOSE)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    area.arguments(parser)
    args = parser.parse_args(given[1:])
    before = load_average()
    try:
        results = area.run(args)
    except PeRayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    body = document(given[0], results, (before, load_average()))
    print(json.dumps(body, indent=1) if args.json else as_text(body))
    return exit_code(results)


if __name__ == "__main__":
    sys.exit(main())
