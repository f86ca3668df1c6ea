"""What every part of the configuration tree is."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A part of the tree: frozen, strict about its keys, documented by the line under each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    shorthand: ClassVar[str | None] = None
    """Field that a bare string stands for: `base: tiny` is `base: {name: tiny}`."""

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthand(cls, value: Any) -> Any:
        return {cls.shorthand: value} if cls.shorthand and isinstance(value, str) else value
