"""How large the averaged gradient norm really gets: an adversarial search over small explicit functions.

A function of the family is scalar with a piecewise linear derivative: f'(x) is L times the distance to the nearest
minimum, cut at +G right and at -G' left of it; with a finite half period the minima repeat (a smoothed triangular
wave). It has smoothness L and a known gap, the noise is a two-point law, and the oracle returns the sign of its input
times a gain in [1 - ehat, 1 + omega]. So every run is an instance of the `Analysis` and its average a lower bound on
every provable constant. r equal copies on the diagonal of a matrix multiply loss, L, D, the nuclear norms and the
noise datum by r, so an instance serves every rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from muon_theory.rates.stationarity_program import Analysis

Array = NDArray[np.float64]

#: Standard errors subtracted from a mean over noisy runs before it counts as attained.
_ERRORS = 5.0


@dataclass(frozen=True)
class Instance:
    """One function, start, noise law and oracle; numbers, or arrays that broadcast in `attained_averages`.

    Args:
        distance: of the start from the minimum to its left, > 0; weight.
        right_slope: G > 0, the largest derivative right of a minimum; loss / weight.
        left_slope: G' > 0, the largest -f' left of a minimum.
        half_period: distance from a minimum to the next maximum; infinite for one minimum.
        minimizer: position of the first minimum (matters with weight decay only).
        rare: probability in (0, 1/2] of the larger value of the two-point noise; 1/2 gives plus or minus sigma.
        first_gain: the oracle's gain until its input changes sign for the first time.
        later_gain: its gain after that.

    Source: elementary (a record).
    """

    distance: float | Array
    right_slope: float | Array
    left_slope: float | Array
    half_period: float | Array = math.inf
    minimizer: float | Array = 0.0
    rare: float | Array = 0.5
    first_gain: float | Array = 1.0
    later_gain: float | Array = 1.0


@dataclass(frozen=True)
class Attained:
    """The best instance a search found; `attained_averages` of it with the same seed gives `average` again.

    Args:
        average: the averaged gradient norm (with decay Phi) of the instance; with noise the mean less five errors.
        instance: the function, start, noise and oracle.
        seed: of the noise and of the search.
        runs: runs the mean is over; 1 without noise.

    Source: elementary (a record).
    """

    average: float
    instance: Instance
    seed: int
    runs: int


def attained_averages(analysis: Analysis, instance: Instance, *, runs: int = 64, seed: int = 0) -> Array:
    """Run the method of an analysis on instances, and average the gradient norm (with weight decay Phi).

    Args:
        analysis: smoothness, gap, steps, step size, momentum, noise and decay; the scalar noise has sigma = S.
        instance: numbers, or arrays of one shape (instances,).
        runs: independent runs of each instance, >= 1; without noise one run is made.
        seed: of the noise.

    Returns:
        One average an instance, shape (instances,); with noise the mean over the runs less five standard errors.

    Raises:
        ValueError: an instance outside the analysis: a gap above D, a gain outside [1 - ehat, 1 + omega], a start
            outside the ball of weight decay, or runs below 1.

    Source: derived here.

    >>> from fractions import Fraction
    >>> run = Analysis(smoothness=1, initial_gap=Fraction(1, 8), steps=100, step_size=1)
    >>> attained_averages(run, Instance(distance=0.5, right_slope=1.0, left_slope=1.0))  # alternates around 0
    array([0.5])
    """
    columns = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(getattr(instance, item.name), float)) for item in fields(instance))
    )
    every = Instance(*(np.array(column)[:, None] for column in columns))
    _require(analysis, every)
    if runs < 1:
        raise ValueError(f"runs = {runs}: give an integer >= 1")
    eta, b, decay = float(analysis.step_size), float(analysis.momentum), float(analysis.weight_decay)
    sigma, generator = float(analysis.noise), np.random.default_rng(seed)
    high, low = (sigma * np.sqrt(x) for x in ((1 - every.rare) / every.rare, every.rare / (1 - every.rare)))
    shape = (len(columns[0]), runs if sigma else 1)
    W, N = np.broadcast_to(every.minimizer + every.distance, shape).copy(), np.zeros(shape)
    total, sign, turned = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for _ in range(analysis.steps):
        g = _derivative(W - every.minimizer, float(analysis.smoothness), every)
        total += np.abs(g) + decay * W * g
        G = g + np.where(generator.random(shape[1]) < every.rare, high, -low) if sigma else g
        N = b * N + (1 - b) * G
        C = b * N + (1 - b) * G if analysis.nesterov else N
        turned |= np.sign(C) * sign < 0
        sign = np.sign(C)
        W = (1 - eta * decay) * W - eta * sign * np.where(turned, every.later_gain, every.first_gain)
    averages = total / analysis.steps
    mean = averages.mean(axis=1)
    return mean - _ERRORS * averages.std(axis=1, ddof=1) / runs**0.5 if shape[1] > 1 else mean


def largest_attained(
    analysis: Analysis, *, population: int = 96, rounds: int = 8, runs: int = 64, seed: int = 0
) -> Attained:
    """Search the family for the instance with the largest average: random draws, then ever closer to the best ones.

    Args:
        analysis: what the instances have to satisfy.
        population: instances of each round, >= 8.
        rounds: rounds, >= 1; the first is random, each later one draws around the best eighth at half the spread.
        runs: see `attained_averages`.
        seed: of noise and search; the noise of all instances is the same.

    Returns:
        The best instance.

    Raises:
        ValueError: population below 8 or rounds below 1.

    Source: derived here.
    Cost: population x rounds x runs x steps scalar steps, 0.1 s a million.

    >>> from fractions import Fraction
    >>> run = Analysis(smoothness=1, initial_gap=Fraction(1, 2), steps=110, step_size=Fraction(95346, 1000000))
    >>> largest_attained(run, population=16, rounds=2).average > 0.9 * (0.5 / (110 * 0.095346) + 0.095346 / 2)
    True
    """
    if population < 8 or rounds < 1:
        raise ValueError(f"population = {population}, rounds = {rounds}: give integers >= 8 and >= 1")
    generator = np.random.default_rng(seed)
    genes = generator.uniform(-1, 1, (population, 5))
    genes[:4] = [[-1, 0, -1, 0, -1], [-0.5, 0, -1, 0, -1], [-1, -1, -1, 0, -1], [-0.5, 0, 1, 0, -1]]
    best: tuple[float, Array] = (-math.inf, genes[0])
    for spread in 2.0 ** -np.arange(rounds):
        averages = attained_averages(analysis, _instances(analysis, genes), runs=runs, seed=seed)
        order = np.argsort(-averages)
        if averages[order[0]] > best[0]:
            best = float(averages[order[0]]), genes[order[0]].copy()
        parents = genes[order[: population // 8]][generator.integers(0, population // 8, population)]
        genes = np.clip(parents + 0.5 * spread * generator.standard_normal(parents.shape), -1, 1)
        genes[0] = best[1]
    found = _instances(analysis, best[1][None])
    single = replace(found, **{f.name: float(np.atleast_1d(getattr(found, f.name))[0]) for f in fields(found)})
    return Attained(best[0], single, seed, runs if analysis.noise else 1)


def _instances(analysis: Analysis, genes: Array) -> Instance:
    """Instances of an analysis from numbers in [-1, 1], shape (instances, 5); all satisfy it."""
    L, D, eta = float(analysis.smoothness), float(analysis.initial_gap), float(analysis.step_size)
    unit, reach = math.sqrt(2 * D / L), float(analysis.step_norm) * analysis.steps
    # The distance runs from the quadratic's sqrt(2D/L) (and below, to a step) to what T steps can just cover.
    logs = np.log([max(min(unit, eta) / 2, 1e-300), max(unit, reach) * 1.05])
    middle = math.log(max(unit, 1e-300))
    place = genes[:, 0]
    distance = np.exp(
        middle
        + np.where(place < -0.5, (place + 0.5) * 2 * (middle - logs[0]), (place + 0.5) / 1.5 * (logs[1] - middle))
    )
    minimizer = np.zeros(len(genes))
    if analysis.weight_decay:
        radius = 1 / float(analysis.weight_decay)
        distance = np.minimum(distance, 2 * radius)
        minimizer = radius * (1 - 1e-12) - distance - (1 + genes[:, 3]) / 2 * (2 * radius - distance) * (1 - 1e-12)
    half = np.where(genes[:, 2] > 0, distance * (1 + np.exp(4 * genes[:, 2] - 2)), np.inf)
    right = np.minimum(
        _slope_for_gap(distance, L, D), np.where(np.isinf(half), np.inf, L * np.minimum(half - distance, half / 2))
    )
    left = right * np.exp(3 * genes[:, 1])
    rare = 0.5 * np.exp(-3 * (1 + genes[:, 4]))
    gains = 1 - float(analysis.deficit), 1 + float(analysis.overshoot)
    return Instance(distance, right, left, half, minimizer, rare, *gains)


def _slope_for_gap(distance: Array, smoothness: float, gap: float) -> Array:
    """The largest slope G such that f at this distance from the minimum is at most the gap above it."""
    reach = smoothness * distance
    inside = np.maximum(reach**2 - 2 * smoothness * gap, 0.0)
    # (1 - 1e-14) keeps the rounded gap on the allowed side.
    return (1 - 1e-14) * np.where(inside > 0, 2 * smoothness * gap / (reach + np.sqrt(inside)), reach)


def _derivative(x: Array, smoothness: float, instance: Instance) -> Array:
    """The derivative at a distance x from a minimum."""
    half = np.asarray(instance.half_period)
    period = np.where(np.isinf(half), 1.0, 2 * half)
    offset = np.where(np.isinf(half), x, x - period * np.round(x / period))
    edge = np.where(np.isinf(half), np.inf, half - np.abs(offset))
    slope = np.sign(offset) * smoothness * np.minimum(np.abs(offset), edge)
    return np.clip(slope, -np.asarray(instance.left_slope), instance.right_slope)


def _require(analysis: Analysis, instance: Instance) -> None:
    """Raise unless the instances, arrays of one shape, satisfy the analysis."""
    L, right, distance = float(analysis.smoothness), np.asarray(instance.right_slope), np.asarray(instance.distance)
    ramp = np.minimum(distance, right / L)
    gap = L * ramp**2 / 2 + right * (distance - ramp)
    if np.any(gap > float(analysis.initial_gap) * (1 + 1e-12)):
        raise ValueError(f"distance, right_slope: the gap {float(gap.max()):.6g} exceeds D, lower one of them")
    if np.any((distance > instance.half_period) | (right <= 0)):
        raise ValueError("distance, right_slope: give a start closer than half_period and a slope > 0")
    lowest, highest = 1 - float(analysis.deficit), 1 + float(analysis.overshoot)
    for name in ("first_gain", "later_gain"):
        gain = np.asarray(getattr(instance, name))
        if np.any((gain < lowest - 1e-12) | (gain > highest + 1e-12)):
            raise ValueError(f"{name} leaves [1 - ehat, 1 + omega] = [{lowest:.6g}, {highest:.6g}]")
    if analysis.weight_decay and np.any(np.abs(instance.minimizer + distance) * float(analysis.weight_decay) > 1):
        raise ValueError("minimizer + distance: the start must lie in the ball of radius 1/lambda of weight decay")
