"""The executable statements of this room; each module states one part of the paper."""

from importlib import import_module
from pkgutil import iter_modules

from muon_theory.claim import Claim


def claims() -> list[Claim]:
    """The claims of this room, in the order of its modules' names.

    Returns:
        Every claim of every module of this package.

    Source: the modules' own.
    """
    names = sorted(module.name for module in iter_modules(__path__))
    return [claim for name in names for claim in import_module(f"{__name__}.{name}").claims()]
