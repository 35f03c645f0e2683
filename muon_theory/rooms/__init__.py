"""One room per paper or system; rooms are strangers to one another.

A room is a package here; the claims it states are returned by `claims()` of its module or package `claims`.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from muon_theory.claim import Claim


def room_names() -> list[str]:
    """The names of the rooms, found by listing this package; nothing is imported.

    Returns:
        The names in alphabetical order.

    Source: elementary.

    >>> "newton_schulz_convergence" in room_names()
    True
    """
    return sorted(module.name for module in iter_modules(__path__) if module.ispkg)


def load_rooms(names: Iterable[str] | None = None) -> dict[str, list[Claim]]:
    """The claims of the named rooms, by room; only the rooms asked for are imported.

    Args:
        names: room names; None takes all rooms.

    Returns:
        Room name to its claims, in the order asked for; a room that states no claim has an empty list.

    Raises:
        ValueError: an unknown room; the message lists the known ones.

    Source: elementary.

    >>> sorted(load_rooms([]))
    []
    """
    known = room_names()
    chosen = known if names is None else list(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"no room called {', '.join(map(repr, unknown))}; the rooms are {', '.join(known)}")
    return {name: _claims_of(f"{__name__}.{name}.claims") for name in chosen}


def all_claims(names: Iterable[str] | None = None) -> list[Claim]:
    """The claims of the named rooms in one list.

    Args:
        names: room names; None takes all rooms.

    Returns:
        Every claim, room after room.

    Source: elementary.

    >>> all_claims([])
    []
    """
    return [claim for claims in load_rooms(names).values() for claim in claims]


def _claims_of(module: str) -> list[Claim]:
    return import_module(module).claims() if find_spec(module) else []
