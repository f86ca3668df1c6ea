"""Frozen, strict configuration of every run; loads in a moment, without torch or Ray."""

from pe_ray.config.corpus import (
    SHARES,
    SOURCE_KINDS,
    CheckConfig,
    CorpusConfig,
    DuplicateConfig,
    EvalSetSpec,
    PiiConfig,
    QuestionConfig,
    ReviewConfig,
    SourceSpec,
)
from pe_ray.config.generate import GenerateConfig
from pe_ray.config.load import check, config_hash, dump, load
from pe_ray.config.section import Section
from pe_ray.config.tree import (
    PROFILE_NAMES,
    BaseConfig,
    Config,
    ExportConfig,
    ModelConfig,
    ProgressConfig,
    ServeConfig,
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
    "DuplicateConfig",
    "EvalSetSpec",
    "ExportConfig",
    "GenerateConfig",
    "ModelConfig",
    "PiiConfig",
    "ProgressConfig",
    "QuestionConfig",
    "ReviewConfig",
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
