"""The published statements on CIFAR-10 as claims: TR-01 to TR-03 of the full recipe, and what a reduced one shows."""

from __future__ import annotations

from typing import Any, TypeAlias

import pandas as pd

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.training.comparison import paired_difference

SOURCE = "Kravatskiy et al. 2025, arXiv 2512.09678, table on CIFAR-10"
MUON = ("own", "Muon")
Pair: TypeAlias = "tuple[tuple[str, str], tuple[str, str]]"


def full_claims(errors: pd.DataFrame) -> list[Claim]:
    """TR-01 to TR-03, from test errors in points, one row a seed, columns (arm, rule)."""
    values = {key: errors[key].tolist() for key in errors.columns}
    agree: list[Pair] = [(("own", name), MUON) for name in ("F-Muon", "S-Muon")]
    behind: list[Pair] = [(("own", name), MUON) for name in ("SignSGD", "NSGD")]
    chain = [("shared", name) for name in ("Neon", "Fanion-5", "F-Fanion-5")]
    order: list[Pair] = [*zip(chain, chain[1:], strict=False), (("shared", "F-Neon"), MUON), (chain[2], MUON)]
    rest: dict[str, Any] = {"source": f"{SOURCE}; run here", "method": "training run", "attribution": "printed",
                            "expected": "open", "tier": "run", "unit": "points"}  # fmt: skip
    return [
        Claim(id="TR-01", statement="full recipe, own rates: F-Muon and S-Muon agree with Muon within .2 points, "
              "SignSGD and NSGD are more than 1.5 points lower", relation="<=", evaluate=_agreement, parameters={
              "values": values, "agree": agree, "behind": behind},
              mutations=(Mutation("SignSGD in F-Muon's place", {"agree": behind}),), **rest),
        Claim(id="TR-02", statement="at Muon's rate: Neon < Fanion-5 < F-Fanion-5 and F-Neon < Muon", relation=">=",
              evaluate=_differences, parameters={"values": values, "pairs": order},
              mutations=(Mutation("the opposite order", {"sign": -1.0}),), **rest),
        Claim(id="TR-03", statement="without the rescaling of kernels Muon and F-Muon are not told apart",
              relation="==", evaluate=_differences, parameters={
              "values": values, "pairs": [(("free", "F-Muon"), ("free", "Muon"))]},
              mutations=(Mutation("rescaling left on for one", {"pairs": [(("free", "F-Muon"), MUON)]}),), **rest),
    ]  # fmt: skip


def reduced_claims(errors: pd.DataFrame) -> list[Claim]:
    """The directions, not the sizes, of the published differences on the reduced recipe."""
    values = {key: errors[key].tolist() for key in errors.columns}
    reversal = (Mutation("the two exchanged", {"sign": -1.0}),)
    rest: dict[str, Any] = {"source": f"{SOURCE} (full recipe); reduced recipe run here", "method": "training run",
                            "attribution": "implied", "tier": "run", "unit": "points", "relation": ">=",
                            "evaluate": _differences, "mutations": reversal, "expected": "holds"}  # fmt: skip
    low: list[Pair] = [(("shared", name), MUON) for name in ("Neon", "Fanion-5")]
    tuned: list[Pair] = [(("own", name), MUON) for name in ("Neon", "Fanion-5")]
    blends: list[Pair] = [
        (("own", other), ("own", blend)) for other in ("SignSGD", "NSGD") for blend in ("F-Muon", "S-Muon")
    ]
    return [
        Claim(id="MC-LOW", statement="reduced recipe: at Muon's rate Neon and Fanion-5 err more than Muon",
              parameters={"values": values, "pairs": low}, **rest),
        Claim(id="MC-OWN", statement="reduced recipe: Neon and Fanion-5 err more than Muon at rates of their own too",
              parameters={"values": values, "pairs": tuned}, **rest),
        Claim(id="MC-SIGN", statement="reduced recipe, own rates: SignSGD and NSGD err more than Muon", parameters={
              "values": values, "pairs": [(("own", name), MUON) for name in ("SignSGD", "NSGD")]}, **rest),
        Claim(id="MC-BLEND", statement="reduced recipe, own rates: SignSGD and NSGD err more than F-Muon and S-Muon",
              parameters={"values": values, "pairs": blends}, **rest),
    ]  # fmt: skip


def _differences(*, values: dict, pairs: list[Pair], sign: float = 1.0) -> Finding:
    return Finding(0.0, [_estimate(values, pair, sign) for pair in pairs])


def _agreement(*, values: dict, agree: list[Pair], behind: list[Pair]) -> Finding:
    close = [_estimate(values, pair) for pair in agree]
    sizes = [Estimate(abs(d.value), max(0.0, d.lower, -d.upper), max(-d.lower, d.upper)) for d in close]
    return Finding(
        [0.2] * len(sizes) + [-1.5] * len(behind), sizes + [_estimate(values, pair, -1.0) for pair in behind]
    )


def _estimate(values: dict, pair: Pair, sign: float = 1.0) -> Estimate:
    found = paired_difference([sign * x for x in values[pair[0]]], [sign * x for x in values[pair[1]]])
    return Estimate(found.mean, found.lower, found.upper)
