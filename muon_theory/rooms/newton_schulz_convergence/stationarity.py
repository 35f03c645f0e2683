"""Stationarity bounds derived here, and Kovalev's: inexact oracles, Nesterov momentum, layers, a heavy ball.

Theorem A: for any oracle with op(O) <= 1 + omega and <C, O> >= (1 - ehat) nuc(C) in every step, the average of
E nuc(g_t) is at most 1/(1-ehat) { D/(T eta) + (1+omega)^2 L eta/2 + (2-ehat+omega) [a_C (b(1-b^T)/((1-b)T) nuc(g_1)
+ (1+omega) b L eta/(1-b)) + sqrt(V) S/sqrt(B)] }, S = sqrt(r) sigma or tr Sigma, (a_C, V) = (1, V_H), or (b, V_N) with
Nesterov momentum. Theorem B is the repaired bound on gradient descent with a heavy ball. Momentum enters as
`gradient_weight` o = 1 - b; everything is elementwise; values outside the assumptions raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from muon_theory.rooms.newton_schulz_convergence.rates import BoundTerms, Setting, Values, noise_factor


def nesterov_noise_factor(gradient_weight: Values) -> Values:
    """Variance of the noise in b N + (1-b) G over that of one gradient, V_N = (1-b)(1 + 2b - 2b^3)/(1 + b).

    Args:
        gradient_weight: o = 1 - b in (0, 1].

    Returns:
        V_N, pure number in (0, 1].

    Source: derived here, checked by claims THA-06 to THA-08.

    >>> nesterov_noise_factor(0.5)
    0.5833333333333333
    """
    b = 1 - gradient_weight
    return noise_factor(gradient_weight) * (1 + 2 * b - 2 * b**3)


def oracle_input_shares(gradient_weight: Values, *, nesterov: bool = False) -> tuple[Values, Values]:
    """The share a_C of old gradients' drift and the noise factor V of the oracle's input.

    Args:
        gradient_weight: o = 1 - b in (0, 1].
        nesterov: the input is b N + (1-b) G, else N.

    Returns:
        (1, V_H), with Nesterov momentum (b, V_N).

    Source: derived here, checked by claims THA-03 and THA-04.

    >>> oracle_input_shares(0.5)
    (1.0, 0.3333333333333333)
    """
    if nesterov:
        return 1 - gradient_weight, nesterov_noise_factor(gradient_weight)
    return 1.0, noise_factor(gradient_weight)


def curvature_constant(
    gradient_weight: Values, *, nesterov: bool = False, alignment_deficit: Values = 0.0, overshoot: Values = 0.0
) -> Values:
    """The constant A = (1+omega)^2/2 + (2-ehat+omega)(1+omega) a_C b/(1-b) of the terms A L eta of Theorem A.

    Args:
        gradient_weight: o = 1 - b in (0, 1].
        nesterov: the input is b N + (1-b) G, else N.
        alignment_deficit: ehat in [0, 1).
        overshoot: omega >= 0.

    Returns:
        A >= 1/2; eta = sqrt(D/(T L A)) is the best step size, and the terms with eta are then 2 sqrt(L D A/T)/(1-ehat).

    Source: derived here, checked by claim THA-ETA.

    >>> curvature_constant(1.0), curvature_constant(0.5)
    (0.5, 2.5)
    """
    share = oracle_input_shares(gradient_weight, nesterov=nesterov)[0]
    _require_oracle(alignment_deficit, overshoot)
    drift = share * (1 - gradient_weight) / gradient_weight
    return (1 + overshoot) ** 2 / 2 + (2 - alignment_deficit + overshoot) * (1 + overshoot) * drift


def inexact_average_bound(
    setting: Setting, *, step_size: Values, gradient_weight: Values, nesterov: bool = False,
    alignment_deficit: Values = 0.0, overshoot: Values = 0.0, initial_gradient: Values | None = None,
    noise_norm: Values | None = None, paid_once: bool = False,
) -> BoundTerms:  # fmt: skip
    """Theorem A, term by term.

    Args:
        setting: the problem and the run.
        step_size: eta > 0.
        gradient_weight: o = 1 - b in (0, 1].
        nesterov: the oracle's input is b N + (1-b) G, else N.
        alignment_deficit: ehat in [0, 1), the largest 1 - <C, O>/nuc(C) of the run.
        overshoot: omega >= 0, the largest op(O) - 1 of the run.
        initial_gradient: nuc(g_1) or a bound on it; None takes sqrt(2 L D).
        noise_norm: S with E nuc(sum of weights times sample noises) <= S sqrt(sum of squared weights), e.g. tr Sigma;
            None takes sqrt(r) sigma. For layers `layer_noise`.
        paid_once: charge the newest noise, unbiased given the past, once: (1+omega) sqrt(V) + (1-ehat) b a_C sqrt(V_H)
            in place of (2-ehat+omega) sqrt(V), which is half of it at b = 0 and omega = ehat = 0.

    Returns:
        The five terms, unit loss / weight; each has the factor 1/(1-ehat).

    Source: derived here, checked by claims THA-03, THA-04, THA-TR and THA-JENSEN.

    >>> setting = Setting(smoothness=1.0, initial_gap=1.0, steps=100, rank=4, noise=0.0, batch=1)
    >>> round(inexact_average_bound(setting, step_size=0.1, gradient_weight=1.0).total, 12)
    0.15
    """
    a, V = oracle_input_shares(gradient_weight, nesterov=nesterov)
    _require_oracle(alignment_deficit, overshoot)
    _require_step(step_size)
    b, chi, share = 1 - gradient_weight, 1 / (1 - alignment_deficit), 2 - alignment_deficit + overshoot
    first = (2 * setting.smoothness * setting.initial_gap) ** 0.5 if initial_gradient is None else initial_gradient
    level = setting.rank**0.5 * setting.noise if noise_norm is None else noise_norm
    noise = share * V**0.5
    if paid_once:
        noise = (1 + overshoot) * V**0.5 + (1 - alignment_deficit) * b * a * noise_factor(gradient_weight) ** 0.5
    return BoundTerms(
        start=chi * setting.initial_gap / (setting.steps * step_size),
        curvature=chi * (1 + overshoot) ** 2 * setting.smoothness * step_size / 2,
        drift=chi * share * a * (1 + overshoot) * b * setting.smoothness * step_size / gradient_weight,
        noise=chi * noise * level / setting.batch**0.5,
        initial_gradient=chi * share * a * b * (1 - b**setting.steps) / (gradient_weight * setting.steps) * first,
    )


def best_step_size(setting: Setting, curvature: Values) -> Values:
    """The step size sqrt(D/(T L A)) that makes the terms of Theorem A with eta least.

    Args:
        setting: L, D, T (the rest is not used).
        curvature: A >= 1/2 from `curvature_constant`.

    Returns:
        eta, unit weight.

    Raises:
        ValueError: an A below 1/2, which no oracle has.

    Source: derived here, checked by claim THA-ETA.

    >>> best_step_size(Setting(1.0, 1.0, 50, 1, 0.0, 1), 0.5)
    0.2
    """
    if not np.all(np.asarray(curvature) >= 0.5):
        raise ValueError(f"curvature = {curvature!r}: give A >= 1/2, from curvature_constant")
    return (setting.initial_gap / (setting.steps * setting.smoothness * curvature)) ** 0.5


def layer_smoothness(blocks: ArrayLike, scales: Sequence[float]) -> float:
    """L of a network for the norm max_l norm(W_l)/s_l, whose dual is sum_l s_l dual(g_l), from layer-pair constants.

    A step with W_l <- W_l - eta s_l O_l is a step of length eta in this norm, so Theorem A holds for the average of
    sum_l s_l dual(g_l), with the largest ehat and omega of all layers and S from `layer_noise`. Layers may differ in
    their norms (spectral for a Muon layer, entrywise maximum for a sign layer): only these constants enter.

    Args:
        blocks: (layers, layers), entry (l, j) a constant with dual(change of g_l) <= entry * norm(change of W_j).
        scales: s_l > 0, the shape factor times the learning-rate ratio of each layer.

    Returns:
        L = sum_lj s_l L_lj s_j.

    Raises:
        ValueError: shapes that do not fit, a scale <= 0 or a negative constant.

    Source: derived here, checked by claim THA-BLOCK.

    >>> layer_smoothness([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0])
    9.0
    """
    matrix, s = np.asarray(blocks, dtype=float), np.asarray(scales, dtype=float)
    if matrix.shape != (len(s), len(s)) or not (np.all(s > 0) and np.all(matrix >= 0)):
        raise ValueError(f"blocks {matrix.shape}, scales {scales!r}: give l x l constants >= 0 and l scales > 0")
    return float(s @ matrix @ s)


def layer_noise(ratios: Sequence[float], noises: Sequence[float], scales: Sequence[float]) -> float:
    """The noise datum of a network: S = sum_l s_l ratio_l sigma_l.

    Args:
        ratios: for each layer the largest dual norm over Frobenius norm: sqrt(r) of a Muon layer, sqrt(m n) of a sign
            layer, 1 of a normalised one.
        noises: sigma_l >= 0, root of the mean square Frobenius norm of one sample's noise in the layer.
        scales: s_l > 0.

    Returns:
        S for `inexact_average_bound`.

    Raises:
        ValueError: lists of different lengths, or a number out of range.

    Source: derived here, checked by claim THA-BLOCK.

    >>> layer_noise([2.0, 3.0], [1.0, 1.0], [1.0, 0.5])
    3.5
    """
    table = [np.asarray(x, dtype=float) for x in (ratios, noises, scales)]
    if len({len(x) for x in table}) != 1 or not all(np.all(x >= 0) for x in table):
        raise ValueError(f"ratios, noises, scales = {ratios!r}, {noises!r}, {scales!r}: give as many numbers >= 0 each")
    return float(np.sum(table[0] * table[1] * table[2]))


def generalized_average_bound(
    initial_gap: float, steps: int, *, constants: ArrayLike, step_sizes: ArrayLike, gradient_weight: float = 1.0,
    nesterov: bool = False, alignment_deficit: float = 0.0, overshoot: float = 0.0,
    initial_gradients: ArrayLike = 0.0, noise_norms: ArrayLike = 0.0,
) -> tuple[float, list[float]]:  # fmt: skip
    """Theorem A for layers with (L0, L1) smoothness: a bound on the average of sum_l eta_l k_l dual(g_l).

    Assumption, for points at most one step apart: dual(change of g_l) <= (L0_l + L1_l dual(g_l)) norm(change of W_l).
    Then k_l = 1 - ehat - L1_l eta_l A, A the `curvature_constant`, and the average of sum_l eta_l k_l E dual(g_l) is at
    most D/T + sum_l [A L0_l eta_l^2 + (2-ehat+omega) eta_l (a_C b(1-b^T)/((1-b)T) dual(first g_l) + sqrt(V) S_l)].

    Args:
        initial_gap: D >= 0.
        steps: T >= 1.
        constants: (layers, 2), the rows (L0_l, L1_l) >= 0.
        step_sizes: eta_l > 0, (layers,).
        gradient_weight: o = 1 - b in (0, 1].
        nesterov: the oracle's input is b N + (1-b) G, else N.
        alignment_deficit: ehat in [0, 1).
        overshoot: omega >= 0.
        initial_gradients: dual norms of the first gradient, (layers,) or one number.
        noise_norms: S_l per batch, (layers,) or one number.

    Returns:
        (the bound, [k_1, k_2, ...]); unit loss, pure.

    Raises:
        ValueError: T < 1, or a step size so large that some k_l <= 0.

    Source: derived here, checked by claim THA-L0L1; the layer-wise assumption is that of Riabinin et al. 2025,
        arXiv 2505.13416 (Gluon), as relayed.

    >>> generalized_average_bound(1.0, 50, constants=[[1.0, 0.0]], step_sizes=[0.2])
    (0.04000000000000001, [1.0])
    """
    table, eta = np.asarray(constants, dtype=float), np.asarray(step_sizes, dtype=float)
    if steps < 1 or table.shape != (len(eta), 2) or not (np.all(table >= 0) and np.all(eta > 0)):
        raise ValueError(f"steps = {steps}, constants {table.shape}: need T >= 1, (layers, 2) numbers >= 0, eta > 0")
    inexact = {"alignment_deficit": alignment_deficit, "overshoot": overshoot}
    A = curvature_constant(gradient_weight, nesterov=nesterov, **inexact)
    kept = 1 - alignment_deficit - table[:, 1] * eta * A
    if np.any(kept <= 0):
        raise ValueError(f"step_sizes: k = 1 - ehat - L1 eta A = {kept.min():.6g} <= 0 in a layer, lower its step size")
    a, V = oracle_input_shares(gradient_weight, nesterov=nesterov)
    b = 1 - gradient_weight
    start = a * b * (1 - b**steps) / (gradient_weight * steps) * np.asarray(initial_gradients)
    error = (2 - alignment_deficit + overshoot) * eta * (start + np.sqrt(V) * np.asarray(noise_norms))
    return float(initial_gap / steps + np.sum(A * table[:, 0] * eta**2 + error)), kept.tolist()


def heavy_ball_bound(setting: Setting, gradient_weight: Values) -> Values:
    """Theorem B: average of E fro(g)^2 <= 2(1+b^2) L_F D/((1-b)T) + (1-b) sigma^2/B at eta = (1-b)^2/L_F.

    Args:
        setting: the problem and the run; its smoothness is L_F, Frobenius norms on both sides.
        gradient_weight: o = 1 - b in (0, 1].

    Returns:
        The bound, (loss / weight)^2; sqrt(r times it) bounds the average of E nuc(g).

    Source: derived here (repairs Kim and Oh, Theorem 3), checked by claims THB-01 to THB-04.

    >>> heavy_ball_bound(Setting(1.0, 1.0, 4, 1, 0.0, 1), 1.0)
    0.5
    """
    noise_factor(gradient_weight)  # checks the range
    start = 2 * (1 + (1 - gradient_weight) ** 2) * setting.smoothness * setting.initial_gap
    return start / (gradient_weight * setting.steps) + gradient_weight * setting.noise**2 / setting.batch


def heavy_ball_weight(setting: Setting) -> Values:
    """The momentum that balances Theorem B: 1 - b = min{1, sqrt(4 L_F D B/(T sigma^2))}.

    Args:
        setting: the problem and the run; without noise the weight is 1.

    Returns:
        o = 1 - b in (0, 1].

    Source: derived here, checked by claim THB-05.

    >>> heavy_ball_weight(Setting(1.0, 1.0, 100, 1, 1.0, 1))
    0.2
    """
    quiet = np.sqrt(4 * setting.smoothness * setting.initial_gap * setting.batch / setting.steps)
    weight = quiet / np.maximum(quiet, setting.noise)
    return float(weight) if np.ndim(weight) == 0 else weight


def trust_region_bound(
    setting: Setting, *, step_size: Values, gradient_weight: Values, sharp: bool = False
) -> BoundTerms:
    """Kovalev's bound on the smallest E nuc(gradient) of K steps, momentum started at the first batch gradient.

    With a = 1 - b and rho = sqrt(r): D/(eta K) + 2 rho sigma/(a K) + 2 sqrt(a) rho sigma + 3 L eta/2 + 2 L eta/a.

    Args:
        setting: the problem and the run, K = steps.
        step_size: eta > 0.
        gradient_weight: a = 1 - b in (0, 1].
        sharp: 1/2 for 3/2, sqrt(a/(2-a)) for sqrt(a), (1-a)/a for 1/a: then the average over the steps is bounded.

    Returns:
        start, curvature, drift, noise, and as last term that of the first momentum; unit loss / weight.

    Source: Kovalev 2025, arXiv 2503.12645, Theorem 2, as relayed; `sharp` derived here, claims KV-01 to KV-04.

    >>> trust_region_bound(Setting(1.0, 1.0, 10, 1, 0.0, 1), step_size=0.5, gradient_weight=1.0).total
    1.95
    """
    _require_step(step_size)
    factor, rho_sigma = noise_factor(gradient_weight), (setting.rank / setting.batch) ** 0.5 * setting.noise
    L, kept = setting.smoothness, (1 - gradient_weight) if sharp else 1.0
    return BoundTerms(
        start=setting.initial_gap / (step_size * setting.steps),
        curvature=(0.5 if sharp else 1.5) * L * step_size,
        drift=2 * kept * L * step_size / gradient_weight,
        noise=2 * (factor if sharp else gradient_weight) ** 0.5 * rho_sigma,
        initial_gradient=2 * rho_sigma / (gradient_weight * setting.steps),
    )


def trust_region_recipe(setting: Setting, accuracy: Values) -> tuple[Values, Values, Values]:
    """Kovalev's step size, momentum and number of steps for a goal.

    Args:
        setting: L, D, r, sigma, B (T is not used).
        accuracy: eps > 0.

    Returns:
        eta = min{eps/(16L), eps^3/(256 rho^2 sigma^2 L)}, a = min{1, eps^2/(16 rho^2 sigma^2)}, and
        K = ceil max{2048 L D rho^2 sigma^2/eps^4, 256 rho^3 sigma^3/eps^3, 128 L D/eps^2, 16 rho sigma/eps}, >= 1.

    Raises:
        ValueError: an accuracy <= 0.

    Source: Kovalev 2025, arXiv 2503.12645, Theorem 2, as relayed; checked by claim KV-03.

    >>> trust_region_recipe(Setting(1.0, 1 / 32, 1, 1, 0.25, 1), 1.0)
    (0.0625, 1.0, 4.0)
    """
    eps = accuracy
    if not np.all(np.asarray(eps) > 0):
        raise ValueError(f"accuracy = {accuracy!r}: give a goal > 0")
    noise = (setting.rank / setting.batch) ** 0.5 * setting.noise
    weight = eps**2 / np.maximum(eps**2, 16 * noise**2)
    L, D = setting.smoothness, setting.initial_gap
    counts = (2048 * L * D * noise**2 / eps**4, 256 * (noise / eps) ** 3, 128 * L * D / eps**2, 16 * noise / eps)
    steps = np.maximum(1.0, np.ceil(np.max(np.broadcast_arrays(*counts), axis=0)))
    step_size = eps / (16 * L) * weight
    return tuple(float(x) if np.ndim(x) == 0 else x for x in (step_size, weight, steps))  # pyright: ignore[reportReturnType]


def _require_step(step_size: Values) -> None:
    """Raise unless eta > 0."""
    if not np.all(np.asarray(step_size) > 0):
        raise ValueError(f"step_size = {step_size!r}: the bound needs eta > 0")


def _require_oracle(alignment_deficit: Values, overshoot: Values) -> None:
    """Raise unless 0 <= ehat < 1 and omega >= 0."""
    ehat = np.asarray(alignment_deficit)
    if not np.all((ehat >= 0) & (ehat < 1)):
        raise ValueError(f"alignment_deficit = {alignment_deficit!r}: the bound needs ehat in [0, 1) in every step")
    if not np.all(np.asarray(overshoot) >= 0):
        raise ValueError(f"overshoot = {overshoot!r}: give omega = max(0, op(O) - 1)")
