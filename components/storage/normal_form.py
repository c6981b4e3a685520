"""Normal form of Python code: what it does, without the wording."""

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from components.storage.scopes import COMPREHENSIONS, Scope, scope_of, target_names

Resolve = Callable[[Sequence[str], bool], tuple[str, Sequence[str]]]
"""Token of a dotted path, and the attributes that the token does not cover.

The path begins with a global name of the module, or, where the flag is set, with a top-level package.
"""

_PROSE = {"description", "title", "examples"}  # arguments of pydantic's Field that only people read
_NO_BEHAVIOUR = {"ctx", "type_comment", "type_ignores", "kind", "lineno"}


def tokens_of(node: ast.stmt, resolve: Resolve, package: str = "") -> list[str]:
    """Tokens of a statement of a module; equal tokens mean equal behaviour.

    Docstrings, comments, layout, imports and annotations of functions leave no trace. Local variables are
    numbered in the order of their appearance. Parameters keep their names, because callers may use them;
    annotations of a class body stay, because dataclasses and pydantic read them.

    Args:
        node: Statement of a module, or of a block at the level of the module.
        resolve: Gives the token of each global name, in annotations too.
        package: Package that relative imports start from.
    """
    return list(_resolved(_parts_of(node, package), resolve))


class _Reference(NamedTuple):
    """A global name in a statement.

    Attributes:
        path: The name and its attributes, or the path that a local import gives it.
        is_absolute: True if the path begins with a top-level package.
        is_written: False in annotations, whose names are resolved and leave no token.
    """

    path: tuple[str, ...]
    is_absolute: bool
    is_written: bool = True


class _Prose(NamedTuple):
    """An argument that says nothing of behaviour if the function is pydantic's Field."""

    function: _Reference
    parts: "tuple[_Part, ...]"


_Part = str | _Reference | _Prose


@cache
def _parts_of(node: ast.stmt, package: str) -> tuple[_Part, ...]:
    """Parts of a statement of which only the global names depend on other statements."""
    writer = _Writer(package)
    writer.write(node)
    return tuple(writer.tokens)


def _resolved(parts: Iterable[_Part], resolve: Resolve) -> Iterator[str]:
    """Yield the tokens of parts."""
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, _Reference):
            token, rest = resolve(part.path, part.is_absolute)
            if part.is_written:
                yield token
                yield from (f".{attribute}" for attribute in rest)
        else:
            token, rest = resolve(part.function.path, part.function.is_absolute)
            if token != "pydantic.Field" or rest:
                yield from _resolved(part.parts, resolve)


