"""Errors that are the user's to mend: shown as one message, without a traceback."""

from __future__ import annotations

from components.secrets import redacted

_LONGEST = 600  # letters of a line; names of columns may have any length


class BraidError(Exception):
    """Something outside braid is wrong; the message names the place, what was found and the remedy."""

    def __str__(self) -> str:
        return "\n".join(map(_shortened, redacted(super().__str__()).splitlines()))


class DataError(BraidError):
    """The manifest or a file it names cannot be used as it is."""


class ModelError(BraidError):
    """A model, its weights or its options cannot be used as they are."""


class ServiceError(BraidError):
    """A server that the run needs, or room on the disk, is not there for now; trying again may help."""


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} ... {line[-half:]}"
