"""MuonW on one transformer whose parameters carry different names, or whose roles decide."""

from __future__ import annotations

from typing import Any

from muon_theory.optimizers import route_parameters
from muon_theory.rooms.tutorial.muonw import MuonW

RENAMED = {
    "as named here": {},
    "attention_heads": {"attention.": "attention_heads."},
    "OLMo's names": {
        "embedding.": "transformer.wte.",
        "positions.": "transformer.wpe.",
        "head.": "transformer.ff_out.",
    },
}


def muonw(arm: str, model: Any, lr: float, **options: Any) -> MuonW:
    """MuonW with the parameters' roles or names deciding."""
    roles: dict[str, Any] = {route.name: route.optimizer for route in route_parameters(model).routes}
    if arm == "AdamW":
        roles = dict.fromkeys(roles, "adamw")
    if arm in RENAMED:
        named = []
        for name, parameter in model.named_parameters():
            for old, new in RENAMED[arm].items():
                name = name.replace(old, new)  # noqa: PLW2901
            named.append((name, parameter))
        return MuonW(named, lr, **options)
    return MuonW(model.named_parameters(), lr, **options, route=lambda name, _: roles[name])
