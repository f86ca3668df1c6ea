"""Who writes: one function, `complete`, whatever stands behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.protocol import Protocols
from pe_ray.corpus.generate.provider import anthropic, ollama, openai, template
from pe_ray.corpus.generate.provider.base import Completion, Provider, ProviderFault
from pe_ray.corpus.generate.provider.http import Dialect, HttpProvider, is_loopback
from pe_ray.errors import ConfigError

DIALECTS: Mapping[str, Dialect] = {
    "openai": openai.DIALECT,
    "anthropic": anthropic.DIALECT,
    "ollama": ollama.DIALECT,
}

__all__ = ["Completion", "Provider", "ProviderFault", "connect"]


def connect(config: GenerateConfig, protocols: Protocols, environ: Mapping[str, str] = os.environ) -> Provider:
    """The provider that the settings name; raises ConfigError if its key is missing or would travel in the open."""
    if config.provider == "template":
        return template.Template(protocols)
    dialect = DIALECTS[config.provider]
    key = environ.get(dialect.key_name, "").strip() if dialect.key_name else ""
    if dialect.key_name and not key and not config.base_url:
        raise ConfigError(
            f"{dialect.key_name} is not set; generate.provider={config.provider} reads its key from there"
        )
    if key and config.url.startswith("http://") and not is_loopback(config.url):
        raise ConfigError(
            f"generate.base_url={config.base_url}: would carry {dialect.key_name} over the network unencrypted; "
            f"use https, or unset the variable"
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"{dialect.key_name}: holds characters that no key has; set it again")
    return HttpProvider(dialect, config, key)
