"""Errors that are the user's to mend: shown as one message, without a traceback."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from difflib import get_close_matches

from components.redaction import redacted

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


def to_text(error: BraidError) -> str:
    """An error for another process, which :func:`from_text` makes again."""
    return json.dumps([type(error).__name__, str(error)])


def from_text(text: str) -> BraidError:
    """The error that :func:`to_text` was given: of its class where this process knows that."""
    name, message = json.loads(text)
    return next((kind for kind in _kinds(BraidError) if kind.__name__ == name), BraidError)(message)


def _kinds(kind: type[BraidError]) -> Iterator[type[BraidError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} ... {line[-half:]}"


class ConfigError(BraidError):
    """A configuration file or an override is not valid."""


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` if something known is spelt nearly like ``word``, else nothing."""
    matches = get_close_matches(str(word), [str(name) for name in known], n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else ""
