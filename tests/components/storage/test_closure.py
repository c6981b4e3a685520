"""Digests of code: the same for the same behaviour, other ones for other behaviour, in any file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.storage.closure import Closure, Source, code_digest, read_source

STEP = '''
"""Words."""
from __future__ import annotations

import math as m
from functools import cache
from typing import TYPE_CHECKING

from lib.tools import double, unused
from lib import numbers
from pydantic import Field

if TYPE_CHECKING:
    from lib.shapes import Shape

LIMIT: int = 3
TABLE = {"a": 1}
TABLE["b"] = 2


class Step(Base):
    """Words."""

    # why
    size: int = Field(1, description="Words.")

    def run(self, files, shape: Shape, *, most=LIMIT):
        """Words."""
        total = 0
        for row in files:
            with open(row) as source:
                total += double(m.floor(len(source.read())))
        try:
            kept = [item for item in TABLE if item]
        except ValueError as error:
            total = str(error)
        match total:
            case [first, *others] | {"k": first, **others}:
                kept = first, others

        def inner(given):
            nonlocal kept
            kept = given
            return lambda each: (each, kept)

        if (count := len(kept)) > most:
            return inner(count), numbers.ONE
        return shape.area(), total


def aside():
    return 1
'''
FILES = {
    "lib.step": STEP.replace("class Step(Base)", "from lib.base import Base\n\n\nclass Step(Base)"),
    "lib.base": "class Base:\n    def rest(self):\n        return other()\n\ndef other():\n    return 5\n",
    "lib.tools": "def double(x):\n    return _times(2, x)\n\ndef _times(n, x):\n    return n * x\n\n"
    "def unused():\n    return 4\n",
    "lib.numbers": "import warnings\n\nwarnings.simplefilter('error')\nONE = 1\nTWO = 2\n",
    "lib.shapes": "class Shape:\n    def area(self):\n        return 6\n",
}


def step(module: str = "lib.step", name: str = "Step") -> Callable[..., Any]:
    """A stand-in for a class of a module that need not be importable."""

    def stand_in() -> None: ...

    stand_in.__module__, stand_in.__qualname__ = module, name
    return stand_in


def key(files: dict[str, str], module: str = "lib.step", name: str = "Step") -> str:
    sources = {"lib": Source("", is_package=True)}
    sources |= {name: Source(text, name in ("lib", "lib.sub")) for name, text in files.items()}
    return Closure(step(module, name), read=sources.get).digest()


def changed(file: str, old: str, new: str, files: dict[str, str] = FILES) -> dict[str, str]:
    assert old in files[file]
    return {**files, file: files[file].replace(old, new)}


WORDING = {
    "docstring": ("lib.step", '"""Words."""', '"""Other words,\n    over two lines."""'),
    "no docstring": ("lib.base", "def rest", '"""New."""\n\n    def rest'),
    "comment": ("lib.step", "    # why\n", ""),
    "layout": ("lib.tools", "n * x", "(n   *   x)"),
    "description of an option": ("lib.step", '"Words.")', '"Better words.")'),
    "local variable": ("lib.step", "total", "amount"),
    "variable of a loop": ("lib.step", "row", "line"),
    "variable of with": ("lib.step", "source", "handle"),
    "variable of a comprehension": ("lib.step", "item", "entry"),
    "variable of an exception": ("lib.step", "error", "problem"),
    "captures of a match": ("lib.step", "others", "tail"),
    "nonlocal variable": ("lib.step", "kept", "rest"),
    "function within": ("lib.step", "inner", "within"),
    "walrus": ("lib.step", "count", "n"),
    "name of an import": ("lib.step", "m.floor", "maths.floor"),
    "import of a module for a name": ("lib.step", "numbers", "figures"),
    "name of an import for types": ("lib.step", "if TYPE_CHECKING", "if typing.TYPE_CHECKING"),
    "name of a function": ("lib.tools", "_times", "_product"),
    "unused function beside": ("lib.tools", "return 4", "return 5"),
    "unused constant beside": ("lib.numbers", "TWO = 2", "TWO = 3"),
    "unused import": ("lib.step", "from functools import cache\n", ""),
    "order of imports": ("lib.step", "from functools import cache\n", "import json\n"),
    "annotation": ("lib.step", "LIMIT: int = 3", "LIMIT = 3"),
    "unused definition of a step": ("lib.step", "    return 1\n", "    return 2\n"),
}
ALSO = {  # what a rename has to change elsewhere
    "name of an import": ("import math as m\n", "import math as maths\n"),
    "name of an import for types": ("from typing import TYPE_CHECKING", "import typing"),
    "import of a module for a name": ("from lib import figures", "from lib import numbers as figures"),
}


@pytest.mark.parametrize("kind", WORDING)
def test_wording_does_not_matter(kind: str) -> None:
    file, old, new = WORDING[kind]
    files = changed(file, old, new)
    if kind in ALSO:
        files = changed(file, *ALSO[kind], files)
    ast.parse(files[file])
    assert key(files) == key(FILES)


BEHAVIOUR = {
    "constant": ("lib.step", "total = 0", "total = 1"),
    "type of a constant": ("lib.step", "total = 0", "total = 0.0"),
    "order": ("lib.tools", "n * x", "x * n"),
    "another variable": ("lib.step", "inner(count)", "inner(kept)"),
    "variable of a lambda": ("lib.step", "(each, kept)", "(each, each)"),
    "parameter": ("lib.step", "*, most=LIMIT", "*, most=LIMIT, more=0"),
    "name of a parameter": ("lib.step", "most", "greatest"),  # callers may use it
    "default": ("lib.step", "LIMIT: int = 3", "LIMIT: int = 4"),
    "bound of an option": ("lib.step", "Field(1, desc", "Field(1, ge=0, desc"),
    "type of an option": ("lib.step", "size: int", "size: float"),
    "base class": ("lib.step", "class Step(Base)", "class Step"),
    "decorator": ("lib.step", "    def run", "    @cache\n    def run"),
    "another function": ("lib.step", "double(m.", "unused(m."),
    "another library": ("lib.step", "import math as m", "import cmath as m"),
    "another attribute": ("lib.step", "m.floor", "m.ceil"),
    "item of a table, set elsewhere": ("lib.step", 'TABLE["b"] = 2', 'TABLE["b"] = 3'),
    "imported function": ("lib.tools", "_times(2, x)", "_times(3, x)"),
    "function of an imported function": ("lib.tools", "n * x", "n + x"),
    "inherited method": ("lib.base", "return other()", "return 7"),
    "function of an inherited method": ("lib.base", "return 5", "return 7"),
    "class named by an annotation alone": ("lib.shapes", "return 6", "return 7"),
    "name of a module's constant": ("lib.numbers", "ONE = 1", "ONE = 8"),
    "effect of an import": ("lib.numbers", "'error'", "'ignore'"),
}


@pytest.mark.parametrize("kind", BEHAVIOUR)
def test_behaviour_matters_in_every_file(kind: str) -> None:
    assert key(changed(*BEHAVIOUR[kind])) != key(FILES)


def test_a_definition_that_moves_to_another_file_changes_nothing() -> None:
    moved = {
        **changed("lib.tools", "def double(x):\n    return _times(2, x)\n", "from lib.new import double\n"),
        "lib.new": "from lib.tools import _times\n\ndef double(x):\n    return _times(2, x)\n",
    }
    assert key(moved) == key(FILES)


def test_names_are_followed_through_packages_stars_and_relative_imports() -> None:
    def files(value: int) -> dict[str, str]:
        return {
            "lib.sub": "from .inner import *\nfrom .inner import inner",
            "lib.sub.inner": f"def deep():\n    return {value}\n\ndef inner():\n    return {value}\n",
            "lib.step": "def f():\n    from .sub import deep as d\n    return d()\n\n"
            "def g():\n    import lib.sub.inner\n    return lib.sub.inner.deep()\n\n"
            "def h():\n    from . import sub\n    return sub.inner()\n\n"
            "try:\n    from lib.sub.inner import deep as j\nexcept ImportError:\n    j = None\n",
        }

    for name in "fghj":
        assert key(files(1), name=name) != key(files(2), name=name), name


def test_a_module_that_is_a_value_counts_whole() -> None:
    files = {"lib.step": "from lib import tools\nALL = [tools]\n", "lib.tools": "def f():\n    return 1\n"}
    assert key(files, name="ALL") != key(changed("lib.tools", "1", "2", files), name="ALL")


def test_definitions_that_name_each_other_end() -> None:
    files = {"lib.step": "def f():\n    return g()\n\ndef g():\n    return f() + 1\n"}
    assert key(files, name="f") != key(changed("lib.step", "+ 1", "+ 2", files), name="f")


def test_locals_that_are_looked_up_by_name_keep_it() -> None:
    files = {"lib.step": "def f():\n    one = 1\n    return locals()\n"}
    assert key(files, name="f") != key(changed("lib.step", "one", "two", files), name="f")


def test_a_step_without_source_is_refused_in_this_project() -> None:
    with pytest.raises(FileNotFoundError, match=r"components\.gone: has no source, expected a \.py file"):
        Closure(step("components.gone"))


def test_order_and_number_of_steps_matter() -> None:
    steps: list[Callable[..., Any]] = [Closure, read_source]
    digests = {code_digest(*chosen) for chosen in (steps, steps[:1], steps[1:], steps[::-1])}
    assert len(digests) == 4


def test_sources_are_read_without_importing_anything(tmp_path: Path) -> None:
    # an installed copy in a folder of its own: no editable install and no current folder
    (tmp_path / "components").symlink_to(Path(__file__).parents[3] / "components")
    code = (
        "import sys\nfrom components.storage.closure import code_digest, read_source\n"
        "before = set(sys.modules)\n"
        "assert 'class ResNet' in read_source('components.models.encoders.resnet').text\n"
        "def f(): return components.models.encoders.resnet.ResNet\n"
        "f.__module__, f.__qualname__ = 'components.models.encoders.resnet', 'ResNet'\n"
        "print(code_digest(f), sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
    )
    from components.models.encoders.resnet import ResNet

    assert done.stdout.split(maxsplit=1) == [code_digest(ResNet), "[]\n"]
