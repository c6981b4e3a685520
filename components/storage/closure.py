"""Code that a step can reach: the key of everything that the step makes."""

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NamedTuple

from components.storage.digest import digest
from components.storage.normal_form import tokens_of
from components.storage.scopes import import_source, imported, own_nodes

_PROJECT = __name__.partition(".")[0]


class Source(NamedTuple):
    """Source of a module, and whether the module is a package."""

    text: str
    is_package: bool


Read = Callable[[str], Source | None]
"""Source of a module by its dotted name; None where there is no such module, or none in Python."""


def code_digest(*steps: Callable[..., Any]) -> str:
    """Digest of the code that classes or functions can reach, in normal form; computed once per process.

    A change of behaviour in any definition that a step uses, in whatever file of the project, makes a new
    digest. Other words, layout, imports or names of local variables make none, nor does a change of what the
    step does not use. Versions of libraries are not in it.

    Args:
        steps: Classes or functions of this project, or of a plugin with its own package. Where a step calls
            methods of what it is given, the classes of that are steps too.
    """
    return _digest_of(steps)


@cache
def _digest_of(steps: tuple[Callable[..., Any], ...]) -> str:
    return Closure(*steps).digest()


@dataclass
class _Module:
    """A module's statements by what they are for.

    Attributes:
        name: Dotted name.
        package: Package that its relative imports start from.
        definitions: Statements that bind or change each global name.
        imports: Dotted paths of each imported name; several where a block tries one after the other.
        stars: Modules whose names are all imported.
        effects: Statements that run for their effect when the module is imported.
    """

    name: str
    package: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    effects: list[ast.stmt] = field(default_factory=list)


class Closure:
    """Definitions reachable from some steps, across the modules of the project.

    Reachable is what a definition names: functions, classes whole, constants, in bodies and in annotations.
    What is found by a text at run time, as an entry point is, has to be given as a step.

    Args:
        steps: Classes or functions to begin from.
        read: Gives sources; by default those that Python would import. Nothing is imported.
    """

    def __init__(self, *steps: Callable[..., Any], read: Read | None = None) -> None:
        self._read = read or read_source
        self._packages = {_PROJECT, *(step.__module__.partition(".")[0] for step in steps)}
        self._modules: dict[str, _Module | None] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._queue: list[tuple[_Module, str]] = []
        self.tokens = [self._root(step) for step in steps]
        for module, name in self._queue:  # grows while it is gone through
            self._write(module, name)

    def digest(self) -> str:
        """Digest of all definitions, in the order in which they are reached."""
        return digest("\n".join(self.tokens))

    def definitions(self) -> list[str]:
        """Names of what is reached, as ``module:name``; a module's effects have an empty name."""
        return [f"{module}:{name}" for module, name in self._numbers]

    def _root(self, step: Callable[..., Any]) -> str:
        package = step.__module__.partition(".")[0]
        if package == _PROJECT and self._module(step.__module__) is None:
            raise FileNotFoundError(
                f"{step.__module__}: has no source, expected a .py file, since keys of caches depend on it. "
                "Install the project with its sources."
            )
        return self._follow([*step.__module__.split("."), step.__qualname__.partition(".")[0]], set())[0]

    def _write(self, module: _Module, name: str) -> None:
        def resolve(path: Sequence[str], absolute: bool) -> tuple[str, Sequence[str]]:
            if absolute:
                return self._follow(path, set())
            return self._member(module, path, set()) or (f"builtins.{path[0]}", path[1:])

        for statement in module.definitions[name] if name else module.effects:
            self.tokens.extend(tokens_of(statement, resolve, module.package))
        self.tokens.append(";")

    def _follow(self, path: Sequence[str], seen: set[tuple[str, str]]) -> tuple[str, Sequence[str]]:
        """Token of a path that begins with a top-level package, and the attributes that it leaves."""
        module = self._module(path[0]) if path[0] in self._packages else None
        if module is None:
            return ".".join(path), ()
        for position in range(1, len(path)):
            inner = f"{module.name}.{path[position]}"
            own = module.imports.get(path[position]) != [tuple(inner.split("."))]
            member = self._member(module, path[position:], seen) if own else None
            if member is not None:
                return member
            deeper = self._module(inner)
            if deeper is None:
                break  # made at run time, by code that the whole module holds
            module = deeper
        else:
            position = len(path)
        return self._whole(module), path[position:]

    def _member(
        self, module: _Module, path: Sequence[str], seen: set[tuple[str, str]]
    ) -> tuple[str, Sequence[str]] | None:
        """Token of a global name of a module and of its attributes; None where it has no such name."""
        name = path[0]
        if (module.name, name) in seen:
            return None
        seen.add((module.name, name))
        targets = [self._follow([*source, *path[1:]], seen) for source in module.imports.get(name, ())]
        if name in module.definitions:
            targets.append((self._number(module, name), path[1:]))
        if targets:
            return " or ".join(token for token, _ in targets), targets[-1][1]
        for star in module.stars:
            source = self._module(star) if star.partition(".")[0] in self._packages else None
            starred = self._member(source, path, seen) if source is not None else None
            if starred is not None:
                return starred
        return None

    def _whole(self, module: _Module) -> str:
        """Token of a module as a value: any of its names may be used."""
        return " ".join(["module", *(self._number(module, name) for name in ("", *module.definitions))])

    def _number(self, module: _Module, name: str) -> str:
        """Token of a definition: its number in the order of reach, so that its file does not matter."""
        for part in ("", name) if module.effects else (name,):
            if (module.name, part) not in self._numbers:
                self._numbers[module.name, part] = len(self._numbers)
                self._queue.append((module, part))
        return f"@{self._numbers[module.name, name]}"

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            source = self._read(name)
            self._modules[name] = None if source is None else _parse(name, source)
        return self._modules[name]


