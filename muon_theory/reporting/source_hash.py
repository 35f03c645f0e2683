"""Hashes of the code a result depends on: the definitions that a function reaches, in whatever module they stand.

Names are followed through imports, re-exports included, from definition to definition; docstrings, comments, layout and
definitions that are not reached do not count. So a study's figure may be restyled, or another optimizer added beside
the one it uses, without making its finished cells worthless. Only names written in the source are seen, not those made
up at run time; of a module that is used as an object (`from muon_theory import polar`) everything counts.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

PACKAGE = "muon_theory"
ROOT = Path(__file__).resolve().parents[1]
ABOVE_THE_SCIENCE = ("muon_theory.cli", "muon_theory.reporting")
ON_DEMAND = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Import, ast.ImportFrom)
EVERYTHING = "*"
#: Decorators that leave no trace; what another one decorates may be registered somewhere, so it always counts.
TRACELESS = {
    "dataclass", "dataclasses", "cache", "lru_cache", "functools", "cached_property", "property", "staticmethod",
    "classmethod", "override", "abstractmethod", "overload", "final", "runtime_checkable", "contextmanager",
    "contextlib", "torch", "typing",
}  # fmt: skip

Name = tuple[str, str]


def function_hash(*functions: Callable[..., Any]) -> str:
    """Hash of what functions of one module reach: definitions of muon_theory and of their own package, data shipped.

    Args:
        *functions: module-level functions of one module; a partial counts as the function it wraps.

    Returns:
        64 hexadecimal digits (SHA-256). Comments, layout and docstrings do not count.

    Source: elementary. A module without a source file, e.g. a notebook, raises ValueError.
    """
    plain = [function.func if isinstance(function, partial) else function for function in functions]
    module = plain[0].__module__
    names = {function.__qualname__.partition(".")[0] for function in plain}
    if not names <= _existing(module).bound.keys():
        names = {EVERYTHING}  # a lambda, or a name bound in an unusual way: everything may matter
    return _hash({(module, name) for name in names})


def module_hash(name: str) -> str:
    """Hash of a module as a whole, of what it reaches and of the data shipped.

    Args:
        name: dotted name of a module of muon_theory or of a package beside it.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. A module without a source file, e.g. a notebook, raises ValueError.
    """
    _existing(name)
    return _hash({(name, EVERYTHING)})


def package_hash() -> str:
    """Hash of every file of muon_theory below reporting: code and the data shipped with it.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. Cost: reads about a megabyte.
    """
    digest = hashlib.sha256()
    _add_files(digest, _package_files())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Statement:
    """A top-level statement: what it says without its docstrings, what it reaches, whether it always counts."""

    text: str
    reaches: frozenset[Name]
    always: bool


@dataclass(frozen=True)
class _Module:
    """A parsed module: its statements, the places that bind a name, and the imports behind a name."""

    statements: list[_Statement] = field(default_factory=list)
    bound: dict[str, set[int]] = field(default_factory=dict)
    imported: dict[str, set[Name]] = field(default_factory=dict)


def _hash(wanted: set[Name]) -> str:
    kept, foreign = _reached(wanted, {PACKAGE, *(module.partition(".")[0] for module, _ in wanted)})
    digest = hashlib.sha256(repr(sorted(foreign)).encode())
    folders = set()
    for name in sorted(kept):
        module = _parsed(name)
        for index in sorted(kept[name]):
            digest.update(f"{name}\0{module.statements[index].text}\0".encode())
        path = _source_file(name)
        folders |= {path.parent} if path is not None else set()
    data = (path for path in _package_files() if path.suffix != ".py" and path.parent in folders)
    _add_files(digest, data)
    return digest.hexdigest()


def _reached(wanted: set[Name], own: set[str]) -> tuple[dict[str, set[int]], set[Name]]:
    """By module the statements that names depend on or that always count, and the names of other packages."""
    kept: dict[str, set[int]] = {}
    foreign: set[Name] = set()
    seen, pending = set[Name](), list(wanted)
    while pending:
        name = pending.pop()
        if name in seen or _above(name[0]):
            continue
        seen.add(name)
        if name[0].partition(".")[0] not in own:
            foreign.add(name)
            continue
        module = _parsed(name[0])
        indices = set(range(len(module.statements))) if name[1] == EVERYTHING else module.bound.get(name[1], set())
        if name[0] not in kept:
            kept[name[0]] = set()
            indices = indices | {i for i, statement in enumerate(module.statements) if statement.always}
            pending += [(parent, "") for parent in _parents(name[0])]
        if name[1] == EVERYTHING:
            pending += [target for targets in module.imported.values() for target in targets]
        elif name[1]:
            pending += module.imported.get(name[1], set())
            if not indices and name[1] not in module.imported and _source_file(f"{name[0]}.{name[1]}"):
                pending.append((f"{name[0]}.{name[1]}", EVERYTHING))
            pending += [(source, name[1]) for source, _ in module.imported.get(EVERYTHING, ())]
        for index in indices - kept[name[0]]:
            kept[name[0]].add(index)
            pending += module.statements[index].reaches
    return {name: indices for name, indices in kept.items() if indices}, foreign


def _above(module: str) -> bool:
    return f"{module}.".startswith(tuple(f"{name}." for name in ABOVE_THE_SCIENCE))


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _parsed(module: str) -> _Module:
    path = _source_file(module)
    return _Module() if path is None else _parsed_source(path.read_bytes(), module, path.name == "__init__.py")


@lru_cache(maxsize=2048)
def _parsed_source(source: bytes, module: str, is_package: bool) -> _Module:
    """The statements of a module; the same sources are asked for again and again."""
    parsed = _Module()
    for statement in ast.parse(source).body:
        if _is_text(statement) or _is_unrun(statement):
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name, target in _imports(statement, module, is_package):
                parsed.imported.setdefault(name, set()).add(target)
            continue
        index = len(parsed.statements)
        nested = {
            target
            for node in ast.walk(statement)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for _, target in _imports(node, module, is_package)
        }
        own = {(module, node.id) for node in ast.walk(statement) if isinstance(node, ast.Name)}
        always = not isinstance(statement, ON_DEMAND) or _registers(statement)
        for name in _bound(statement):
            parsed.bound.setdefault(name, set()).add(index)
        parsed.statements.append(_Statement(_without_docstrings(statement), frozenset(nested | own), always))
    return parsed


def _imports(node: ast.Import | ast.ImportFrom, module: str, is_package: bool) -> Iterator[tuple[str, Name]]:
    """The names an import binds, each with what it stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0], (alias.name, EVERYTHING)
        return
    base = node.module or ""
    if node.level:
        package = module if is_package else module.rpartition(".")[0]
        parent = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parent, base] if base else parent)
    for alias in node.names:
        yield alias.asname or alias.name, (base, alias.name)


