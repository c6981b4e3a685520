"""Creation, copy and restoration of the bucket of artifacts.

    python bucket.py create
    python bucket.py save FOLDER
    python bucket.py restore FOLDER

``BRAID_BUCKET`` names it; ``MLFLOW_S3_ENDPOINT_URL`` (none for AWS) and the AWS variables give its address
and key. A copy mirrors the bucket: equal objects are skipped, and objects that the source lacks are deleted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

_COMPLETE = ".complete"  # a folder without it was not saved to its end, and is not restored from
_MARK = "braid-modified"  # of the file that an object was restored from


def bucket() -> Any:
    """The bucket that the environment names."""
    name = os.environ.get("BRAID_BUCKET")
    if not name:
        raise SystemExit("bucket: the environment variable BRAID_BUCKET is not set: name of the bucket")
    return boto3.resource("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None).Bucket(name)


def create() -> str:
    """Make the bucket, unless it is there."""
    made = bucket()
    try:
        made.meta.client.head_bucket(Bucket=made.name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise SystemExit(f"bucket {made.name}: {error}") from None
        made.create()
        return f"bucket {made.name} made"
    return f"bucket {made.name} is there"


def save(folder: Path) -> str:
    """Make ``folder`` a copy of the bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _COMPLETE).unlink(missing_ok=True)
    objects = {entry.key: entry for entry in bucket().objects.all() if not entry.key.endswith("/")}
    copied = 0
    for key, entry in objects.items():
        path = _inside(folder, key)
        modified = entry.last_modified.timestamp()
        if path.is_file() and path.stat().st_size == entry.size and path.stat().st_mtime >= modified:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".tmp")
        entry.Object().download_file(str(partial))
        partial.replace(path)
        copied += 1
    gone = [path for path in files(folder) if path.relative_to(folder).as_posix() not in objects]
    for path in gone:
        path.unlink()
    (folder / _COMPLETE).write_text(f"{len(objects)}\n")
    return f"{len(objects)} objects, {copied} copied, {len(gone)} removed"


def restore(folder: Path) -> str:
    """Make the bucket a copy of ``folder``."""
    if not (folder / _COMPLETE).is_file():
        raise SystemExit(f"{folder}: no complete copy of a bucket ({_COMPLETE} is missing): save it first")
    create()
    target = bucket()
    present = {entry.key: entry.size for entry in target.objects.all()}
    wanted = {path.relative_to(folder).as_posix(): path for path in files(folder)}
    sent = 0
    for key, path in wanted.items():
        mark = str(path.stat().st_mtime_ns)
        if present.get(key) == path.stat().st_size and target.Object(key).metadata.get(_MARK) == mark:
            continue
        target.upload_file(str(path), key, ExtraArgs={"Metadata": {_MARK: mark}})
        sent += 1
    gone = present.keys() - wanted.keys()
    for key in gone:
        target.Object(key).delete()
    return f"{len(wanted)} objects, {sent} sent, {len(gone)} removed"


def files(folder: Path) -> list[Path]:
    """All files of a copy."""
    return [path for path in folder.rglob("*") if path.is_file() and path != folder / _COMPLETE]


def _inside(folder: Path, key: str) -> Path:
    path = (folder / key).resolve()
    if not path.is_relative_to(folder.resolve()) or path == (folder / _COMPLETE).resolve():
        raise SystemExit(f"object {key!r}: its name is no place below {folder}; rename or delete it")
    return path


def main(arguments: list[str]) -> None:
    actions: dict[str, Callable[[Path], str]] = {"save": save, "restore": restore}
    match arguments:
        case ["create"]:
            print(create())
        case [("save" | "restore") as action, folder]:
            print(actions[action](Path(folder)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