class _Writer:
    """Walks a statement, and writes a part per node, constant and name.

    Args:
        package: Package that relative imports start from.
    """

    def __init__(self, package: str) -> None:
        self.tokens: list[_Part] = []
        self._package = package
        self._scopes: list[Scope] = []
        self._locals = 0

    def write(self, node: ast.AST) -> None:
        special = getattr(self, f"_{type(node).__name__}", None)
        if special is not None:
            special(node)
        elif isinstance(node, COMPREHENSIONS):
            self._comprehension(node)
        else:
            self._fields(node)

    def _fields(self, node: ast.AST, *skipped: str) -> None:
        self.tokens.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if name in _NO_BEHAVIOUR or name in skipped or value is None or value == []:
                continue
            self.tokens.append(f".{name}")
            self._value(value)
        self.tokens.append(")")

    def _value(self, value: object) -> None:
        if isinstance(value, list):
            for item in value:
                self._value(item)
        elif isinstance(value, ast.AST):
            self.write(value)
        else:
            self.tokens.append(repr(value))

    # Names

    def _Name(self, node: ast.Name) -> None:  # noqa: N802  (named after the node, as all below)
        self._path([node.id])

    def _Attribute(self, node: ast.Attribute) -> None:  # noqa: N802
        path, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            path.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._path([inner.id, *reversed(path)])
        else:
            self.write(inner)
            self.tokens.extend(f".{part}" for part in reversed(path))

    def _path(self, path: list[str]) -> None:
        """Write a name and its attributes: of an import, the whole path is one name."""
        known = self._lookup(path[0])
        if isinstance(known, str):
            self.tokens += [known, *(f".{attribute}" for attribute in path[1:])]
        elif known is None:
            self.tokens.append(_Reference(tuple(path), is_absolute=False))
        else:
            self.tokens.append(_Reference((*known, *path[1:]), is_absolute=True))

    def _lookup(self, name: str) -> str | tuple[str, ...] | None:
        """Token of a local name, path of a local import, None of a global name."""
        for depth, scope in enumerate(reversed(self._scopes)):
            if scope.is_class and depth:
                continue  # methods do not see the names of their class
            if name in scope.imports:
                return scope.imports[name]
            if name in scope.names:
                if not scope.names[name]:
                    scope.names[name] = f"%{self._locals}"
                    self._locals += 1
                return scope.names[name]
        return None

    # Scopes

    def _Lambda(self, node: ast.Lambda) -> None:  # noqa: N802
        self._function(node, [node.body])

    def _FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:  # noqa: N802
        self._path([node.name])
        for decorator in node.decorator_list:
            self.write(decorator)
        if node.returns is not None:
            self._annotation(node.returns)
        self._function(node, node.body)

    _AsyncFunctionDef = _FunctionDef

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: Sequence[ast.AST]
    ) -> None:
        arguments = node.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
        for parameter in parameters:
            if parameter.annotation is not None:
                self._annotation(parameter.annotation)
        self.write(arguments)  # defaults belong to the scope around the function
        names = [parameter.arg for parameter in parameters]
        self._enter(scope_of(node, names, self._package), node, body)

    def _arg(self, node: ast.arg) -> None:
        self.tokens.append(f"={node.arg}")

    def _comprehension(self, node: ast.AST) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.write(generators[0].iter)  # belongs to the scope around the comprehension
        scope = Scope()
        for generator in generators:
            scope.names.update(dict.fromkeys(target_names(generator.target), ""))
        self._scopes.append(scope)
        self.tokens.append(f"({type(node).__name__}")
        for number, generator in enumerate(generators):
            self._fields(generator, *(["iter"] if number == 0 else []))
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                self.write(getattr(node, name))
        self.tokens.append(")")
        self._scopes.pop()

    def _ClassDef(self, node: ast.ClassDef) -> None:  # noqa: N802
        self._path([node.name])
        self.tokens.append(f"class {node.name}")
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.write(part)
        scope = scope_of(node, (), self._package)
        scope.is_class = True
        scope.names = {name: f"={name}" for name in scope.names}
        self._enter(scope, node, node.body)

    def _enter(self, scope: Scope, node: ast.AST, body: Sequence[ast.AST]) -> None:
        self._scopes.append(scope)
        self.tokens.append(f"({type(node).__name__}")
        for part in body:
            self.write(part)
        self.tokens.append(")")
        self._scopes.pop()

    # Wording, and names that nodes hold as text

    def _Expr(self, node: ast.Expr) -> None:  # noqa: N802
        if not isinstance(node.value, ast.Constant):
            self._fields(node)

    def _Pass(self, node: ast.Pass) -> None:  # noqa: N802
        """A body without statements, once docstrings are gone, is the same."""

    def _Import(self, node: ast.Import | ast.ImportFrom) -> None:  # noqa: N802
        """Names are written where they are used."""

    _ImportFrom = _Import

    def _Nonlocal(self, node: ast.Nonlocal) -> None:  # noqa: N802
        for name in node.names:
            self._path([name])

    def _Global(self, node: ast.Global) -> None:  # noqa: N802
        for name in node.names:
            self._path([name])

    def _Constant(self, node: ast.Constant) -> None:  # noqa: N802
        self.tokens.append(f"{type(node.value).__name__} {node.value!r}")

    def _AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        if self._scopes and self._scopes[-1].is_class:
            self._fields(node)
            return
        self._annotation(node.annotation)
        if node.value is not None:
            self.write(ast.Assign(targets=[node.target], value=node.value))

    def _Call(self, node: ast.Call) -> None:  # noqa: N802
        start = len(self.tokens)
        self.write(node.func)
        function = self.tokens[start] if len(self.tokens) == start + 1 else None
        self.tokens.append("(call")
        for part in (*node.args, *node.keywords):
            start = len(self.tokens)
            self.write(part)
            if isinstance(function, _Reference) and getattr(part, "arg", None) in _PROSE:
                self.tokens[start:] = [_Prose(function, tuple(self.tokens[start:]))]
        self.tokens.append(")")

    def _ExceptHandler(self, node: ast.ExceptHandler) -> None:  # noqa: N802
        self._fields(node, "name")
        self._text(node.name)

    def _MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:  # noqa: N802
        self._fields(node, "name")
        self._text(node.name)

    _MatchStar = _MatchAs

    def _MatchMapping(self, node: ast.MatchMapping) -> None:  # noqa: N802
        self._fields(node, "rest")
        self._text(node.rest)

    def _text(self, name: str | None) -> None:
        if name is not None:
            self._path([name])

    def _annotation(self, node: ast.expr) -> None:
        """Resolve the names of an annotation, since they say whose methods are called, and write nothing."""
        length = len(self.tokens)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        self.write(node)
        self.tokens[length:] = list(_unwritten(self.tokens[length:]))


def _unwritten(parts: Iterable[_Part]) -> Iterator[_Part]:
    """Yield what has to be resolved though nothing is written of it."""
    for part in parts:
        if isinstance(part, _Reference):
            yield part._replace(is_written=False)
        elif isinstance(part, _Prose):
            yield part._replace(parts=tuple(_unwritten(part.parts)))
