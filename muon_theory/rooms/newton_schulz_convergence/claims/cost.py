"""The products a Taylor step really executes, in the paper's form and by Horner's rule on the Gram matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.steps import chained_step, horner_step


class _Counted:
    """A matrix that adds up the flops of the matrix products it takes part in."""

    def __init__(self, values: NDArray[np.float64], counter: list[int]) -> None:
        self.values, self.counter = values, counter

    @property
    def T(self) -> _Counted:
        return _Counted(self.values.T, self.counter)

    def __matmul__(self, other: _Counted) -> _Counted:
        self.counter[0] += 2 * self.values.shape[0] * self.values.shape[1] * other.values.shape[1]
        return _Counted(self.values @ other.values, self.counter)

    def __add__(self, other: _Counted) -> _Counted:
        return _Counted(self.values + other.values, self.counter)

    def __sub__(self, other: _Counted) -> _Counted:
        return _Counted(self.values - other.values, self.counter)

    def __mul__(self, factor: float) -> _Counted:
        return _Counted(self.values * factor, self.counter)


def _executed(step: Callable[[Any, int], Any], rows: int, columns: int, k: int) -> int:
    """Flops of the products of one step, counted while it runs."""
    counter = [0]
    step(_Counted(np.full((rows, columns), 0.1), counter), k)
    return counter[0]


def _products(reverse: bool = False) -> Finding:
    """Printed against Horner flops of one step at 4x4 and 4x16, k = 1, 2, 3, both counted while the step ran."""
    # `reverse` asks whether Horner's count reaches the printed one at 4x16, k = 2, as equality would need.
    cases = [(4, 16, 2)] if reverse else [(4, n, k) for n in (4, 16) for k in (1, 2, 3)]
    printed, horner = ([_executed(step, *case) for case in cases] for step in (chained_step, horner_step))
    return Finding(printed, horner) if reverse else Finding(horner, printed)


def claims() -> list[Claim]:
    """The claim KO-COST.

    Returns:
        The claim.

    Source: the row of the inventory.
    """
    return [
        Claim(
            id="KO-COST",
            statement="printed count 2q(k+1) m^2 n >= Horner count q(4 m^2 n + 2(k-1) m^3) for m <= n, "
            "equal iff m = n or k = 1",
            source="derived here; printed count: Kim and Oh 2026, arXiv 2601.19156, Appendix E",
            relation=">=",
            method="exact rational",
            evaluate=_products,
            mutations=(Mutation("equality at 4x16, k = 2", {"reverse": True}),),
            expected="holds",
            attribution="ours",
            unit="flops",
        ),
    ]
