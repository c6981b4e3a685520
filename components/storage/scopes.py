"""Scopes of Python code: names that functions, classes and comprehensions bind, and their imports."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

Scoped = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BY_NAME = {"locals", "vars", "eval", "exec", "dir"}  # these see the names of local variables


@dataclass
class Scope:
    """Names of one function, comprehension or class body: their tokens, or the paths that they import."""

    is_class: bool = False
    names: dict[str, str] = field(default_factory=dict)
    imports: dict[str, tuple[str, ...]] = field(default_factory=dict)


def scope_of(node: Scoped, parameters: Iterable[str], package: str) -> Scope:
    """Scope of a function's or a class's body: its parameters, what it binds, and what it imports."""
    names, imports = _bound(node, package)
    return Scope(names={**names, **{name: f"={name}" for name in parameters}}, imports=imports)


@cache
def _bound(node: Scoped, package: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Tokens of the names that a body binds, and paths of those that it imports."""
    imports: dict[str, tuple[str, ...]] = {}
    bound: dict[str, None] = {}
    outside: set[str] = set()
    verbatim = False
    for part in own_nodes([node.body] if isinstance(node, ast.Lambda) else node.body):
        match part:
            case ast.Global(names) | ast.Nonlocal(names):
                outside.update(names)
            case ast.Import() | ast.ImportFrom():
                imports.update(imported(part, package))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound[part.name] = None
            case ast.Name(id, ast.Store() | ast.Del()):
                bound[id] = None
            case ast.Name(id) if id in _BY_NAME:
                verbatim = True
            case ast.ExceptHandler(_, str(name)) | ast.MatchAs(_, str(name)) | ast.MatchStar(str(name)):
                bound[name] = None
            case ast.MatchMapping(rest=str(name)):
                bound[name] = None
    return {name: f"={name}" if verbatim else "" for name in bound if name not in outside}, imports


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Nodes of one scope: not those in functions and classes within it, nor what comprehensions bind."""
    for node in body:
        yield node
        if isinstance(node, FUNCTIONS):
            inner: list[ast.AST] = [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            yield from own_nodes(inner + list(getattr(node, "decorator_list", [])))
        elif isinstance(node, ast.ClassDef):
            yield from own_nodes([*node.decorator_list, *node.bases, *node.keywords])
        elif isinstance(node, COMPREHENSIONS):
            targets = [name for each in node.generators for name in ast.walk(each.target)]
            yield from (part for part in own_nodes(ast.iter_child_nodes(node)) if part not in targets)
        else:
            yield from own_nodes(ast.iter_child_nodes(node))


def target_names(node: ast.expr) -> list[str]:
    return [
        part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    ]


def imported(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, tuple[str, ...]]:
    """Names that an import binds, with the dotted path of each.

    Args:
        node: The import; a star binds nothing here.
        package: Package that relative imports start from.
    """
    if isinstance(node, ast.Import):
        whole = {alias.asname: tuple(alias.name.split(".")) for alias in node.names if alias.asname}
        tops = [alias.name.partition(".")[0] for alias in node.names if not alias.asname]
        return whole | {top: (top,) for top in tops}
    source = import_source(node, package)
    return {alias.asname or alias.name: (*source, alias.name) for alias in node.names if alias.name != "*"}


def import_source(node: ast.ImportFrom, package: str) -> tuple[str, ...]:
    """Dotted path of the module that an import takes names from."""
    parents = package.split(".") if node.level else []
    outer = parents[: len(parents) - node.level + 1]
    return (*outer, *(node.module.split(".") if node.module else ()))
