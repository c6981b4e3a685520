"""Private names of libraries occur in one file per library, and nothing is set as a module is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ("flows", "tasks", "components", "benchmarks", "infra")
FENCES = {
    "flows/prefect_internals/server.py",
    "flows/prefect_internals/runs.py",
    "tasks/tracking/mlflow_internals.py",
    "components/engine/ray_internals.py",
    "components/models/encoders/transformers_internals.py",
    "flows/workers/forkserver.py",  # a lock of multiprocessing, on the versions of Python that it names
    "tasks/tracking/pyfunc.py",  # MLflow loads it as a file by itself, which can import components alone
}
PUBLIC = {"_exit", "_replace"}  # documented names of the standard library: of os, and of named tuples
OPTUNA = {"_trial_id"}  # the one private name of another library, in components/sweep/study.py
SERVER = ("prefect.server", "prefect.settings.legacy")


def trees() -> dict[str, ast.Module]:
    files = [file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a file defines: functions, classes, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            yield ast.literal_eval(node.args[1])  # a field of a frozen dataclass


def foreign_names(tree: ast.Module, own: set[str]) -> Iterator[str]:
    """Yield the private names of others that a file uses: imported, as attributes, or by ``getattr``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            hidden = any(map(is_private, module.split(".")))
            local = module.split(".")[0] in CODE
            if module.startswith(SERVER) or hidden:
                yield module
            if not local:
                yield from (name.name for name in node.names if is_private(name.name))
        elif isinstance(node, ast.Import):
            names = (name.name for name in node.names)
            yield from (
                name for name in names if name.startswith(SERVER) or ("._" in name and "torch" not in name)
            )
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own | PUBLIC | OPTUNA:
                yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "attr" in node.func.id:
            yield from (
                word.value
                for word in node.args[1:2]
                if isinstance(word, ast.Constant) and is_private(str(word.value))
            )


def test_private_names_of_libraries_occur_behind_their_fences_alone() -> None:
    files = trees()
    own = {name for name, tree in files.items() if name not in FENCES for name in own_names(tree)}
    foreign = {name: sorted(foreign_names(tree, own)) for name, tree in files.items() if name not in FENCES}
    assert {name: names for name, names in foreign.items() if names} == {}


def test_the_search_finds_what_it_is_for() -> None:
    text = (
        "from prefect.server.api import server\nfrom ray._private import worker\nfrom x import _y\n"
        "import prefect.settings.legacy\nself._hidden\ngetattr(error, '_base_exc', None)\nself._own\n"
    )
    foreign = set(foreign_names(ast.parse(text), {"_own"}))
    assert foreign == {
        *("prefect.server.api", "ray._private", "_y", "prefect.settings.legacy", "_hidden", "_base_exc")
    }


def test_each_fence_names_a_bound_and_what_lets_each_entry_go() -> None:
    for fence in sorted(FENCES - {"tasks/tracking/pyfunc.py", "flows/workers/forkserver.py"}):
        text = (ROOT / fence).read_text("utf-8")
        bound = text if "prefect" not in fence else (ROOT / fence).with_name("__init__.py").read_text("utf-8")
        assert "in pyproject.toml" in bound, fence
        assert "Goes" in text, fence


def test_an_import_changes_neither_variables_nor_log_records() -> None:
    script = (
        "import logging, os\nbefore = dict(os.environ), logging.getLogRecordFactory()\n"
        "import flows.cli.app, flows.servers.application, flows.process_settings\n"
        "assert before == (dict(os.environ), logging.getLogRecordFactory())\n"
        "flows.process_settings.configure_process()\n"
        "assert logging.getLogRecordFactory() is not before[1]\n"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['TOKENIZERS_PARALLELISM'])\n"
    )
    others = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = others | {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["true", "true"], done.stderr  # and what the user has set stays
