"""The errors that a caller may handle.

A wrong input is a `ValueError` where a function finds it and a `UserError` where a door reports it. Everything here
says what happened with its value, and the next step.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""A full disk, and a quota that is used up."""


class PeRayError(Exception):
    """Base of the errors that pe_ray raises on purpose; `exit_code` is what `pe-ray` ends with."""

    exit_code = 1


class UserError(PeRayError, ValueError):
    """The user's input is wrong: one line per problem, each naming the field, its value and what would be right."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems


class ConfigError(UserError):
    """A run file or an override that does not describe a run."""


class SourceError(UserError):
    """A corpus source that cannot be opened at all (one bad row is quarantined instead)."""


class BaseModelError(UserError):
    """A base model that is absent, or of a kind that cannot be trained or exported exactly."""


class RunConflict(UserError):
    """A run id that already belongs to another configuration."""


class ManifestError(PeRayError):
    """A directory that is not finished, is damaged, or is not what it was taken for."""


class GateNotMet(PeRayError):
    """A quality gate stopped the job (for example, under 99 % of the rows could be processed)."""

    exit_code = 3


class DatabaseTooNew(PeRayError):
    """A database written by a later version of pe_ray: reading it could lose what we do not know."""


class PortBusy(PeRayError):
    """Another program listens where we were asked to."""


class SealError(PeRayError):
    """A sealed value that cannot be opened: another key, another row, or changed bytes."""


class KeyUnavailable(PeRayError):
    """The key-encryption key is missing, readable by others, or not the one that wrapped the data keys."""


class ClientNotFound(PeRayError):
    """No such client, or none that the caller may see; the two are not told apart."""


class AdapterNotFound(PeRayError):
    """No finished adapter of that name and version."""


class TrainingDiverged(PeRayError):
    """The loss was not a number too often in a row; the last finite checkpoint is kept."""


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room, in the words of the system or of SQLite."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)
