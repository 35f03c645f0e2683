"""Who steps what: the tutorial's advice, its own experiments, and the name rule of MuonW."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Target = Literal["muon", "adamw", "heavy_ball"]

OLMO_NAMES: Mapping[str, tuple[str, Target]] = MappingProxyType({
    "transformer.wte.weight": ("embedding", "adamw"),
    "transformer.wpe.weight": ("embedding", "adamw"),
    "transformer.blocks.0.att_proj.weight": ("hidden", "muon"),
    "transformer.blocks.0.attn_out.weight": ("hidden", "muon"),
    "transformer.blocks.0.ff_proj.weight": ("hidden", "muon"),
    "transformer.blocks.0.ff_out.weight": ("hidden", "muon"),
    "transformer.ff_out.weight": ("head", "adamw"),
})
"""Matrices of OLMo's model class, the role of each and the optimizer the advice gives it (names: olmo/model.py)."""


def name_rule(name: str, dimensions: int) -> Target:
    """MuonW's rule: Muon for two or more dimensions unless the name contains "embed" or "head".

    Args:
        name: of the parameter.
        dimensions: of the parameter.

    Returns:
        "muon" or "adamw".

    Source: allenai/OLMo pull request 882.

    >>> name_rule("lm_head.weight", 2), name_rule("attention_heads.weight", 2), name_rule("transformer.wte.weight", 2)
    ('adamw', 'adamw', 'muon')
    """
    return "muon" if dimensions >= 2 and "embed" not in name and "head" not in name else "adamw"


def as_run(name: str, dimensions: int) -> Target:  # noqa: ARG001  (the rule looks at no name, which is the point)
    """What the tutorial's own experiments do: Muon for every tensor of two or more dimensions, heavy ball for the rest.

    Args:
        name: of the parameter; not looked at.
        dimensions: of the parameter.

    Returns:
        "muon" or "heavy_ball".

    Source: Wei 2025.

    >>> as_run("head.weight", 2), as_run("head.bias", 1)
    ('muon', 'heavy_ball')
    """
    return "muon" if dimensions >= 2 else "heavy_ball"
