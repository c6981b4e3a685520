"""``${NAME}`` in an option stands for an environment variable: secrets stay out of files and records."""

from __future__ import annotations

import os
import re

from components.config.explain import ConfigError

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
