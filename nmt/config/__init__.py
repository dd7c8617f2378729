"""The configuration: its settings and their rules, and how it is read, checked and written."""

from nmt.config.fields import (
    BATCH_HYPOTHESES,
    FORMAT,
    OPTIONS,
    SECTIONS,
    AttentionName,
    CellName,
    Config,
    DataConfig,
    DecodingConfig,
    ModelConfig,
    SourceConfig,
    TrainingConfig,
    VocabularyConfig,
)
from nmt.config.rules import check_config
from nmt.config.toml import apply_setting, data_with, load_config, parse_config, write_config

__all__ = [
    "BATCH_HYPOTHESES", "FORMAT", "OPTIONS", "SECTIONS", "AttentionName", "CellName", "Config", "DataConfig",
    "DecodingConfig", "ModelConfig", "SourceConfig", "TrainingConfig", "VocabularyConfig", "apply_setting",
    "check_config", "data_with", "load_config", "parse_config", "write_config",
]  # fmt: skip
