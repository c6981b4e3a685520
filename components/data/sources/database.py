"""SQL databases by URL; no message or file shows their passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from components.errors import BraidError, ConfigError
from components.runtime.environ import filled


@dataclass(frozen=True)
class Database:
    """SQL database to which nothing is connected yet.

    Attributes:
        engine: SQLAlchemy engine.
        shown: URL without user, password and options, for messages.
    """

    engine: sa.Engine
    shown: str

    @contextmanager
    def errors_as(self, kind: type[BraidError], prefix: str) -> Iterator[None]:
        """Convert a database error of the block to one line without secrets; close its connections.

        Args:
            kind: Class of the error that is raised instead.
            prefix: Beginning of its message.
        """
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            url = self.engine.url
            for secret in (str(url.password or ""), *map(str, url.query.values())):
                cause = cause.replace(secret, "***") if secret else cause
            raise kind(f"{prefix}: {cause}") from None
        finally:
            self.engine.dispose()


def open_database(url: str, option: str) -> Database:
    """Prepare a database; nothing is connected yet.

    Args:
        url: SQLAlchemy URL; ``${NAME}`` is replaced by the environment variable.
        option: Option that gives the URL, for messages.

    Raises:
        ConfigError: If the URL is not valid, or a variable is not set.
        BraidError: If the driver is not installed.
    """
    try:
        parsed = sa.make_url(filled(url, option))
    except (ArgumentError, ValueError):  # the error is not chained, as its message may show a password
        raise ConfigError(
            f"{option}: not a SQLAlchemy URL; expected one such as postgresql+psycopg://user@host/database "
            "or sqlite:///scores.db"
        ) from None
    shown = f"{parsed.drivername}://{parsed.host or ''}/{parsed.database or ''}"
    try:
        return Database(sa.create_engine(parsed), shown)
    except (NoSuchModuleError, ImportError) as error:
        raise BraidError(f"{option} {shown}: no driver for it is installed here: {error}") from None
    except Exception as error:  # as a driver may refuse an option with any error, whose text shows the value
        raise ConfigError(
            f"{option} {shown}: {type(error).__name__}: an option in the URL cannot be used "
            f"({', '.join(parsed.query)})"
        ) from None
