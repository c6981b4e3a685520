"""Columns of a media input in the samples table: the file, or files, of each row."""

import json
from collections.abc import Mapping, Sequence

from components.config.inputs import AudioInput, ImageInput
from components.data.files.media import MediaFacts, is_absent, unfit
from components.data.files.media_index import MISSING, Media
from components.storage.digest import digest_json

Column = list[str | None]
FACTS = {"image": ("contrast", "top"), "audio": ("peak",)}
"""Facts of files that stand in the samples table: see :class:`components.data.files.media.MediaFacts`."""


def media_columns(
    section: ImageInput | AudioInput,
    cells: Mapping[str, Column],
    facts: Mapping[Media, MediaFacts],
    allow_missing: bool,
) -> tuple[dict[str, Column], list[tuple[int, str, str]]]:
    """Return the columns of a media input, from the paths in its cells and the facts of the files.

    A row with one bad file among several is faulty: without the file the row would silently mean less.

    Args:
        section: Configuration of the input.
        cells: Paths by column of the manifest.
        facts: Facts of every file in ``cells``.
        allow_missing: Treat a file that does not exist as a missing input.

    Returns:
        Columns ``digest``, ``path`` and :data:`FACTS`; row, path and reason of each file that cannot be used.
        For an input of several columns a path is a JSON list with an item per column, null where there is no
        file. A fact is then the largest of the files.
    """
    rows = list(zip(*cells.values(), strict=True))
    names = ("digest", "path", *FACTS[section.modality])
    columns: dict[str, Column] = {name: [None] * len(rows) for name in names}
    faults = []
    for row, paths in enumerate(rows):
        usable_paths, digests, faulty = [], [], False
        for path in paths:
            key, reason = _check_file(section, path, facts, allow_missing)
            if path is not None and reason is not None:
                faults.append((row, path, reason))
                faulty = True
            usable_paths.append(path if key else None)
            digests.append(key)
        if faulty or not any(digests):
            continue
        several = len(paths) > 1
        columns["digest"][row] = row_digest(digests) if several else digests[0]
        columns["path"][row] = json.dumps(usable_paths, ensure_ascii=False) if several else usable_paths[0]
        for name in FACTS[section.modality]:
            known = [
                getattr(facts[path, section.modality], name) for path in usable_paths if path is not None
            ]
            columns[name][row] = max(
                (repr(fact) for fact in known if fact is not None), key=float, default=None
            )
    return columns, faults


def _check_file(
    section: ImageInput | AudioInput,
    path: str | None,
    facts: Mapping[Media, MediaFacts],
    allow_missing: bool,
) -> tuple[str | None, str | None]:
    """Return the digest of a usable file, or the reason why it cannot be used; both None if it is missing."""
    if path is None:
        return None, None
    file = facts[path, section.modality]
    if (allow_missing and (file.reason or "").startswith(MISSING)) or is_absent(section, file):
        return None, None
    reason = unfit(section, file)
    return (file.digest, None) if reason is None else (None, reason)


def row_digest(digests: Sequence[str | None]) -> str:
    """Return one digest for several files of a row; their order and missing files do not change it."""
    return digest_json(sorted(each for each in digests if each is not None))
