"""Mutants of a module: every small change to its source that a tired author could have made, one at a time.

A mutant is a syntax tree with one change. It is compiled and executed as a module of its own beside fresh copies of
the modules that use it, so that nothing of what runs is touched.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.LtE: (ast.Lt, ast.GtE), ast.Lt: (ast.LtE,),
    ast.GtE: (ast.Gt, ast.LtE), ast.Gt: (ast.GtE,),
}  # fmt: skip

NAMES = {
    "any": "all", "all": "any", "any_of": "all_of", "all_of": "any_of", "some": "every", "every": "some", "min": "max",
    "max": "min", "below": "related", "related": "below",
}  # fmt: skip
"""A function and what it is mistaken for."""

ATTRIBUTES = {
    "since": "until", "until": "since", "_since": "_until", "_until": "_since", "validity_from": "until",
    "exporter": "importer", "importer": "exporter", "origin": "site", "law": "purposes",
}  # fmt: skip

WORDS = {
    "permit": ("require", "prohibit", "deny"), "require": ("permit", "prohibit"), "prohibit": ("permit", "require"),
    "deny": ("undetermined", "permit"), "undetermined": ("deny", "permit"), "high": ("medium",), "low": ("high",),
    "all": ("none",), "none": ("supervised",), "access": ("process",), "transit": ("process",), "ORIGIN": ("EU",),
    "passthrough": ("terminated",), "support": ("operator",), "operator": ("owner",), "store": ("backup",),
    "backup": ("store",), "process": ("log",), "log": ("process",), "failover": ("log",),
}  # fmt: skip

VALUES: tuple[tuple[bool | int | None, tuple[bool | int | None, ...]], ...] = (
    (True, (False, None)), (False, (True, None)), (None, (True, False)), (0, (1,)), (1, (0,)),
)  # fmt: skip

FIRST_ALONE = {"Reason"}
"""What is called with one thing that bears on an answer, followed by what gives a refusal its number and no more."""

SIMPLE = {"negate", "opposite"}
"""Functions of one argument that a mutant leaves out."""


Step = tuple[str, int | None]
Route = tuple[Step, ...]
"""The way from the root of a tree to a node: fields, and places in lists."""


@dataclass(frozen=True)
class Mutant:
    """One change; `name` is `function: before -> after`, numbered where a function has several alike."""

    module: str
    name: str
    route: Route
    node: ast.AST

    def tree(self) -> ast.Module:
        """Return the source's tree with the change made."""
        changed = parsed(self.module)
        _put(changed, self.route, copy.deepcopy(self.node))
        return ast.fix_missing_locations(changed)


def parsed(module: str) -> ast.Module:
    """Return a syntax tree of a module's source, as it is when it is first asked for."""
    return ast.parse(_source(module))


@cache
def _source(module: str) -> str:
    return Path(str(find_spec(module).origin)).read_text(encoding="utf-8")  # type: ignore[union-attr]


def mutants(module: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its source."""
    tree, found = parsed(module), []
    taken: dict[str, int] = {}
    for function, route in _places(tree):
        node = _at(tree, route)
        for mutated in _variants(node):
            before, after = _shown(node), _shown(mutated)
            name = f"{function}: {before} -> {after}"
            taken[name] = taken.get(name, 0) + 1
            if before != after:
                found.append(Mutant(module, name if taken[name] == 1 else f"{name} ({taken[name]})", route, mutated))
    return found


def _shown(node: ast.AST) -> str:
    """Return a node on one line; of what has a body, its head alone."""
    text = "pass" if isinstance(node, ast.Pass) else ast.unparse(node)
    return " ".join((text.split(":\n")[0] if isinstance(node, (ast.If, ast.For)) else text).split())


def _places(tree: ast.Module) -> Iterator[tuple[str, Route]]:
    """Yield (function, route) of every node that may be mutated: no docstring, annotation, decorator or message."""

    def walk(node: ast.AST, path: Route, function: str) -> Iterator[tuple[str, Route]]:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            function = node.name if isinstance(node, ast.FunctionDef) else function
        elif not isinstance(node, ast.Module):
            yield function, path
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "args", "bases", "keywords") and not isinstance(
                node, ast.Call
            ):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST) and not _is_silent(child, node):
                    yield from walk(child, (*path, (field, index)), function)

    yield from walk(tree, (), "")


def _is_silent(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether no mutant of a node could be noticed, or none is meant.

    Docstrings, imports, messages, types at the top of a module, fields of classes, the None of `is None`.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in FIRST_ALONE:
        return node is not parent.args[0]
    if isinstance(parent, ast.Compare) and isinstance(parent.ops[0], (ast.Is, ast.IsNot)):
        return isinstance(node, ast.Constant)
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(parent, (ast.Module, ast.ClassDef)):
        return isinstance(parent, ast.ClassDef) or not isinstance(node.value, ast.Dict)
    kinds = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Raise, ast.Assert, ast.expr_context, ast.operator)
    return isinstance(node, kinds)


def _at(tree: ast.AST, path: Route) -> ast.AST:
    for field, index in path:
        value = getattr(tree, field)
        tree = value if index is None else value[index]
    return tree


def _put(tree: ast.AST, path: Route, node: ast.AST) -> None:
    parent = _at(tree, path[:-1])
    field, index = path[-1]
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every mutant of one node."""
    for kind, vary in OPERATORS:
        if isinstance(node, kind):
            yield from vary(node)


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.deepcopy(node)
    for field, value in changes.items():
        setattr(changed, field, value)
    return changed


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for other in COMPARED.get(type(node.ops[0]), ()) if len(node.ops) == 1 else ():
        yield _with(node, ops=[other()])
    for index in range(len(node.ops)) if len(node.ops) > 1 else ():
        for other in COMPARED.get(type(node.ops[index]), ()):
            yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield rest[0] if len(rest) == 1 else _with(node, values=rest)


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not):
        yield node.operand


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in NAMES:
        yield _with(node, func=ast.Name(NAMES[node.func.id], ast.Load()))
    if isinstance(node.func, ast.Name) and node.func.id in SIMPLE:
        yield node.args[0]


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, str):
        yield from (ast.Constant(word) for word in WORDS.get(node.value, ()))
    for value, others in VALUES:
        if value is node.value:
            yield from map(ast.Constant, others)


