"""Imports, calls and addresses that no code of braid may have: ``python infra/lint/forbidden.py``.

Pickles run what they hold, so none is loaded; text is not executed; servers listen to this machine alone.
Data reaches people through one file per place, which escapes it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("components", "tasks", "flows")
LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    *("eval", "exec", "compile", "os.system", "torch.load", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
}
# By the end of a call's name: the option that it must have, with its value.
OPTIONS = {
    "yaml.load": ("Loader", "_Loader"),  # of components.config.yaml_file, which makes plain values alone
    "np.load": ("allow_pickle", "False"),
    "torch.load": ("weights_only", "True"),
    "from_pretrained": ("trust_remote_code", "False"),
}
# One file may open weights of a package of the index, which it knows by their SHA-256.
EXEMPT = {("torch.load", "components/pretrained/packages.py")}
# By the pattern of a call's name: the files that may call it, since they escape what it shows.
PLACES = {
    "print": ("flows/cli/terminal.py", "flows/cli/options.py"),
    "(create|update)_\\w+_artifact": ("tasks/artifacts.py", "tasks/progress.py"),
    "to_csv": ("components/data/samples.py",),  # for a digest; people get components.results.spreadsheet
    "to_html": (),
    "to_markdown": (),
}
EVERY_ADDRESS = re.compile(r"0\.0\.0\.0|\[::\]|INADDR_ANY")
HOST = re.compile(r"[\"']--host[\"'],\s*([^,\]\s]+)")


def offences(text: str, file: str = "") -> Iterator[tuple[int, str]]:
    """Give line and message of each offence of a module's text.

    Args:
        text: The module.
        file: Its path in the repository.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node)
        if isinstance(node, ast.Call):
            yield from _calls(node, file)
            yield from _elsewhere(node, file)
    for number, line in enumerate(text.splitlines(), 1):
        if EVERY_ADDRESS.search(line):
            yield number, "listens to every address; servers listen to 127.0.0.1"
        for host in HOST.findall(line):
            if host != '"127.0.0.1"' and f'{host} = "127.0.0.1"' not in text:
                yield number, f"--host {host} is not known to be 127.0.0.1"


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str]]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
    for name in names:
        if name.partition(".")[0] in LOADERS:
            yield node.lineno, f"imports {name}: no pickle is loaded"


def _calls(node: ast.Call, file: str) -> Iterator[tuple[int, str]]:
    called = ast.unparse(node.func)
    options = {option.arg: ast.unparse(option.value) for option in node.keywords}
    if called in CALLS and (called, file) not in EXEMPT:
        yield node.lineno, f"{called}() executes what it is given"
        return
    for ending, (option, value) in OPTIONS.items():
        if (called == ending or called.endswith(f".{ending}")) and options.get(option) != value:
            yield node.lineno, f"{called}() needs {option}={value}"
    if options.get("shell") == "True":
        yield node.lineno, f"{called}(shell=True) executes text"


def _elsewhere(node: ast.Call, file: str) -> Iterator[tuple[int, str]]:
    called = ast.unparse(node.func)
    for pattern, files in PLACES.items():
        if re.fullmatch(pattern, called.rpartition(".")[2]) and file not in files:
            yield node.lineno, f"{called}() shows data: leave that to {files[0] if files else 'a template'}"


def main() -> int:
    """Print the offences of all code; give 1 where there are any."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {message}"
        for path in files
        for line, message in offences(path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]
    print("\n".join([*lines, f"{len(files)} files, {len(lines)} forbidden imports, calls and addresses"]))
    return int(bool(lines) or not files)


if __name__ == "__main__":
    sys.exit(main())