def _bound(statement: ast.stmt) -> set[str]:
    """Names a top-level statement binds, or whose value it changes: `TABLE["x"] = 1` counts for TABLE."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(statement):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            inner: ast.expr = node
            while isinstance(inner, ast.Subscript | ast.Attribute):
                inner = inner.value
            names |= {inner.id} if isinstance(inner, ast.Name) else set()
    return names


def _registers(statement: ast.stmt) -> bool:
    """Whether a definition has a decorator that may keep it somewhere."""
    if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return False
    for decorator in statement.decorator_list:
        root: ast.expr = decorator
        while isinstance(root, ast.Call | ast.Attribute):
            root = root.func if isinstance(root, ast.Call) else root.value
        if not (isinstance(root, ast.Name) and root.id in TRACELESS):
            return True
    return False


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_unrun(statement: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, which never runs."""
    return (
        isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    )


def _without_docstrings(statement: ast.stmt) -> str:
    """The statement's structure, without docstrings."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body = [inner for inner in node.body if not _is_text(inner)] or [ast.Pass()]
    return ast.dump(statement)


def _package_files() -> Iterable[Path]:
    """Files of muon_theory below reporting, in a fixed order."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        if path.is_file() and not hidden and inside.parts[0] not in ("cli", "cli.py", "reporting"):
            yield path


def _add_files(digest: Any, files: Iterable[Path]) -> None:
    for path in files:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")


def _existing(module: str) -> _Module:
    """The parsed module, or an error."""
    if _source_file(module) is None:
        raise ValueError(f"{module} has no source file, so its results cannot be cached: use cache=None")
    return _parsed(module)


def _source_file(module: str) -> Path | None:
    """The module's source file, or None."""
    location = getattr(sys.modules.get(module), "__file__", None)
    if location is not None:
        return Path(location) if location.endswith(".py") else None
    parent, _, last = module.rpartition(".")
    above = _source_file(parent) if parent else None
    if above is not None:  # cheaper than asking the import system, which is asked about hundreds of names
        candidates = (above.parent / f"{last}.py", above.parent / last / "__init__.py")
        return next((path for path in candidates if above.name == "__init__.py" and path.is_file()), None)
    try:
        spec = importlib.util.find_spec(module) if module not in sys.modules else None
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