@cache
def _parse(name: str, source: Source) -> _Module:
    module = _Module(name, name if source.is_package else name.rpartition(".")[0])
    for statement in ast.parse(source.text).body:
        _sort(module, statement)
    return module


def _sort(module: _Module, statement: ast.stmt) -> None:
    """Put a statement of a module where it belongs."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            _import(module, statement)
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            module.definitions.setdefault(name, []).append(statement)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Delete():
            for changed in dict.fromkeys(_changed(statement)):
                module.definitions.setdefault(changed, []).append(statement)
        case ast.Expr(ast.Constant()):
            pass
        case ast.If(test) if _is_for_types(module, test):
            for inner in statement.body:
                _sort(module, inner)
        case _:  # a call, or a block: it runs whatever name is used, and may bind some
            module.effects.append(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    _import(module, node)
                elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    module.definitions.setdefault(node.name, [statement])
            for changed in dict.fromkeys(_changed(statement)):
                module.definitions.setdefault(changed, []).append(statement)


def _is_for_types(module: _Module, test: ast.expr) -> bool:
    """True if a condition is ``typing.TYPE_CHECKING``, by whatever name: its block never runs."""
    first, *rest = ast.unparse(test).split(".")
    return [(*path, *rest) for path in module.imports.get(first, ())] == [("typing", "TYPE_CHECKING")]


def _import(module: _Module, statement: ast.Import | ast.ImportFrom) -> None:
    for name, path in imported(statement, module.package).items():
        module.imports.setdefault(name, []).append(path)
    if isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names):
        module.stars.append(".".join(import_source(statement, module.package)))


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement binds, or whose items or attributes it sets."""
    for node in own_nodes([statement]):
        if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
            while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
                node = node.value
            if isinstance(node, ast.Name):
                yield node.id


def read_source(name: str) -> Source | None:
    """Source of a module as Python would find it, without importing it; empty for a folder without a file.

    Args:
        name: Dotted name.
    """
    spec = _spec(name)
    if spec is None:
        return None
    if spec.loader is None:
        return Source("", is_package=True)  # a namespace package
    get_source = getattr(spec.loader, "get_source", None)
    text = get_source(spec.name) if get_source is not None else None  # a compiled module has none
    return None if text is None else Source(text, spec.submodule_search_locations is not None)


def _spec(name: str) -> ModuleSpec | None:
    known = getattr(sys.modules.get(name), "__spec__", None)
    if known is not None:
        return known
    package = name.rpartition(".")[0]
    if not package:
        return PathFinder.find_spec(name)
    outer = _spec(package)
    folders = outer.submodule_search_locations if outer is not None else None
    return None if folders is None else PathFinder.find_spec(name, list(folders))
