"""Named tensors in safetensors files that carry the digest of their content: damage is noticed on reading."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from components.errors import ModelError
from components.storage.atomic import replacing
from components.storage.digest import digest_tensors

_DIGEST = "digest"


class DamagedError(ModelError):
    """A file of tensors is not what was written."""


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors atomically as safetensors; tensors that share memory are written out each."""
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(whole, temporary, {**(metadata or {}), _DIGEST: digest_tensors(whole)})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors that :func:`save_tensors` was given.

    Raises:
        DamagedError: If the file is not whole or its content not that of its digest.
        FileNotFoundError: If there is none.
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As :func:`load_tensors`, with the metadata. A file without a digest is taken as it is."""
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, ValueError) as error:
        raise DamagedError(_damage(path, str(error))) from error
    expected = metadata.pop(_DIGEST, None)
    if expected is not None and digest_tensors(tensors) != expected:
        raise DamagedError(_damage(path, "its content does not match its checksum"))
    return tensors, metadata


def is_whole(path: Path) -> bool:
    """True if :func:`load_tensors` can read the file."""
    try:
        load_tensors(path)
    except (DamagedError, FileNotFoundError):
        return False
    return True


def _damage(path: Path, what: str) -> str:
    return f"{path}: damaged: {what}. In a cache the same command makes it again; fetch a model once more"
