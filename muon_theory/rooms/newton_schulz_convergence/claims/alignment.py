"""How well q Taylor steps align with their input, as a Schatten norm: the FedMuon inequality and two sharper ones."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.steps import schatten_exponent
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, singular_value_map, slope_at_zero

ROUNDING = "float64: sums of eleven terms and a power 1/p; at q = 0 both sides are the same Frobenius norm"
Array = NDArray[np.float64]


@lru_cache(maxsize=1)
def _spectra() -> Array:
    """2000 spectra of Frobenius norm 1, zero-padded to 11: log-uniform, two-level, and flat with one small value."""
    generator = np.random.default_rng(4)
    spectra = np.zeros((2000, 11))
    for i in range(2000):
        r = int(generator.integers(2, 12))
        decades = generator.uniform(0.0, 10.0)
        sigma = 10.0 ** (-decades * generator.random(r))
        if i % 3 == 1:
            sigma = np.where(np.arange(r) < generator.integers(1, r), 1.0, 10.0**-decades)
        elif i % 3 == 2:
            sigma = np.append(np.ones(r - 1), 10.0**-decades)
        spectra[i, :r] = np.sort(sigma)[::-1]
    return spectra / np.sqrt(np.sum(spectra**2, axis=1, keepdims=True))


def _schatten_floor(
    orders: tuple[int, ...], exact: bool = False, degree: bool = False, lowered: float = 0.0
) -> Finding:
    """The smallest <C, X_q>/Schatten-p norm over the spectra and q = 0..7, for each order."""
    # `exact` takes p from s_q(kap), else from 1 - (1 - kap)^(a_k^q); `degree` puts 2k + 1 for a_k; `lowered` lowers p.
    x = _spectra()
    smallest = np.where(x > 0, x, np.inf).min(axis=1)
    minima = []
    for k in orders:
        ratios = []
        for q in range(8):
            power = float(2 * k + 1 if degree else slope_at_zero(k)) ** q
            floor = -np.expm1(power * np.log1p(-smallest))
            if exact:
                floor = np.minimum(iterated(singular_value_map, k, smallest, q), 1.0)  # rounding may pass 1
            p = (np.asarray(schatten_exponent(smallest, floor)) - lowered)[:, None]
            norm = np.sum(np.where(x > 0, x, 0.0) ** p, axis=1) ** (1 / p[:, 0])
            ratios.append(np.min(np.sum(x * iterated(singular_value_map, k, x, q), axis=1) / norm))
        minima.append(float(min(ratios)))
    return Finding(1.0, minima, attained=min(minima))


def claims() -> list[Claim]:
    """The claims FED-01, FED-02 and FED-03.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    rows = [
        (
            "FED-01",
            "<C, X_q> >= Schatten-p norm of C, p = 1 + log(1 - (1-kap)^(1.5^q))/log kap, kap = sigma_min/fro(C), k = 1",
            "FedMuon, ICLR 2026, as relayed",
            "relayed",
            {"orders": (1,)},
            Mutation("3 in place of 1.5", {"degree": True}),
        ),
        (
            "FED-02",
            "<C, X_q> >= Schatten-p norm of C, p = 1 + log(1 - (1-kap)^(a_k^q))/log kap, k = 2 and 3",
            "derived here: log(1 - (1-x)^A) is concave in log x, with the slope bound",
            "ours",
            {"orders": (2, 3)},
            Mutation("2k + 1 in place of a_k", {"degree": True}),
        ),
        (
            "FED-03",
            "<C, X_q> >= Schatten-p norm of C, p = 1 + log s_q(kap)/log kap: a smaller p, so stronger; k = 1, 2, 3",
            "derived here: log s_q is concave in log x (x F'/F decreases), so s_q(x) >= x^(p-1) on [kap, 1]",
            "ours",
            {"orders": (1, 2, 3), "exact": True},
            Mutation("p reduced by .05", {"lowered": 0.05}),
        ),
    ]
    return [
        Claim(
            id=name,
            statement=statement,
            source=source,
            relation=">=",
            method="property test",
            evaluate=_schatten_floor,
            parameters=parameters,
            mutations=(mutation,),
            expected="holds",
            attribution=attribution,  # pyright: ignore[reportArgumentType]
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        )
        for name, statement, source, attribution, parameters, mutation in rows
    ]
