"""Frozen, strict configuration of every run; loads in a moment, without torch or Ray."""

from pe_ray.config.load import check, config_hash, dump, load
from pe_ray.config.tree import (
    PROFILE_NAMES,
    SHARES,
    SOURCE_KINDS,
    BaseConfig,
    CheckConfig,
    Config,
    CorpusConfig,
    ExportConfig,
    ModelConfig,
    ProgressConfig,
    Section,
    ServeConfig,
    SourceSpec,
    TinyBaseConfig,
    TrainConfig,
    TuneConfig,
)

__all__ = [
    "PROFILE_NAMES",
    "SHARES",
    "SOURCE_KINDS",
    "BaseConfig",
    "CheckConfig",
    "Config",
    "CorpusConfig",
    "ExportConfig",
    "ModelConfig",
    "ProgressConfig",
    "Section",
    "ServeConfig",
    "SourceSpec",
    "TinyBaseConfig",
    "TrainConfig",
    "TuneConfig",
    "check",
    "config_hash",
    "dump",
    "load",
]
