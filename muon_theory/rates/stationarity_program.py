"""The inequalities of the analyses of Muon with momentum, and the best average gradient norm they prove.

Unknowns, all expectations, t = 1..T: `f[t]` the loss after step t minus its infimum, `g[t]` the dual norm of the
gradient where step t is taken (with weight decay Phi = dual norm of g + lambda <W, g>), `e[t]` the dual norm of
gradient minus oracle input, `p[t]` of gradient minus the mean of the oracle input given the past, `d[t]` the part of
both that is due to old gradients, `s[t]` the change of the gradient in step t - 1, `g0` the dual norm of the first
gradient; `E`, `P`, `D` the same for an oracle input divided by the sum of its weights. A norm pair enters through L
and the bounds on dual norms only: spectral and nuclear norm for Muon, Euclidean twice for normalised gradient descent.

Two inequalities beyond the usual ones sharpen the noise and the start. (1) The newest batch noise has mean zero given
the past, so by Jensen the expected dual norm of C is at least that of its conditional mean: that noise is paid once,
not twice. (2) An oracle that ignores positive factors of its input may be analysed on C over the sum of its weights,
which is not biased towards the zero start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from muon_theory.rates.certificate import Certificate, Inequality, best_constant, root_above

_DESCENT = "descent lemma and the alignment inequality (claims THA-01, THA-02)"
_MOMENTUM = "moving average N = b N + (1-b) G"

#: From b^t below this on the moving average is as good as unbiased, and its unbiased form is not written down.
_FORGOTTEN = Fraction(1, 10**6)


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an analysis assumes of problem, oracle and run; every number is rational.

    Args:
        smoothness: L > 0, dual norm of a change of the gradient over the norm of the change of W; loss / weight^2.
        initial_gap: D = f(W_0) - inf f >= 0; loss.
        steps: T >= 1.
        step_size: eta > 0; weight.
        momentum: b in [0, 1).
        nesterov: the oracle input is b N + (1-b) G, else N.
        initial_gradient: an upper bound on the dual norm of the first gradient; None takes sqrt(2 L D), rounded up.
        deficit: ehat in [0, 1), <C, O> >= (1 - ehat) dual norm of C in every step.
        overshoot: omega >= 0, norm of O at most 1 + omega in every step.
        noise: S >= 0 such that weights w on independent batch noises have expected dual norm <= S sqrt(sum w^2). For
            Muon S = sqrt(r/B) sigma or trace(Sigma)/sqrt(B); irrational values rounded up by `root_above`.
        scale_free: the oracle gives the same for C and for any positive multiple of C (exact, or C / fro(C) first).
        weight_decay: lambda >= 0; positive needs eta lambda <= 1, an exact oracle and norm of W_0 at most 1/lambda.

    Raises:
        ValueError: an assumption that fails, named.
        TypeError: a number that is not rational; a float would put its rounding into the proof.

    Source: derived here (Theorem A of the room `newton_schulz_convergence`; with decay Theorem C of `critical_batch`).

    >>> Analysis(smoothness=1, initial_gap=1, steps=0, step_size=Fraction(1, 10))
    Traceback (most recent call last):
        ...
    ValueError: steps = 0: the average over T steps needs an integer T >= 1
    """

    smoothness: Fraction | int
    initial_gap: Fraction | int
    steps: int
    step_size: Fraction | int
    momentum: Fraction | int = 0
    nesterov: bool = False
    initial_gradient: Fraction | int | None = None
    deficit: Fraction | int = 0
    overshoot: Fraction | int = 0
    noise: Fraction | int = 0
    scale_free: bool = False
    weight_decay: Fraction | int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not isinstance(value, Fraction | int):
                raise TypeError(f"{name} = {value!r}: give an integer or a Fraction, e.g. Fraction('0.1')")
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps}: the average over T steps needs an integer T >= 1")
        for name, positive in (("smoothness", True), ("step_size", True), ("initial_gap", False), ("noise", False),
                               ("overshoot", False), ("weight_decay", False)):  # fmt: skip
            value = getattr(self, name)
            if value < 0 or (positive and value == 0):
                raise ValueError(f"{name} = {value}: the analysis needs a number {'>' if positive else '>='} 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum = {self.momentum}: the moving average needs 0 <= b < 1")
        if not 0 <= self.deficit < 1:
            raise ValueError(f"deficit = {self.deficit}: the oracle must keep ehat in [0, 1) of alignment")
        if self.weight_decay and self.step_size * self.weight_decay > 1:
            raise ValueError(
                f"step_size * weight_decay = {float(self.step_size * self.weight_decay):.6g}: the iterates stay in the "
                "ball of radius 1/lambda only while eta lambda <= 1"
            )
        if self.weight_decay and (self.deficit or self.overshoot):
            raise ValueError("deficit, overshoot: with weight decay the analysis is for the exact oracle, give 0")

    @property
    def step_norm(self) -> Fraction:
        """The largest norm of a step: eta (1 + omega), twice that with weight decay. Source: derived here."""
        return Fraction(self.step_size) * (1 + self.overshoot) * (2 if self.weight_decay else 1)

    @property
    def error_share(self) -> Fraction:
        """2 - ehat + omega, with which the error of the oracle input enters a step. Source: claim THA-01."""
        return Fraction(2) - self.deficit + self.overshoot

    @property
    def drift_share(self) -> Fraction:
        """a_C: 1, with Nesterov momentum b, the moving average's share of the input. Source: derived here."""
        return Fraction(self.momentum if self.nesterov else 1)

    @property
    def start_gradient(self) -> Fraction:
        """`initial_gradient`, or sqrt(2 L D) rounded up. Source: claim KO-G0."""
        if self.initial_gradient is None:
            return root_above(2 * Fraction(self.smoothness) * self.initial_gap)
        return Fraction(self.initial_gradient)

    def noise_variances(self, step: int | None = None) -> tuple[Fraction, Fraction]:
        """The sums of squared weights of the batch noises in the oracle input: all, and without the newest.

        Args:
            step: t >= 1; None for the limit, which is larger than every step's.

        Returns:
            (V, V_old), exact: V = V_H (1 - b^(2t)) of plain, (1-b)^2 [(1+b)^2 + b^4 (1 - b^(2t-2))/(1-b^2)] of Nesterov
            momentum; V_old leaves (1-b)^2, for Nesterov (1-b^2)^2, out.

        Source: derived here, claims THA-05 and THA-06.

        >>> Analysis(smoothness=1, initial_gap=1, steps=1, step_size=1, momentum=Fraction(1, 2)).noise_variances()
        (Fraction(1, 3), Fraction(1, 12))
        """
        b = Fraction(self.momentum)
        share = b * self.drift_share
        old = share**2 * (1 - b) / (1 + b) * (1 if step is None else 1 - b ** (2 * step - 2))
        return old + (1 - b) ** 2 * ((1 + b) ** 2 if self.nesterov else 1), old


