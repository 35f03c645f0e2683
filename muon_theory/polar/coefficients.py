"""Coefficient sets: which odd polynomial each Newton-Schulz step applies to the singular values.

One step maps sigma to c1 sigma + c3 sigma^3 + c5 sigma^5 + ..., and X to c1 X + c3 (X X^T) X + .... A set is a schedule
of such rows, the normalisation its source uses before the first, and the rule for steps beyond the last.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Literal, SupportsIndex, TypeVar

from muon_theory.polar.coefficient_tables import TABLES, PublishedTable

Extension = Literal["repeat", "cycle", "taylor"]
ExactRow = tuple[Fraction, ...]
Row = tuple[float, ...]
_AnyRow = TypeVar("_AnyRow", ExactRow, Row)


def taylor_coefficients(degree: int) -> ExactRow:
    """Coefficients of the Taylor (Pade [k/0]) step of an odd degree, exact.

    The step is s p_k(s^2) with p_k(t) = sum_{j<=k} C(2j, j) / 4^j (1 - t)^j, the degree-k Taylor polynomial of
    t^(-1/2) at t = 1, and degree = 2k + 1.

    Args:
        degree: odd integer >= 3.

    Returns:
        (c1, c3, ..., c_degree) as fractions, lowest power first; they sum to 1.

    Raises:
        TypeError: degree is not an integer.
        ValueError: degree is even or below 3.

    Source: elementary (binomial series); Kim and Oh 2026, Definition 2.

    >>> [str(c) for c in taylor_coefficients(5)]
    ['15/8', '-5/4', '3/8']
    """
    if isinstance(degree, bool) or not isinstance(degree, SupportsIndex):
        raise TypeError(f"degree must be an odd integer >= 3, got {degree!r}")
    degree = operator.index(degree)
    if degree < 3 or degree % 2 == 0:
        raise ValueError(f"degree must be odd and >= 3 (a step is an odd polynomial), got {degree}")
    return _taylor_row(degree)


@lru_cache(maxsize=64)
def _taylor_row(degree: int) -> ExactRow:
    order = (degree - 1) // 2
    row = [Fraction(0)] * (order + 1)
    for j in range(order + 1):
        weight = Fraction(math.comb(2 * j, j), 4**j)
        for i in range(j + 1):
            row[i] += weight * math.comb(j, i) * (-1) ** i
    return tuple(row)


def matmuls_per_step(degree: int) -> int:
    """Matrix products of one step of a given odd degree in the dense form.

    Degree 3: 2, degree 5: 3, degrees 7 and 9: 4, degrees 11 and 13: 5: the products X X^T, A^2, the Horner products in
    A^2, and the one with X.

    Args:
        degree: odd integer >= 3, the degree in sigma.

    Returns:
        The number of matrix products.

    Source: Paterson and Stockmeyer 1973 with block size two.

    >>> [matmuls_per_step(d) for d in (3, 5, 7, 9, 11)]
    [2, 3, 4, 4, 5]
    """
    order = (degree - 1) // 2
    return 2 if order == 1 else 2 + (order + 1) // 2


@dataclass(frozen=True)
class CoefficientSet:
    """A schedule of odd polynomials with its normalisation, its interval of validity and its certified worst error.

    Args:
        name: the key, `author_year` for a published set.
        exact_steps: rows of fractions, lowest power first (c1, c3, c5, ...); one row a step. The printed decimals,
            after the divisions by safety^degree that the source makes.
        interval: (l, u): singular values of the normalised input (largest at most 1) for which `worst_error` holds.
        worst_error: sup over the interval of abs(sigma - 1) after `natural_steps` steps, normalisation included,
            rounded upwards; `certified_worst_error` proves it.
        natural_steps: number of steps the source runs by default.
        extension: what follows the last row: "repeat" it, "cycle" through the table, or "taylor" steps of the last
            row's degree.
        norm_safety: the normalised input is divided by this before the first step.
        preconditioner: None for Frobenius normalisation; "aol" for X <- D X with D_ii = (sum_j abs(X X^T)_ij)^(-1/2),
            which bounds the largest singular value by 1 itself and changes the polar factor.
        source: where the set was read.

    Source: elementary (a record).

    >>> COEFFICIENTS["jordan_2024"].steps[0]
    (3.4445, -4.775, 2.0315)
    """

    name: str
    exact_steps: tuple[ExactRow, ...]
    interval: tuple[float, float]
    worst_error: float
    natural_steps: int
    extension: Extension
    source: str
    norm_safety: Fraction = Fraction(1)
    preconditioner: Literal["aol"] | None = None

    @cached_property
    def steps(self) -> tuple[Row, ...]:
        """The rows in float64, lowest power first."""
        return tuple(_floats(row) for row in self.exact_steps)

    @property
    def degree(self) -> int:
        """The largest degree in sigma of any row."""
        return max(2 * len(row) - 1 for row in self.exact_steps)

    @property
    def matmuls(self) -> int:
        """Matrix products of `natural_steps` steps in the dense form (without a preconditioner's)."""
        return sum(matmuls_per_step(2 * len(row) - 1) for row in self.exact_coefficients(self.natural_steps))

    def exact_coefficients(self, step_count: int) -> tuple[ExactRow, ...]:
        """The rows of the first `step_count` steps as fractions, extended beyond the last published one.

        Args:
            step_count: number of steps, an integer >= 0.

        Returns:
            `step_count` rows, lowest power first.

        Source: elementary.
        """
        return tuple(self._extended(self.exact_steps, step_count))

    def coefficients(self, step_count: int) -> tuple[Row, ...]:
        """The rows of the first `step_count` steps in float64, extended beyond the last published one.

        Args:
            step_count: number of steps, an integer >= 0.

        Returns:
            `step_count` rows, lowest power first.

        Source: elementary.

        >>> COEFFICIENTS["deepseek_2026"].coefficients(11)[-1]
        (1.875, -1.25, 0.375)
        """
        return tuple(self._extended(self.steps, step_count))

    def _extended(self, rows: Sequence[_AnyRow], step_count: int) -> Iterator[_AnyRow]:
        """The first rows, then what follows the last one, in the number format of the rows."""
        _check_steps(step_count)
        for t in range(step_count):
            if t < len(rows):
                yield rows[t]
            elif self.extension == "cycle":
                yield rows[t % len(rows)]
            elif self.extension == "repeat":
                yield rows[-1]
            else:
                number = type(rows[-1][0])
                yield tuple(number(c) for c in taylor_coefficients(2 * len(rows[-1]) - 1))  # pyright: ignore


def coefficient_set(method: str | CoefficientSet) -> CoefficientSet:
    """The coefficient set a method name stands for.

    Args:
        method: a key of `COEFFICIENTS`, "taylor_<degree>" with an odd degree >= 3, or a set itself (returned).

    Returns:
        The set.

    Raises:
        TypeError: method is neither a string nor a set.
        ValueError: the name is unknown, or its degree even.

    Source: elementary.

    >>> coefficient_set("taylor_3").steps
    ((1.5, -0.5),)
    """
    if isinstance(method, CoefficientSet):
        return method
    if not isinstance(method, str):
        raise TypeError(f"method must be a name or a CoefficientSet, got {type(method).__name__}")
    if method in COEFFICIENTS:
        return COEFFICIENTS[method]
    prefix, _, digits = method.partition("_")
    if prefix == "taylor" and digits.isascii() and digits.isdigit():
        return _taylor_set(int(digits))
    known = ", ".join(COEFFICIENTS)
    raise ValueError(f"unknown method {method!r}; known are {known}, and taylor_3, taylor_5, taylor_7, ...")


def method_steps(method: str | CoefficientSet, steps: int) -> tuple[Row, ...]:
    """The float64 coefficient rows a method applies in its first `steps` steps.

    Args:
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or a `CoefficientSet`.
        steps: number of steps, an integer >= 0.

    Returns:
        `steps` rows (c1, c3, ...), lowest power first.

    Source: elementary.

    >>> method_steps("taylor_3", 2)
    ((1.5, -0.5), (1.5, -0.5))
    """
    return coefficient_set(method).coefficients(steps)


def _floats(row: ExactRow) -> Row:
    return tuple(float(c) for c in row)


def _check_steps(steps: int) -> None:
    if isinstance(steps, bool) or not isinstance(steps, SupportsIndex):
        raise TypeError(f"steps must be an integer >= 0, got {steps!r}")
    if operator.index(steps) < 0:
        raise ValueError(f"steps must be an integer >= 0, got {steps}")


@lru_cache(maxsize=64)
def _taylor_set(degree: int) -> CoefficientSet:
    """The Taylor step of a degree, repeated; it converges on (0, 1] but at no uniform rate, hence worst error 1."""
    return CoefficientSet(
        name=f"taylor_{degree}",
        exact_steps=(taylor_coefficients(degree),),
        interval=(0.0, 1.0),
        worst_error=1.0,
        natural_steps=5,
        extension="repeat",
        source="truncated binomial series; Kim and Oh 2026, Definition 2",
    )


def _published(table: PublishedTable) -> CoefficientSet:
    """The set of a printed table, its safety divisions made exactly."""
    safety = Fraction(table.row_safety)
    divided = len(table.rows) if table.safe_rows is None else table.safe_rows
    rows = tuple(
        tuple(Fraction(c) / (safety ** (2 * i + 1) if t < divided else 1) for i, c in enumerate(row))
        for t, row in enumerate(table.rows)
    )
    return CoefficientSet(
        name=table.name,
        exact_steps=rows,
        interval=(float(table.interval[0]), float(table.interval[1])),
        worst_error=table.worst_error,
        natural_steps=table.natural_steps,
        extension=table.extension,  # pyright: ignore[reportArgumentType]
        source=table.source,
        norm_safety=Fraction(table.norm_safety),
        preconditioner=table.preconditioner,  # pyright: ignore[reportArgumentType]
    )


COEFFICIENTS: Mapping[str, CoefficientSet] = MappingProxyType({table.name: _published(table) for table in TABLES})
