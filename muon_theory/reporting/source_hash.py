"""Hashes of the code a result depends on: the definitions a function reaches, and the modules these import.

A study's figure may be restyled, or another part of muon_theory edited, without making its finished cells worthless;
whatever the function can reach counts. Only imports written in the source are seen, not names made up at run time.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

PACKAGE = "muon_theory"
ROOT = Path(__file__).resolve().parents[1]
ABOVE_THE_SCIENCE = ("muon_theory.cli", "muon_theory.reporting")
ON_DEMAND = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Import, ast.ImportFrom)


def function_hash(*functions: Callable[..., Any]) -> str:
    """Hash of what functions of one module reach: definitions of that module, modules imported, data shipped.

    Args:
        *functions: module-level functions of one module; a partial counts as the function it wraps.

    Returns:
        64 hexadecimal digits (SHA-256). Comments, layout and docstrings of the functions' own module do not count.

    Source: elementary. A module without a source file, e.g. a notebook, raises ValueError.
    """
    plain = [function.func if isinstance(function, partial) else function for function in functions]
    module = plain[0].__module__
    own = module.partition(".")[0]
    tree = ast.parse(_existing_source(module).read_text(encoding="utf-8"))
    reached = _reached(tree, {function.__qualname__.partition(".")[0] for function in plain})
    digest = hashlib.sha256()
    for statement in reached:
        digest.update(_without_docstring(statement).encode())
    imported = set().union(*(_imported(statement, module, own) for statement in reached))
    _add_modules(digest, imported - {module}, own)
    return digest.hexdigest()


def module_hash(name: str) -> str:
    """Hash of a module as a whole, of what it imports and of the data shipped.

    Args:
        name: dotted name of a module of muon_theory or of a package beside it.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. A module without a source file, e.g. a notebook, raises ValueError.
    """
    _existing_source(name)
    digest = hashlib.sha256()
    _add_modules(digest, {name}, name.partition(".")[0])
    return digest.hexdigest()


def package_hash() -> str:
    """Hash of every file of muon_theory below reporting: code and the data shipped with it.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. Cost: reads about a megabyte.
    """
    digest = hashlib.sha256()
    _add_files(digest, _package_files())
    return digest.hexdigest()


def _add_modules(digest: Any, names: set[str], own: str) -> None:
    """Add the source of modules and of what they import, of muon_theory and their own package."""
    waiting, seen = sorted(names), set[str]()
    sources: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _source_file(name)
        if path is not None:
            sources[name] = path.read_bytes()
            waiting.extend(_module_imports(sources[name], name, own))
    for name in sorted(sources):
        digest.update(f"{name}\0".encode() + sources[name])
    if any(name.partition(".")[0] == PACKAGE for name in sources):
        _add_files(digest, (path for path in _package_files() if path.suffix != ".py"))


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


def _reached(tree: ast.Module, names: set[str]) -> list[ast.stmt]:
    """Statements of a module that these names depend on, in order; statements that bind nothing always count."""
    body = [statement for statement in tree.body if not _is_text(statement)]
    if not names <= set().union(*(_bound(statement) for statement in body)):
        return body  # a lambda, or a name bound in an unusual way: everything may matter
    kept = [not isinstance(statement, ON_DEMAND) or "*" in _bound(statement) for statement in body]
    wanted = set(names).union(*(_used(statement) for statement, keep in zip(body, kept, strict=True) if keep))
    grown = True
    while grown:
        grown = False
        for position, statement in enumerate(body):
            if not kept[position] and _bound(statement) & wanted:
                kept[position] = grown = True
                wanted |= _used(statement)
    return [statement for statement, keep in zip(body, kept, strict=True) if keep]


def _bound(statement: ast.stmt) -> set[str]:
    """Names a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return {node.id for node in stored}


def _used(statement: ast.stmt) -> set[str]:
    """Names that occur in a statement."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _without_docstring(statement: ast.stmt) -> str:
    """The statement's structure, without docstrings."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body = [inner for inner in node.body if not _is_text(inner)]
    return ast.dump(statement)


def _existing_source(module: str) -> Path:
    """The module's source file, or an error."""
    path = _source_file(module)
    if path is None:
        raise ValueError(f"{module} has no source file, so its results cannot be cached: use cache=None")
    return path


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


@lru_cache(maxsize=1024)
def _module_imports(source: bytes, module: str, own: str) -> frozenset[str]:
    """What a module's source imports; the same sources are asked for again and again."""
    return frozenset(_imported(ast.parse(source), module, own))


def _imported(tree: ast.AST, module: str, own: str) -> set[str]:
    """Modules, with their parents, of muon_theory below reporting and of an own package that code imports."""
    names: set[str] = set()
    package = module if _is_package(module) else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            names.update({base} | {f"{base}.{alias.name}" for alias in node.names})
    names |= {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}
    above = tuple(f"{name}." for name in ABOVE_THE_SCIENCE)
    return {name for name in names if name.partition(".")[0] in (PACKAGE, own) and not f"{name}.".startswith(above)}


def _is_package(module: str) -> bool:
    path = _source_file(module)
    return path is not None and path.name == "__init__.py"
