"""Samples to a target as a function of the batch size: where they are fewest, and the shape of the curve."""

from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.critical_batch.batch_size import (
    Form,
    critical_batch,
    retuned_critical_batch,
    retuned_steps,
    steps_needed,
)
from muon_theory.rooms.critical_batch.four_settings import BatchTerms

PROPOSITION = "arXiv 2507.01598, Proposition 4.2 as restated in a formalisation (second hand)"
EARLIER = "arXiv 2507.01598, an earlier form as restated (second hand)"
DRAWS = 200
ARGMIN = "a minimum found in float64 is located to about the square root of its rounding"
ROUNDING = "a few roundings of float64"


@lru_cache(maxsize=1)
def _draws() -> np.ndarray:
    """X, Y, c, shape (200, 3), log-uniform on (.01, 100)."""
    return 10 ** np.random.default_rng(0).uniform(-2, 2, size=(DRAWS, 3))


def _argmin(samples, smallest: float) -> float:
    """Batch size with the fewest samples, by bounded minimisation in log B above the smallest feasible batch."""
    found = minimize_scalar(
        lambda log: float(samples(np.exp(log))), bounds=(np.log(smallest) + 1e-6, np.log(smallest) + 6),
        method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    return float(np.exp(found.x))


@lru_cache(maxsize=2)
def _minimizers(form: Form) -> list[float]:
    """The measured B* over Y^2/c^2 (sqrt) or Y/c (linear), one for each draw."""
    found = []
    for X, Y, c in _draws():
        terms, unit = BatchTerms(X, Y, 0.0), (Y / c) ** (2 if form == "sqrt" else 1)
        found.append(_argmin(lambda B, t=terms, c=c: B * steps_needed(t, c, B, form), unit) / unit)
    return found


def _where(form: Form, factor: float) -> Finding:
    found = _minimizers(form)
    return Finding(factor, [min(found), max(found)], attained=min(found))


def _values(form: Form, samples: float) -> Finding:
    """Over all draws, smallest and largest: samples c^p/(X Y^(p-1)), T c/X, and the share of the start term."""
    X, Y, c = _draws().T
    best = critical_batch(BatchTerms(X, Y, 0.0 * X), c, form)
    steps = steps_needed(BatchTerms(X, Y, 0.0 * X), c, best.batch, form)
    scale = X * Y**2 / c**3 if form == "sqrt" else X * Y / c**2
    ends = [v for x in (best.batch * steps / scale, steps * c / X, X / steps / c) for v in (x.min(), x.max())]
    share = 3.0 if form == "sqrt" else 2.0
    return Finding([samples, samples, share, share, 1 / share, 1 / share], [float(v) for v in ends])


def _certificate(slope: int = 4) -> Finding:
    """Coefficients of 4(t+Y)^3 - 27 Y^2 t - (2t-Y)^2 (t + slope Y), exactly."""
    import sympy

    t, Y = sympy.symbols("t Y")
    remainder = sympy.Poly(4 * (t + Y) ** 3 - 27 * Y**2 * t - (2 * t - Y) ** 2 * (t + slope * Y), t, Y)
    return Finding(0, [int(value) for value in remainder.coeffs()])


def _retuned(samples: float = 64.0) -> Finding:
    """The minimum with the step tuned for every B: measured location, and samples/(D A L Y^2/goal^4)."""
    locations, values = [], []
    for gap, Y, goal in _draws():
        known = {"gap": gap, "smoothness": 1.0, "floor": 0.5, "noise_term": Y, "goal": goal}
        best = retuned_critical_batch(**known)
        batch = _argmin(lambda B, k=known: B * retuned_steps(**k, batch=B), (Y / goal) ** 2)
        locations.append(batch / best.batch)
        values.append(float(best.batch * retuned_steps(**known, batch=best.batch)) / (gap * 0.5 * Y**2 / goal**4))
    return Finding([1.0, 1.0, samples, samples], [min(locations), max(locations), min(values), max(values)])


def _lower_bound(factor: float = 9 / 4) -> Finding:
    """B* goal^2/Y^2 over draws with a floor, and at a floor of 1e-9 of the goal."""
    X, Y, goal = _draws().T
    shares = np.random.default_rng(1).uniform(0, 0.9, DRAWS)
    ratios = [
        critical_batch(BatchTerms(X, Y, share * goal), goal).batch * goal**2 / Y**2
        for share in (shares, np.full(DRAWS, 1e-9))
    ]
    return Finding(factor, [float(r.min()) for r in ratios], attained=float(ratios[1].min()))


@lru_cache(maxsize=1)
def _derivatives():
    """First and second derivative of T, of B T and of B T in the linear form, at X = Y = c = 1, as functions of B."""
    import sympy

    B = sympy.symbols("B", positive=True)
    steps, linear = sympy.sqrt(B) / (sympy.sqrt(B) - 1), B / (B - 1)
    curves = {"steps": steps, "samples": B * steps, "linear samples": B * linear}
    return {
        name: [sympy.lambdify(B, sympy.simplify(sympy.diff(curve, B, order))) for order in (1, 2)]
        for name, curve in curves.items()
    }


def _steps_shape(curve: str = "steps") -> Finding:
    """Of a curve: the smallest second derivative, and minus the largest first derivative."""
    first, second = _derivatives()[curve]
    grid = np.geomspace(1.001, 1000, 5000)
    return Finding(0.0, [float(second(grid).min()), float(-first(grid).max())])


def _samples_convexity(curve: str = "samples") -> Finding:
    """Second derivative of B T(B) at B = 4 (the closed minimum's neighbourhood) and at B = 100."""
    second = _derivatives()[curve][1]
    return Finding(0.0, [float(second(4.0)), float(second(100.0))])


def _turning_point(slope: int = 2) -> Finding:
    """d(B T)/dB minus s (slope s - 3)/(2 (s - 1)^2), s = sqrt(B), at rational s, exactly."""
    import sympy

    B = sympy.symbols("B", positive=True)
    derivative = sympy.diff(B * sympy.sqrt(B) / (sympy.sqrt(B) - 1), B)
    differences = []
    for s in (sympy.Rational(n, 4) for n in (5, 6, 7, 9, 20, 50, 400)):
        difference = derivative.subs(B, s**2) - s * (slope * s - 3) / (2 * (s - 1) ** 2)
        differences.append(float(sympy.nsimplify(difference)))
    return Finding(0.0, differences)


def claims() -> list[Claim]:
    """The claims on the algebra of the critical batch size.

    Returns:
        Rows CB-01 to CB-09.

    Source: see each row.
    """
    return [
        Claim(id="CB-01", statement="X/T + Y/sqrt(B) + Z = goal: B T(B) is least at B* = 9 Y^2/(4 c^2), c = goal - Z",
              source=PROPOSITION, relation="==", method="float64 evaluation", evaluate=_where,
              parameters={"form": "sqrt", "factor": 9 / 4}, mutations=(Mutation("2 for 9/4", {"factor": 2.0}),),
              expected="holds", attribution="relayed", relative_tolerance=1e-6, tolerance_reason=ARGMIN),
        Claim(id="CB-02", statement="there B T = 27 X Y^2/(4 c^3), T = 3X/c, and the shares are c/3 and 2c/3",
              source="derived here", relation="==", method="float64 evaluation", evaluate=_values,
              parameters={"form": "sqrt", "samples": 27 / 4}, mutations=(Mutation("6 for 27/4", {"samples": 6.0}),),
              expected="holds", attribution="ours", relative_tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="CB-03", statement="4(t+Y)^3 = 27 Y^2 t + (2t-Y)^2 (t+4Y), t = c sqrt(B) - Y: the minimum is global",
              source="derived here (arithmetic-geometric mean)", relation="==", method="exact rational",
              evaluate=_certificate, mutations=(Mutation("t + 3Y", {"slope": 3}),), expected="holds",
              attribution="ours"),
        Claim(id="CB-04", statement="X/T + Y/B + Z = goal: B* = 2Y/c, T = 2X/c, B T = 4XY/c^2, shares c/2 each",
              source=EARLIER, relation="==", method="float64 evaluation", evaluate=_linear,
              mutations=(Mutation("B* = Y/c", {"factor": 1.0}),), expected="holds", attribution="relayed",
              relative_tolerance=1e-6, tolerance_reason=ARGMIN),
        Claim(id="CB-05", statement="step tuned for every B: B* = 4 Y^2/goal^2 and 64 D A L Y^2/goal^4 samples",
              source="derived here", relation="==", method="float64 evaluation", evaluate=_retuned,
              mutations=(Mutation("27 in place of 64", {"samples": 27.0}),), expected="holds", attribution="ours",
              relative_tolerance=1e-6, tolerance_reason=ARGMIN),
        Claim(id="CB-06", statement="B* > 9 Y^2/(4 goal^2), approached as the floor Z goes to 0",
              source="arXiv 2507.01598, version 5, as restated (second hand)", relation=">",
              method="float64 evaluation", evaluate=_lower_bound,
              mutations=(Mutation("10/4 in place of 9/4", {"factor": 10 / 4}),), expected="holds",
              attribution="relayed"),
        Claim(id="CB-07", statement="T(B) is decreasing and convex where it is finite", source="derived here",
              relation=">", method="float64 evaluation", evaluate=_steps_shape,
              mutations=(Mutation("B T(B) in place of T(B)", {"curve": "samples"}),), expected="holds",
              attribution="ours"),
        Claim(id="CB-08", statement="B T(B) is convex on its whole domain, sqrt form (false beyond 9 Y^2/c^2 = 4 B*)",
              source="natural statement, of no paper", relation=">=", method="float64 evaluation",
              evaluate=_samples_convexity,
              mutations=(Mutation("the linear form, which is convex", {"curve": "linear samples"}),),
              expected="refuted", attribution="implied"),
        Claim(id="CB-09", statement="B T(B) falls up to B*, then rises: its slope has the sign of 2 c sqrt(B) - 3Y",
              source="derived here (in the place of CB-08)", relation="==", method="exact rational",
              evaluate=_turning_point, mutations=(Mutation("3 c sqrt(B) - 3Y", {"slope": 3}),), expected="holds",
              attribution="ours"),
    ]  # fmt: skip


def _linear(factor: float = 2.0) -> Finding:
    where, values = _where("linear", factor), _values("linear", 4.0)
    return Finding([factor, factor, *values.predicted], [*where.measured, *values.measured])  # pyright: ignore[reportGeneralTypeIssues]
