"""Content hashes: a stored result is reused only while the code, parameters and versions that made it are the same."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
ABOVE_THE_SCIENCE = ("cli", "cli.py", "reporting")
NUMERICAL_PACKAGES = ("numpy", "scipy", "torch")


def canonical_json(parameters: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: equal parameters give equal text.

    Args:
        parameters: JSON values (numbers, text, booleans, None, lists, dicts with text keys) or numpy scalars.

    Returns:
        The text; NaN and infinities are kept as `NaN`, `Infinity`.

    Raises:
        TypeError: a value is not a JSON value; the message names the parameter.

    Source: elementary.

    >>> canonical_json({"steps": 5, "degrees": (3, 5)})
    '{"degrees":[3,5],"steps":5}'
    """
    for name, value in parameters.items():
        try:
            json.dumps(value, default=_scalar)
        except TypeError:
            raise TypeError(
                f"parameter {name} = {value!r} is {type(value).__name__}; a cell takes JSON values "
                "(numbers, text, lists, dicts): pass a name or a list and build the object inside the cell"
            ) from None
    return json.dumps(parameters, sort_keys=True, separators=(",", ":"), default=_scalar)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that do arithmetic.

    Returns:
        Name to version, e.g. `{"python": "3.11.7", "numpy": "2.4.6", ...}`.

    Source: elementary.
    """
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in NUMERICAL_PACKAGES
    }


def package_hash() -> str:
    """Hash of every file of muon_theory below reporting: code and the data shipped with it.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. Cost: reads about a megabyte.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] in ABOVE_THE_SCIENCE or "__pycache__" in inside.parts or not path.is_file():
            continue
        if not path.name.startswith("."):
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def module_hash(name: str) -> str:
    """Hash of a module's source and of every module of its own top package that it imports, directly or not.

    Args:
        name: dotted name of an importable module, e.g. `studies.polar.q_and_degree`, or `__main__`.

    Returns:
        64 hexadecimal digits (SHA-256).

    Raises:
        ValueError: the module has no source file, e.g. it is a notebook.

    Source: elementary.
    """
    digest = hashlib.sha256()
    waiting, seen = [name], set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        path = _source_file(module)
        if path is None:
            if module == name:
                raise ValueError(f"{name} has no source file, so its results cannot be cached: use Engine(cache=None)")
            continue
        text = path.read_text(encoding="utf-8")
        digest.update(f"{module}\0{text}\0".encode())
        waiting.extend(sorted(_imported(text, module)))
    return digest.hexdigest()


def cell_key(function: Callable[..., Any], parameters: Mapping[str, Any], code: str, context: str = "") -> str:
    """Cache key of one cell: what it computes, from what, with which code and versions.

    Args:
        function: the cell's function, at module level.
        parameters: its keyword arguments, JSON values.
        code: hash of the code it runs on, see `package_hash` and `module_hash`.
        context: anything else the result depends on, e.g. the fingerprint of a data folder.

    Returns:
        64 hexadecimal digits (SHA-256).

    Source: elementary. A parameter that is not a JSON value raises TypeError.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    identity = [code, name, canonical_json(parameters), sorted(versions().items()), context]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _scalar(value: Any) -> Any:
    """A numpy scalar as a Python number; JSON knows nothing else."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    raise TypeError(type(value).__name__)


def _source_file(module: str) -> Path | None:
    """The module's source file, or None."""
    loaded = sys.modules.get(module)
    location = getattr(loaded, "__file__", None)
    if location is None and module != "__main__":
        try:
            spec = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None
        location = spec.origin if spec else None
    if location is None or not location.endswith(".py"):
        return None
    return Path(location)


def _imported(text: str, module: str) -> set[str]:
    """Absolute names of modules of the same top package that this source imports; muon_theory is hashed as a whole."""
    top = module.partition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, base] if base else parent)
            names.update({base} | {f"{base}.{alias.name}" for alias in node.names})
    return {name for name in names if name.partition(".")[0] == top != "muon_theory"}