def _attribute(node: ast.Attribute) -> Iterator[ast.AST]:
    if node.attr in ATTRIBUTES:
        yield _with(node, attr=ATTRIBUTES[node.attr])


def _choice(node: ast.IfExp) -> Iterator[ast.AST]:
    yield node.body
    yield node.orelse


def _branch(node: ast.If) -> Iterator[ast.AST]:
    yield _with(node, test=ast.Constant(True))
    yield _with(node, test=ast.Constant(False))


def _filtered(node: ast.comprehension) -> Iterator[ast.AST]:
    for index in range(len(node.ifs)):
        yield _with(node, ifs=[*node.ifs[:index], *node.ifs[index + 1 :]])


def _members(node: ast.Tuple | ast.List | ast.Set) -> Iterator[ast.AST]:
    if isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load):
        for index in range(len(node.elts)):
            yield _with(node, elts=[*node.elts[:index], *node.elts[index + 1 :]])


def _entries(node: ast.Dict) -> Iterator[ast.AST]:
    for index in range(len(node.keys)):
        yield _with(
            node, keys=[*node.keys[:index], *node.keys[index + 1 :]],
            values=[*node.values[:index], *node.values[index + 1 :]],
        )  # fmt: skip


def _statement(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.Return) and node.value is not None:
        yield from (_with(node, value=ast.Constant(value)) for value in (None, True, False))
    elif isinstance(node, (ast.Expr, ast.AugAssign, ast.For)):
        yield ast.Pass()


def _joined(node: ast.BinOp) -> Iterator[ast.AST]:
    yield node.left
    yield node.right


OPERATORS: tuple[tuple[type | tuple[type, ...], Callable[..., Iterator[ast.AST]]], ...] = (
    (ast.Compare, _compare), (ast.BoolOp, _boolean), (ast.UnaryOp, _unary), (ast.Call, _call),
    (ast.Constant, _constant), (ast.Attribute, _attribute), (ast.IfExp, _choice), (ast.If, _branch),
    (ast.comprehension, _filtered), ((ast.Tuple, ast.List, ast.Set), _members), (ast.Dict, _entries),
    (ast.stmt, _statement), (ast.BinOp, _joined),
)  # fmt: skip
"""What is mutated, and how. To add an operator is a function and an entry."""


@contextmanager
def loaded(modules: Sequence[str], mutant: Mutant | None = None) -> Iterator[Mapping[str, ModuleType]]:
    """Give fresh copies of modules, one of them mutated, that import each other; they are gone afterwards.

    Args:
        modules: by full name, each after those that it imports.
    """
    try:
        for name in modules:
            code = _code(name, tuple(modules)) if mutant is None or mutant.module != name else None
            module = ModuleType(PREFIX + name)
            sys.modules[PREFIX + name] = module
            try:
                exec(code or _compiled(mutant.tree(), name, modules), module.__dict__)  # type: ignore[union-attr]
            except Exception as error:
                raise BrokenError(name) from error
        yield {name: sys.modules[PREFIX + name] for name in modules}
    finally:
        for name in modules:
            sys.modules.pop(PREFIX + name, None)


class BrokenError(Exception):
    """A mutant that does not load."""


PREFIX = "_mutant."
"""What stands before the name of a copy."""


@cache
def _code(module: str, modules: tuple[str, ...]) -> CodeType:
    return _compiled(parsed(module), module, modules)


def _compiled(tree: ast.Module, name: str, modules: Sequence[str]) -> CodeType:
    """Return a module's code, its imports of copied modules turned to the copies."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            node.module = PREFIX + node.module
    return compile(tree, f"<{PREFIX}{name}>", "exec")
