"""Errors that a user can correct; shown as one message, without a traceback."""

import json
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from components.redaction import redacted

_MOST = 20  # lines
_COMPARED = 5000  # names; more take seconds
_LONGEST = 600  # characters per line, as names of columns may have any length


class BraidError(Exception):
    """Fault outside of braid; the message gives the place, what was found, what was expected, the remedy."""

    def __str__(self) -> str:
        lines = redacted(super().__str__()).splitlines()
        if len(lines) > _MOST:  # such as one per column
            lines[_MOST - 3 : -2] = [f"... {len(lines) - _MOST + 1} more lines"]
        return "\n".join(map(_shortened, lines))


class ConfigError(BraidError):
    """A configuration file or an override is not valid."""


class DataError(BraidError):
    """The manifest or a file it names cannot be used as it is."""


class ModelError(BraidError):
    """A model, its weights or its options cannot be used as they are."""


class ServiceError(BraidError):
    """A server that the run needs, or space on the disk, is missing for now; a retry may help."""


class OutOfTimeError(BraidError):
    """A step had no more time within ``time_limit``."""


def to_text(error: BraidError) -> str:
    """Convert an error to text for another process, where :func:`from_text` restores it."""
    return json.dumps([type(error).__name__, str(error)])


def from_text(text: str) -> BraidError:
    """Restore the error that :func:`to_text` converted; a BraidError if its class is unknown here."""
    name, message = json.loads(text)
    return next((kind for kind in _kinds(BraidError) if kind.__name__ == name), BraidError)(message)


def _kinds(kind: type[BraidError]) -> Iterator[type[BraidError]]:
    """Give a class and all its subclasses."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from _kinds(subclass)


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} ... {line[-half:]}"


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` if a known word is spelt nearly like ``word``, else ``""``."""
    matches = get_close_matches(str(word), [str(name) for name in islice(known, _COMPARED)], n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else ""
