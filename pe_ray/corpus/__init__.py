"""From sources to a balanced snapshot: read, clean, check, decide, write, and account for every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pe_ray.config import Config
    from pe_ray.corpus.pipeline import CorpusResult
    from pe_ray.store.paths import Home


def build(config: Config, home: Home) -> CorpusResult:
    """Build the corpus on the engine that `corpus.engine` names: `ray`, or `local`, which is this process.

    Raises SourceError for a source that cannot be opened and GateNotMet for a corpus that must not be used.
    """
    if config.corpus.engine == "local":
        from pe_ray.corpus import pipeline as engine
    else:
        from pe_ray.corpus import job as engine
    return engine.build(config, home)
