"""Names of columns, classes and samples where other systems take few characters."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from components.storage.digest import digest

_LONGEST = 63  # bytes, as PostgreSQL cuts a name
_MARK = 8  # digits of the digest
_OTHER = re.compile(r"[^\w-]+")


def outside_name(name: str) -> str:
    """Write a name as trackers, databases, dashboards and file systems all take it.

    A name of letters, digits, ``_`` and ``-`` stays as it is. In any other name the other characters become
    ``_``, and digits of its digest follow, so that no two names become one.

    Args:
        name: Name of any characters and length.

    Returns:
        At most 63 bytes of UTF-8.
    """
    plain = _OTHER.sub("_", unicodedata.normalize("NFC", name))
    return name if plain == name and 0 < len(name.encode()) <= _LONGEST else _marked(name)


def outside_names(names: Iterable[str]) -> dict[str, str]:
    """Write names as :func:`outside_name` does, for systems to which upper and lower case are one.

    Args:
        names: Names that differ.

    Returns:
        The new names by the old ones; no two are equal, whatever their case.
    """
    written = {name: outside_name(name) for name in names}
    count = Counter(map(str.casefold, written.values()))
    return {
        name: _marked(name) if name == other and count[other.casefold()] > 1 else other
        for name, other in written.items()
    }


def _marked(name: str) -> str:
    """Append digits of a name's digest to as much of the name as fits."""
    data = name.encode("utf-8", "surrogatepass")
    plain = _OTHER.sub("_", unicodedata.normalize("NFC", data.decode("utf-8", "replace"))).strip("_-")
    short = plain.encode()[: _LONGEST - _MARK - 1].decode("utf-8", "ignore")
    return f"{short or 'name'}-{digest(name)[:_MARK]}"
