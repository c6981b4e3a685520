"""Renames what code may be renamed without a change of behaviour."""

from __future__ import annotations

import ast
import builtins
from functools import cache

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SUFFIX = "_renamed"


@cache
def renamed(source: str) -> str:
    """A module with other names for its local variables and its imports, and without comments."""
    tree = ast.parse(source)
    taken = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    taken |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imports = _rename_imports(tree, taken)
    outer = imports | {name for node in tree.body for name in _bound(node)} | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in imports:
            node.id += _SUFFIX
    for part in tree.body:
        methods = part.body if isinstance(part, ast.ClassDef) else [part]
        for function in methods:
            if isinstance(function, _FUNCTIONS):
                _rename_locals(function, outer)
    return ast.unparse(tree)


def _rename_imports(tree: ast.Module, taken: set[str]) -> set[str]:
    """Give each import of the module another name, and return the old ones."""
    old = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import) and getattr(node, "module", "") != "__future__":
            for alias in node.names:
                name = alias.asname or alias.name
                if "." not in name and name not in taken:
                    alias.asname = name + _SUFFIX
                    old.add(name)
    return old


def _rename_locals(function: ast.FunctionDef | ast.AsyncFunctionDef, outer: set[str]) -> None:
    nodes = list(ast.walk(function))
    unchanged = outer | {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            unchanged |= set(node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            unchanged |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            unchanged.add(node.name or "")
    changed = _stored(function) - unchanged
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in changed:
            node.id += _SUFFIX


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return {node.name}
    return _stored(node)


def _stored(node: ast.AST) -> set[str]:
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}