def stationarity_inequalities(
    analysis: Analysis, *, sharp: bool = False, tangents: Sequence[Fraction] = ()
) -> list[Inequality]:
    """The named inequalities of an analysis, for every step.

    Args:
        analysis: what is assumed.
        sharp: False uses what Theorem A uses. True keeps what is known of the first steps (recursion of the drift,
            noise of step t), pays for the newest noise once, and uses `scale_free`.
        tangents: points c > 0 at which g^2 <= 2 L f is used as 2 c g - c^2 <= 2 L f; not with weight decay.

    Returns:
        The inequalities, in the order of the proof.

    Raises:
        ValueError: tangents with weight decay, where Phi has no such bound.

    Source: derived here.

    >>> [row.name for row in stationarity_inequalities(Analysis(smoothness=1, initial_gap=1, steps=1, step_size=1))]
    ['initial gap', 'lower bound', 'initial gradient', 'descent', 'oracle input', 'conditional mean', 'drift']
    """
    if tangents and analysis.weight_decay:
        raise ValueError("tangents: with weight decay the measure Phi is not bounded by sqrt(2 L f), give none")
    one, L, T = Fraction(1), Fraction(analysis.smoothness), analysis.steps
    b = Fraction(analysis.momentum)
    rows = [
        Inequality("initial gap", "definition of D", {"f[0]": one}, Fraction(analysis.initial_gap)),
        Inequality("lower bound", "definition of inf f", {f"f[{T}]": -one}, Fraction(0)),
        Inequality("initial gradient", "datum, or claim KO-G0", {"g0": one}, analysis.start_gradient),
    ]
    for t in range(1, T + 1):
        variance, old = analysis.noise_variances(t if sharp else None)
        noises = root_above(variance), root_above(old if sharp else variance)
        rows += _step(analysis, t, noises, analysis.drift_share, "", corrected=False)
        if not sharp:
            limit = b / (1 - b) * L * analysis.step_norm
            rows.append(Inequality("drift", _MOMENTUM, {f"d[{t}]": one} | ({"g0": -(b**t)} if b else {}), limit, t))
        elif t == 1:
            rows.append(Inequality("momentum start", f"{_MOMENTUM}, N = 0", {"d[1]": one, "g0": -b}, Fraction(0)))
        else:
            row = {f"d[{t}]": one, f"d[{t - 1}]": -b, f"s[{t}]": -b}
            rows.append(Inequality("momentum recursion", _MOMENTUM, row, Fraction(0), t))
            rows.append(Inequality("smoothness", "definition of L", {f"s[{t}]": one}, L * analysis.step_norm, t))
        if sharp and analysis.scale_free and b and b**t > _FORGOTTEN:
            weight = 1 - b ** (t + 1 if analysis.nesterov else t)
            share = b * (1 - b**t) / weight if analysis.nesterov else one
            rows += _step(analysis, t, (noises[0] / weight, noises[1] / weight), share, ", unbiased", corrected=True)
            kept = b * (1 - b ** (t - 1)) / (1 - b**t)
            row = {f"D[{t}]": one} | ({f"D[{t - 1}]": -kept, f"s[{t}]": -kept} if t > 1 else {})
            rows.append(Inequality("recursion, unbiased", f"{_MOMENTUM} over 1 - b^t", row, Fraction(0), t))
        for c in tangents:
            rows.append(Inequality("self bound", "claim KO-G0", {f"g[{t}]": 2 * c, f"f[{t - 1}]": -2 * L}, c * c, t))
    return rows


