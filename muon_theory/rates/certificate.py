"""The largest value that named linear inequalities allow, with a proof whose arithmetic is exact.

A convergence proof adds up inequalities with non-negative multipliers. Which multipliers give the least bound is a
linear program; its dual solution is the proof. HiGHS finds the inequalities that matter in floating point, then their
multipliers are solved for in rational numbers and checked there, so the bound does not rest on a solver's tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapify, heappop, heappush

import numpy as np

#: Slack, relative to the right side, below which an inequality may carry a multiplier.
_TIGHT = 1e-9

#: Programs solved before giving up: as it is, without nearly tied inequalities, then with right sides moved a little,
#: which breaks ties and leaves every proof a proof (whose sum then uses the true right sides).
_ATTEMPTS = 8
_NUDGE = 1e-12


@dataclass(frozen=True)
class Inequality:
    """A named inequality: the sum of coefficient times unknown is at most `bound`.

    Args:
        name: what it is, e.g. `descent`; several steps share a name and differ in `step`.
        source: where it comes from, one line.
        coefficients: unknown to rational coefficient; an unknown left out has coefficient 0.
        bound: the right side, rational.
        step: the step it belongs to, None for those of no step.

    Source: elementary (a record).

    >>> Inequality("gap", "definition", {"f0": Fraction(1)}, Fraction(1, 2)).label
    'gap'
    """

    name: str
    source: str
    coefficients: Mapping[str, Fraction]
    bound: Fraction
    step: int | None = None

    @property
    def label(self) -> str:
        """The name with the step, as `descent[3]`. Source: elementary."""
        return self.name if self.step is None else f"{self.name}[{self.step}]"


@dataclass(frozen=True)
class Certificate:
    """A bound on a linear objective and the proof of it: non-negative multipliers of inequalities.

    Args:
        objective: unknown to coefficient of the quantity that is bounded.
        bound: the proved bound, the sum of multiplier times right side; rational.
        multipliers: the inequalities used, each with its multiplier > 0.
        worst_case: a trajectory of the program that attains its optimum, in floating point.
        optimum: the optimum of the program in floating point; the bound is this number without its rounding.

    Source: elementary (duality of linear programming).
    """

    objective: Mapping[str, Fraction]
    bound: Fraction
    multipliers: tuple[tuple[Inequality, Fraction], ...]
    worst_case: Mapping[str, float]
    optimum: float

    @property
    def verified(self) -> bool:
        """Whether the proof is right, decided in rational arithmetic from the stored inequalities alone.

        True when no multiplier is negative, the weighted left sides add up to the objective in every unknown, and the
        weighted right sides to the bound. Source: elementary (weak duality).
        """
        total: dict[str, Fraction] = {}
        value = Fraction(0)
        for inequality, multiplier in self.multipliers:
            value += multiplier * inequality.bound
            for unknown, coefficient in inequality.coefficients.items():
                total[unknown] = total.get(unknown, Fraction(0)) + multiplier * coefficient
        names = total.keys() | self.objective.keys()
        zero = Fraction(0)
        same = all(total.get(name, zero) == self.objective.get(name, zero) for name in names)
        return same and value == self.bound and all(multiplier >= 0 for _, multiplier in self.multipliers)

    def table(self) -> str:
        """The proof as lines of text: inequality, multiplier, right side, contribution; then the sum.

        Returns:
            One line for each inequality name with at most two steps, else one for the first and the last of its steps
            and one for the sum of all.

        Source: elementary.
        """
        groups: dict[str, list[tuple[Inequality, Fraction]]] = {}
        for inequality, multiplier in self.multipliers:
            groups.setdefault(inequality.name, []).append((inequality, multiplier))
        lines = [f"{'inequality':<28}{'multiplier':>16}{'right side':>16}{'product':>16}"]
        for name, rows in groups.items():
            shown = rows if len(rows) < 3 else [rows[0], rows[-1]]
            lines += [_line(row.label, m, row.bound, m * row.bound) for row, m in shown]
            if len(rows) > 2:
                together = sum((m * row.bound for row, m in rows), Fraction(0))
                lines.append(f"{f'{name}, all {len(rows)}':<28}{'':>32}{float(together):>16.9g}")
        lines.append(f"{'bound':<28}{'':>32}{float(self.bound):>16.9g}")
        return "\n".join(lines)


def best_constant(objective: Mapping[str, Fraction], inequalities: Sequence[Inequality]) -> Certificate:
    """The least bound on a linear objective that follows from linear inequalities, with its exact proof.

    Args:
        objective: unknown to rational coefficient of the quantity to bound from above.
        inequalities: what is known of the unknowns, which may have any sign; a ValueError says that they contradict one
            another or do not bound the objective.

    Returns:
        The certificate, verified.

    Raises:
        ArithmeticError: the solver's active set has no exact multipliers, even without nearly tied inequalities.

    Source: elementary (duality of linear programming); solver HiGHS (Huangfu and Hall 2018) through scipy.
    Cost: 0.1 s for a thousand inequalities whose unknowns are few each.

    >>> known = [Inequality("a", "given", {"x": Fraction(2), "y": Fraction(1)}, Fraction(1)),
    ...          Inequality("b", "given", {"y": Fraction(-1)}, Fraction(0))]
    >>> proof = best_constant({"x": Fraction(1)}, known)
    >>> proof.bound, proof.verified, [str(multiplier) for _, multiplier in proof.multipliers]
    (Fraction(1, 2), True, ['1/2', '1/2'])
    """
    rows = list(inequalities)
    for attempt in range(_ATTEMPTS):
        found = _solved(objective, rows, nudge=0.0 if attempt < 2 else _NUDGE * 4.0**attempt)
        active = [rows[i] for i in found.active]
        try:
            exact = _exact_multipliers(objective, active, found.shares)
        except ArithmeticError:
            continue
        if all(multiplier >= 0 for multiplier in exact):
            proof = tuple((row, multiplier) for row, multiplier in zip(active, exact, strict=True) if multiplier)
            bound = sum((multiplier * row.bound for row, multiplier in proof), Fraction(0))
            certificate = Certificate(dict(objective), bound, proof, found.point, found.optimum)
            if certificate.verified:
                return certificate
        else:
            # Two ways to the same bound up to the solver's tolerance: do without the one that does not help exactly.
            wrong = {i for i, multiplier in zip(found.active, exact, strict=True) if multiplier < 0}
            rows = [row for i, row in enumerate(rows) if i not in wrong]
    raise ArithmeticError("no multipliers of the solver's active set prove the bound in rational numbers")


@dataclass(frozen=True)
class _Solved:
    """What HiGHS found: the tight inequalities with their shares, the point and the optimum."""

    active: list[int]
    shares: list[float]
    point: dict[str, float]
    optimum: float


def _solved(objective: Mapping[str, Fraction], inequalities: Sequence[Inequality], nudge: float) -> _Solved:
    """The program in floating point; each row is divided by its largest coefficient, tolerances being absolute."""
    from scipy.optimize import linprog  # here, so that listing the claims does not load it
    from scipy.sparse import csr_array

    unknowns = sorted({name for row in inequalities for name in row.coefficients} | objective.keys())
    column = {name: j for j, name in enumerate(unknowns)}
    scales = [max(map(abs, row.coefficients.values())) for row in inequalities]
    entries = [
        (i, column[name], float(value / scales[i]))
        for i, row in enumerate(inequalities)
        for name, value in row.coefficients.items()
    ]
    row_index, column_index, values = (np.array(part) for part in zip(*entries, strict=True))
    matrix = csr_array((values, (row_index, column_index)), shape=(len(inequalities), len(unknowns)))
    limits = np.array([float(row.bound / scale) for row, scale in zip(inequalities, scales, strict=True)])
    if nudge:
        limits = limits + nudge * np.abs(limits).max() * np.random.default_rng(0).random(len(limits))
    cost = -np.array([float(objective.get(name, 0)) for name in unknowns])
    found = linprog(cost, A_ub=matrix, b_ub=limits, bounds=(None, None), method="highs")
    if found.status != 0:
        raise ValueError(
            f"inequalities: {len(inequalities)} of them give no bound (HiGHS: {found.message.strip()}); "
            "they contradict one another, or one that limits the objective is missing"
        )
    shares = -np.asarray(found.ineqlin.marginals)
    # A multiplier below the solver's tolerance may be a small positive one: its inequality is tight all the same.
    tight = np.asarray(found.ineqlin.residual) <= _TIGHT * (1 + np.abs(limits))
    active = np.flatnonzero(tight | (shares > _TIGHT * shares.max()))
    point = dict(zip(unknowns, np.asarray(found.x).tolist(), strict=True))
    return _Solved(active.tolist(), shares[active].tolist(), point, -float(found.fun))


def root_above(square: Fraction, bits: int = 80) -> Fraction:
    """A rational number at or just above a square root; exact where the root is rational.

    Args:
        square: the number >= 0 under the root.
        bits: the result exceeds the root by at most 2^-bits relative.

    Returns:
        The rational number.

    Raises:
        ValueError: a negative number.

    Source: elementary.

    >>> root_above(Fraction(4, 9)), root_above(Fraction(2)) ** 2 >= 2
    (Fraction(2, 3), True)
    """
    if square < 0:
        raise ValueError(f"square = {square}: give a number >= 0")
    product = square.numerator * square.denominator
    root = math.isqrt(product)
    if root * root == product:
        return Fraction(root, square.denominator)
    return Fraction(math.isqrt(product << (2 * bits)) + 1, square.denominator << bits)


def _exact_multipliers(
    objective: Mapping[str, Fraction], rows: Sequence[Inequality], shares: Sequence[float]
) -> list[Fraction]:
    """The rational multipliers with which the left sides add up to the objective; those not needed are 0.

    Sparse elimination: the equation of an unknown with the fewest open multipliers comes first and is solved for the
    one with the largest share, so multipliers that are positive in floating point are kept before doubtful ones.

    Returns:
        One multiplier a row.

    Raises:
        ArithmeticError: no combination adds up.
    """
    equations: dict[str, dict[int, Fraction]] = {}
    sides = {name: Fraction(value) for name, value in objective.items()}
    users: list[set[str]] = [set() for _ in rows]
    for i, row in enumerate(rows):
        for name, value in row.coefficients.items():
            if value:
                equations.setdefault(name, {})[i] = Fraction(value)
                users[i].add(name)
    order: list[tuple[int, Fraction, dict[int, Fraction]]] = []
    heap = [(len(equation), name) for name, equation in equations.items()]
    heapify(heap)
    while heap:
        length, name = heappop(heap)
        equation = equations.get(name)
        if equation is None or len(equation) != length:
            continue
        del equations[name]
        side = sides.pop(name, Fraction(0))
        if not equation:
            sides[name] = side
            continue
        pivot = max(equation, key=lambda i: shares[i])
        scale = equation.pop(pivot)
        equation = {i: value / scale for i, value in equation.items()}
        for i in equation:
            users[i].discard(name)
        users[pivot].discard(name)
        order.append((pivot, side / scale, equation))
        for other in users[pivot]:
            target = equations[other]
            factor = target.pop(pivot)
            for i, value in equation.items():
                left = target.get(i, Fraction(0)) - factor * value
                if left:
                    target[i] = left
                    users[i].add(other)
                else:
                    target.pop(i, None)
                    users[i].discard(other)
            sides[other] = sides.get(other, Fraction(0)) - factor * side / scale
            heappush(heap, (len(target), other))
    if any(sides.values()):
        raise ArithmeticError("the active inequalities do not add up to the objective in rational numbers")
    solution = [Fraction(0)] * len(rows)
    for pivot, side, equation in reversed(order):
        solution[pivot] = side - sum((value * solution[i] for i, value in equation.items()), Fraction(0))
    return solution


def _line(label: str, multiplier: Fraction, bound: Fraction, product: Fraction) -> str:
    return f"{label:<28}{float(multiplier):>16.9g}{float(bound):>16.9g}{float(product):>16.9g}"
