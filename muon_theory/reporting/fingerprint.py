"""Content hashes: a stored result is reused only while the code, parameters and versions that made it are the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

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


@lru_cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that do arithmetic.

    Returns:
        Name to version, e.g. `{"python": "3.11.7", "numpy": "2.4.6", ...}`.

    Source: elementary.
    """
    return {"python": platform.python_version()} | {name: _version(name) for name in NUMERICAL_PACKAGES}


def cell_key(function: Callable[..., Any], parameters: Mapping[str, Any], code: str, context: str = "") -> str:
    """Cache key of one cell: what it computes, from what, with which code and versions.

    Args:
        function: the cell's function, at module level.
        parameters: its keyword arguments, JSON values.
        code: hash of the code it runs on, see `function_hash`.
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
