"""SQL databases by URL, whose passwords neither files nor messages show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from components.errors import BraidError, ConfigError
from components.runtime.environ import filled


@dataclass(frozen=True)
class Database:
    """A database that may be connected to.

    Attributes:
        engine: SQLAlchemy's.
        shown: Its URL without user, password and options.
    """

    engine: sa.Engine
    shown: str

    @contextmanager
    def told(self, kind: type[BraidError], what: str) -> Iterator[None]:
        """What goes wrong in the block, as one line without secrets; its connections are closed in the end.

        Args:
            kind: The error that is raised.
            what: Begins its message.
        """
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            url = self.engine.url
            for secret in (str(url.password or ""), *map(str, url.query.values())):
                cause = cause.replace(secret, "***") if secret else cause
            raise kind(f"{what}: {cause}") from None
        finally:
            self.engine.dispose()


def open_database(url: str, where: str) -> Database:
    """Prepare a database; nothing is connected yet.

    Args:
        url: SQLAlchemy URL. ``${NAME}`` stands for an environment variable.
        where: Option that says it, for messages.

    Raises:
        ConfigError: If the URL is none, or a variable is not set.
        BraidError: If the driver is not installed.
    """
    try:
        found = sa.make_url(filled(url, where))
    except (ArgumentError, ValueError):  # the message holds the URL, and that a password
        raise ConfigError(
            f"{where}: not a SQLAlchemy URL; expected one such as postgresql+psycopg://user@host/database "
            "or sqlite:///scores.db"
        ) from None
    shown = f"{found.drivername}://{found.host or ''}/{found.database or ''}"
    try:
        return Database(sa.create_engine(found), shown)
    except (NoSuchModuleError, ImportError) as error:
        raise BraidError(f"{where} {shown}: no driver for it is installed here: {error}") from None
    except Exception as error:  # a driver may refuse an option with any error, and say its value
        raise ConfigError(
            f"{where} {shown}: {type(error).__name__}: an option in the URL cannot be used "
            f"({', '.join(found.query)})"
        ) from None
