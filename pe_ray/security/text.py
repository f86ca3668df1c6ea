"""Text as it may enter: what a database or an encoder cannot hold is refused before it is somebody's words."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

CLIENT_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a client, session or entry id looks like."""


def is_storable(text: str) -> bool:
    """Whether every store can hold the text: no NUL (PostgreSQL refuses it) and no lone surrogate (UTF-8 has none)."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    """The text in NFC with one kind of line end.

    Raises a validation error, which does not hold the text, for what cannot be kept.
    """
    if not is_storable(text):
        raise PydanticCustomError("text_not_storable", "holds NUL or half of a surrogate pair")
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


CleanText = Annotated[str, AfterValidator(clean)]
"""A string field of a request."""
