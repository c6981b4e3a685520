"""Environment variables that belong to the whole process, set for a while."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from components.errors import ConfigError


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables for the block; what is done to them in it, here or by a library, ends with it.

    Args:
        values: By name; None takes a variable away.
    """
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def kept(names: Iterable[str]) -> AbstractContextManager[None]:
    """Leave variables as they are, whatever a library does to them in the block."""
    return variables({name: os.environ.get(name) for name in names})


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


_VARIABLE = re.compile(r"\$\{(\w+)\}")


def filled(text: str, where: str) -> str:
    """The text with its environment variables.

    Args:
        text: What an option says.
        where: The option, for messages.

    Raises:
        ConfigError: If a variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ConfigError(f"{where}: the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return _VARIABLE.sub(value, text)
