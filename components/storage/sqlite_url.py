"""Addresses of SQLite files for SQLAlchemy, which has no way to write every path."""

from pathlib import Path
from urllib.parse import unquote

from components.errors import ConfigError

_SCHEME = "sqlite:///"


def sqlite_url(file: Path, driver: str = "") -> str:
    """Return the address of a SQLite file in the workspace.

    Args:
        file: Absolute path.
        driver: Driver other than Python's own, such as ``aiosqlite``.

    Raises:
        ConfigError: If the path holds a question mark, where the address would end. Or an encoded character
            such as ``%25``, which MLflow decodes in paths of models.
    """
    path = str(file)
    if "?" in path or unquote(path) != path:
        raise ConfigError(
            f"{file.parent}: a folder with '?' or '%' and two digits in its path cannot be a workspace, as "
            "databases and MLflow would read it as another one; choose another --workspace"
        )
    return f"{f'sqlite+{driver}:///' if driver else _SCHEME}{path}"


def sqlite_file(url: str) -> Path | None:
    """Return the file of an address that :func:`sqlite_url` gives; None for other databases and servers."""
    return Path(url.removeprefix(_SCHEME)) if url.startswith(_SCHEME) else None
