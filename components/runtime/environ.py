"""Environment variables of the process: set for a block, or filled into an option."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from components.errors import ConfigError
from components.redaction import hide_variable


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables for the block; at its end they have the values from before.

    Args:
        values: Values by name; None unsets a variable.
    """
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def keep_variables(names: Iterable[str]) -> AbstractContextManager[None]:
    """Undo any change of these variables at the end of the block."""
    return variables({name: os.environ.get(name) for name in names})


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


_VARIABLE = re.compile(r"\$\{(\w+)\}")


def filled(text: str, where: str) -> str:
    """Fill environment variables (``${NAME}``) into a text; from then on no message shows their values.

    Args:
        text: Value of an option.
        where: Path of the option, for messages.

    Raises:
        ConfigError: If a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{where}: the environment variable {match[1]} is not set")
        return os.environ[match[1]]

    hide_variables(text)
    return _VARIABLE.sub(value, text)


def hide_variables(text: str) -> None:
    """Treat the variables that a text names as secrets, in whatever process fills them in."""
    for name in _VARIABLE.findall(text):
        hide_variable(name)
