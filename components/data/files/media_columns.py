"""Which file, or files, each row has of a media input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from components.config.inputs import AudioInput, ImageInput
from components.data.files.media import MediaFacts
from components.data.files.media_index import MISSING, Media
from components.storage.digest import digest_json

Column = list[str | None]


def media_columns(
    section: ImageInput | AudioInput,
    cells: Mapping[str, Column],
    facts: Mapping[Media, MediaFacts],
    allow_missing: bool,
) -> tuple[dict[str, Column], list[tuple[int, str, str]]]:
    """Columns ``digest`` and ``path``; and row, path and reason of each file that cannot be used.

    Of several columns ``path`` holds a JSON list with a place for each, null where there is no file. A row
    with one bad file among several is faulty: leaving it out would be a silent change of the row.
    """
    rows = list(zip(*cells.values(), strict=True))
    made: dict[str, Column] = {"digest": [None] * len(rows), "path": [None] * len(rows)}
    faults = []
    for row, paths in enumerate(rows):
        used, digests, wrong = [], [], False
        for path in paths:
            found, reason = _judged(section, path, facts, allow_missing)
            if path is not None and reason is not None:
                faults.append((row, path, reason))
                wrong = True
            used.append(path if found else None)
            digests.append(found)
        if wrong or not any(digests):
            continue
        several = len(paths) > 1
        made["digest"][row] = row_digest(digests) if several else digests[0]
        made["path"][row] = json.dumps(used, ensure_ascii=False) if several else used[0]
    return made, faults


def _judged(
    section: ImageInput | AudioInput,
    path: str | None,
    facts: Mapping[Media, MediaFacts],
    allow_missing: bool,
) -> tuple[str | None, str | None]:
    """Digest of a file that is used, and why one cannot be; both None for a missing one."""
    if path is None:
        return None, None
    found = facts[path, section.modality]
    silence = section.silent if isinstance(section, AudioInput) and found.silent else "keep"
    if (found.reason == MISSING and allow_missing) or silence == "missing":
        return None, None
    if found.reason is not None:
        return None, found.reason
    if silence == "quarantine":
        return None, f"silent throughout (peak {found.peak:.1g})"
    return found.digest, None


def row_digest(digests: Sequence[str | None]) -> str:
    """Digest of several files of a row, whose order does not matter; of missing ones nothing."""
    return digest_json(sorted(each for each in digests if each is not None))
