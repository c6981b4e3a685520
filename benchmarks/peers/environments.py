"""An environment per peer, made by uv where it is on the path, else by venv and pip."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.storage.digest import digest

REQUIREMENTS = Path(__file__).parent / "requirements"
PEERS: dict[str, str | None] = {
    "simple": "simple",
    "autogluon": "autogluon-tabular",
    "automm": "autogluon-multimodal",
    "ludwig": "ludwig",
    "braid": None,
}
"""Peers by name, with the file of their packages; braid runs in this environment."""
PROGRAMS = {
    "simple": "simple",
    "autogluon": "autogluon_tabular",
    "automm": "autogluon_multimodal",
    "ludwig": "ludwig",
    "braid": "braid",
}
"""Module of each peer in :mod:`benchmarks.peers.programs`."""
_ANY_TORCH = frozenset(["autogluon"])  # torchvision of the others loads with its own build of torch alone
_LIMIT = 1800.0  # seconds


@dataclass(frozen=True)
class Environment:
    """An environment of a peer, or the reason why it could not be made.

    Attributes:
        python: Its Python; None where it could not be made.
        failure: Reason.
    """

    python: Path | None
    failure: str = ""


def environment_of(peer: str, folder: Path) -> Environment:
    """Make a peer's environment, or find that it is there with the same packages.

    Args:
        peer: A name of :data:`PEERS`.
        folder: Folder of all environments.
    """
    name = PEERS[peer]
    if name is None:
        return Environment(Path(sys.executable))
    requirements = REQUIREMENTS / f"{name}.txt"
    home = folder / f"{name}-{digest(requirements.read_text('utf-8'), sys.version)[:8]}"
    python, complete = home / "bin" / "python", home / "complete"
    if complete.exists():
        return Environment(python)
    shutil.rmtree(home, ignore_errors=True)
    links = _wheels() if peer in _ANY_TORCH else ()
    for command in _commands(home, python, requirements, links):
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return Environment(None, f"not installed within {_LIMIT:.0f} s")
        if made.returncode:
            return Environment(None, f"not installed: {_reason(made.stderr)}")
    complete.touch()
    return Environment(python)


def _commands(home: Path, python: Path, requirements: Path, links: Sequence[str]) -> list[list[str]]:
    if (uv := shutil.which("uv")) is None:
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "-r", str(requirements)]
        return [[sys.executable, "-m", "venv", str(home)], install]
    folders = [word for link in links for word in ("--find-links", link)]
    install = [uv, "pip", "install", "--quiet", "--python", str(python), *folders, "-r", str(requirements)]
    return [[uv, "venv", "--quiet", "--python", sys.executable, str(home)], install]


def _wheels() -> Sequence[str]:
    """List pip's folders of wheels, which uv does not read: one may hold torch's build without CUDA."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings = re.findall(r"^[^=]*find-links='(.*)'$", shown.stdout, flags=re.MULTILINE)
    return list(dict.fromkeys(link for line in settings for link in line.split(r"\n")))


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
    return " ".join(lines)[-300:] or "no output"
