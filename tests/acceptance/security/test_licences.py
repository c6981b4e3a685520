"""No distribution that braid installs is under a licence that would bind who uses it; needs no network."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMES = [line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").split()]
BINDING = re.compile(r"(?<!L)\b(?:AGPL|GPL|SSPL|BUSL)|General Public License", re.IGNORECASE)
CHOSEN = {"text-unidecode": "Artistic License"}  # of several to choose from
IN_A_FILE = {"atheris": "Apache License", "huey": "Permission is hereby granted, free of charge"}


def licence(name: str) -> str:
    """Read what a distribution says of itself: an expression, classifiers, or the beginning of its text."""
    fields = metadata.metadata(name)
    if name in CHOSEN:
        return CHOSEN[name]
    classifiers = [each for each in fields.get_all("Classifier") or [] if each.startswith("License ::")]
    text = "; ".join(
        filter(None, [fields.get("License-Expression"), *classifiers, (fields.get("License") or "")[:80]])
    )
    return text.replace("GNU Lesser General Public License", "LGPL")


def installed() -> list[str]:
    """Those of the constraints that this platform has."""
    known = {each.metadata["Name"].lower().replace("_", "-") for each in metadata.distributions()}
    return [name for name in NAMES if name.lower().replace("_", "-") in known]


def test_no_licence_binds_who_uses_it() -> None:
    names = installed()
    assert len(names) > 100
    assert {name: licence(name) for name in names if BINDING.search(licence(name))} == {}


def test_what_may_be_chosen_is_offered() -> None:
    for name, wanted in CHOSEN.items():
        assert any(wanted in each for each in metadata.metadata(name).get_all("Classifier") or [])


def test_every_distribution_says_its_licence() -> None:
    assert [name for name in installed() if not licence(name) and name not in IN_A_FILE] == []
    for name, words in IN_A_FILE.items():
        if name in installed():
            files = [file for file in metadata.files(name) or [] if "licen" in file.name.lower()]
            assert any(words in file.read_text("utf-8") for file in files), name