def _step(
    analysis: Analysis, t: int, noises: tuple[Fraction, Fraction], share: Fraction, note: str, *, corrected: bool
) -> list[Inequality]:
    """Descent in step t and the two errors of its oracle input: with all noise, and without the newest."""
    e, p, d = (f"{name}[{t}]" for name in ("EPD" if corrected else "epd"))
    one, eta, aligned = Fraction(1), Fraction(analysis.step_size), 1 - Fraction(analysis.deficit)
    row = {f"f[{t}]": one, f"f[{t - 1}]": -one, f"g[{t}]": eta * aligned, p: -eta * aligned,
           e: -eta * (1 + analysis.overshoot)}  # fmt: skip
    error, mean = ({name: one, d: -share} for name in (e, p))
    return [
        Inequality(f"descent{note}", _DESCENT, row, Fraction(analysis.smoothness) * analysis.step_norm**2 / 2, t),
        Inequality(
            f"oracle input{note}", "triangle inequality; independent noise", error, noises[0] * analysis.noise, t
        ),
        Inequality(f"conditional mean{note}", "Jensen; triangle inequality", mean, noises[1] * analysis.noise, t),
    ]


def provable_average(analysis: Analysis, *, sharp: bool = False, tangents: Sequence[Fraction] = ()) -> Certificate:
    """The best bound on the averaged gradient norm (with decay Phi) that the named inequalities prove.

    Args:
        analysis: what is assumed.
        sharp: see `stationarity_inequalities`; True proves a constant at most as large as the closed form.
        tangents: see `stationarity_inequalities`.

    Returns:
        The verified certificate; its multipliers are the proof.

    Source: derived here; with `sharp=False` it is the closed form of Theorem A, claims THA-LP.

    >>> run = Analysis(smoothness=1, initial_gap=1, steps=50, step_size=Fraction(1, 5))
    >>> provable_average(run).bound  # D/(T eta) + L eta/2
    Fraction(1, 5)
    """
    objective = {f"g[{t}]": Fraction(1, analysis.steps) for t in range(1, analysis.steps + 1)}
    return best_constant(objective, stationarity_inequalities(analysis, sharp=sharp, tangents=tangents))


def closed_average(analysis: Analysis) -> Fraction:
    """The closed form of the program without transients, exact up to the rounding up of its square roots.

    1/(1-ehat) { D/(T eta) + h^2 L/(2 eta) + (2-ehat+omega) [a_C (b(1-b^T)/((1-b)T) G_0 + b L h/(1-b)) + sqrt(V) S] },
    h the step norm, G_0 the first gradient's dual norm.

    Args:
        analysis: what is assumed.

    Returns:
        The bound, a rational number.

    Source: derived here (Theorem A; with decay Theorem C, start term sharpened by 1 - b^T).

    >>> closed_average(Analysis(smoothness=1, initial_gap=1, steps=50, step_size=Fraction(1, 5)))
    Fraction(1, 5)
    """
    b, T, eta = Fraction(analysis.momentum), analysis.steps, Fraction(analysis.step_size)
    L, h = Fraction(analysis.smoothness), analysis.step_norm
    start = b * (1 - b**T) / ((1 - b) * T) * analysis.start_gradient
    error = (
        analysis.drift_share * (start + b * L * h / (1 - b))
        + root_above(analysis.noise_variances()[0]) * analysis.noise
    )
    fixed = analysis.initial_gap / (T * eta) + L * h * h / (2 * eta)
    return (fixed + analysis.error_share * error) / (1 - Fraction(analysis.deficit))


def as_rational(value: float | Fraction | int, digits: int = 6, *, up: bool = True) -> Fraction:
    """A short rational number at or above (or below) a given one, as a datum for `Analysis`.

    Args:
        value: a finite number.
        digits: significant decimal digits kept, >= 1.
        up: round away from minus infinity; False rounds down.

    Returns:
        The rational number, within 10^(1-digits) relative.

    Raises:
        ValueError: a number that is not finite.

    Source: elementary.

    >>> as_rational(0.123456789), as_rational(0.123456789, up=False)
    (Fraction(123457, 1000000), Fraction(1929, 15625))
    """
    if not math.isfinite(value):
        raise ValueError(f"value = {value!r}: give a finite number")
    if value == 0:
        return Fraction(0)
    exact = Fraction(value)
    exponent = math.floor(math.log10(abs(float(value))))
    exponent -= Fraction(10) ** exponent > abs(exact)  # the logarithm may be rounded up to an integer
    unit = Fraction(10) ** (exponent + 1 - digits)
    return (math.ceil(exact / unit) if up else math.floor(exact / unit)) * unit
