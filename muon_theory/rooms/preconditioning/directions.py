"""The directions compared: gradient, sign, Adam, and the polar factor exactly or by q Newton-Schulz steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from muon_theory.polar import orthogonalize, polar_factor

Array = NDArray[np.float64]
Direction = Literal["gradient", "sign", "adam", "polar", "newton_schulz"]
RANK_TOLERANCE = 1e-13
TUNED = ("first", "ratio", "momentum", "second")
RATIOS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998,
          0.999, 0.9995)  # fmt: skip
BETAS = ((0.5, 0.9), (0.5, 0.99), (0.8, 0.9), (0.8, 0.99), (0.9, 0.95), (0.9, 0.99), (0.9, 0.999))


@dataclass(frozen=True)
class Settings:
    """A batch of step-size schedules first * ratio^t for one direction, each with its momentum.

    Args:
        direction: what is stepped along.
        first: eta_0 > 0, shape (settings,).
        ratio: rho in (0, 1], shape (settings,); 1 is a constant step.
        momentum: for "polar" and "newton_schulz" the mu of Nesterov's momentum, for "adam" beta_1; shape (settings,).
        second: beta_2 of Adam, shape (settings,).
        steps: q, the Newton-Schulz steps of "newton_schulz" (the quintic `jordan_2024`).
        epsilon: Adam's guard against division by zero.

    Raises:
        ValueError: an unknown direction, a first step that is not positive, a ratio outside (0, 1].

    Source: elementary.
    """

    direction: Direction
    first: Array
    ratio: Array
    momentum: Array
    second: Array
    steps: int = 5
    epsilon: float = field(default=1e-12)

    def __post_init__(self) -> None:
        if self.direction not in ("gradient", "sign", "adam", "polar", "newton_schulz"):
            raise ValueError(f"direction is {self.direction!r}; choose gradient, sign, adam, polar or newton_schulz")
        if not (np.all(self.first > 0) and np.all((self.ratio > 0) & (self.ratio <= 1))):
            raise ValueError("first must be > 0 and ratio in (0, 1] in every setting")

    def __len__(self) -> int:
        return len(self.first)

    def take(self, index: NDArray[np.intp]) -> Settings:
        """The settings with these numbers, which may repeat. Source: elementary."""
        chosen = {name: getattr(self, name)[index] for name in TUNED}
        return replace(self, **chosen)

    def travel(self, step: int, shape: tuple[int, ...]) -> Array:
        """An upper bound of the Frobenius length of all steps from number `step` on; infinite where there is none.

        A step of size eta has length at most eta sqrt(entries) along a sign, eta sqrt(min(m, n)) along a polar factor,
        1.21 times that for the quintic; Adam's is at most max(1, (1 - beta_1) / sqrt(1 - beta_2)) times a sign's.

        Args:
            step: number of the next step.
            shape: (m, n) of the unknown.

        Returns:
            Shape (settings,).

        Source: elementary; Kingma and Ba 2015, section 2.1, for Adam; claim MF-16 for the quintic.
        """
        if self.direction == "gradient":
            return np.full(len(self), np.inf)
        length = {"sign": np.sqrt(np.prod(shape)), "adam": np.sqrt(np.prod(shape)), "polar": np.sqrt(min(shape)),
                  "newton_schulz": 1.21 * np.sqrt(min(shape))}[self.direction]  # fmt: skip
        if self.direction == "adam":
            length = length * np.maximum(1.0, (1 - self.momentum) / np.sqrt(1 - self.second))
        with np.errstate(divide="ignore"):
            return length * self.first * self.ratio**step / (1 - self.ratio)


def settings_grid(
    direction: Direction,
    first: Sequence[float],
    ratio: Sequence[float],
    *,
    relative: bool = False,
    momentum: Sequence[tuple[float, float]] = ((0.0, 0.0),),
    steps: int = 5,
) -> Settings:
    """All combinations of first step, ratio and momentum.

    Args:
        direction: what is stepped along.
        first: eta_0, or with `relative` the factors c of eta_0 = c (1 - rho).
        ratio: rho.
        relative: how `first` is meant.
        momentum: pairs (momentum or beta_1, beta_2); beta_2 matters for Adam only.
        steps: Newton-Schulz steps.

    Returns:
        The settings, ratio varying fastest, then first, then momentum.

    Source: elementary.

    >>> settings_grid("polar", [1.0, 2.0], [0.5, 0.75], relative=True).first.tolist()
    [0.5, 0.25, 1.0, 0.5]
    """
    rows = np.array([(eta, rho, *pair) for pair, eta, rho in product(momentum, first, ratio)])
    size = rows[:, 0] * (1 - rows[:, 1]) if relative else rows[:, 0]
    return Settings(direction, size, rows[:, 1], rows[:, 2], rows[:, 3], steps)


def wide_grid(method: str, largest: float = 1.0) -> Settings:
    """The grid a method is tuned over: wide enough that the optimum is inside, the same for every problem.

    Args:
        method: "sign", "adam" (7 pairs of betas), "muon_exact", or "muon_q" with a number q for q Newton-Schulz steps.
        largest: sigma_max or q_max, the size of what has to be reached; first steps are in its units.

    Returns:
        315 settings of Muon, 324 of SignGD, 1008 of Adam.

    Raises:
        ValueError: an unknown method.

    Source: derived here.

    >>> len(wide_grid("muon_exact")), wide_grid("muon_8").steps
    (315, 8)
    """
    if method == "sign":
        return settings_grid("sign", [largest * 0.0005 * 2**j for j in range(12)], _ratios(0.5, 27))
    if method == "adam":
        first = [largest * 0.006 * 2**j for j in range(8)]
        return settings_grid("adam", first, _ratios(0.15, 18), momentum=BETAS)
    if method != "muon_exact" and not (method.startswith("muon_") and method[5:].isdigit()):
        raise ValueError(f"method is {method!r}; choose sign, adam, muon_exact or muon_q with a number q")
    scales = [largest * c for c in (0.7, 0.8, 0.9, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 6)]
    if method == "muon_exact":
        return settings_grid("polar", scales, RATIOS, relative=True)
    return settings_grid("newton_schulz", scales, RATIOS, relative=True, steps=int(method[5:]))


def _ratios(gap: float, count: int) -> list[float]:
    """1 - rho from the gap downwards by factors of 1.5."""
    return [1 - gap * 1.5**-j for j in range(count)]


def exact_polar(G: Array) -> Array:
    """U V^T of the compact singular value decomposition; singular values below 1e-13 of the largest count as zero.

    Args:
        G: shape (*batch, m, n), finite.

    Returns:
        Shape of G.

    Source: elementary.

    >>> exact_polar(np.array([[2.0, 0.0], [0.0, -3.0]])).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    return polar_factor(torch.from_numpy(G), rank_tolerance=RANK_TOLERANCE, method="svd").numpy()


class Stepper:
    """Runs of one direction side by side: what each adds to its unknown at every step.

    Args:
        settings: one for each run.
        shape: of the unknowns, (runs, m, n).

    Source: Kingma and Ba 2015 (Adam with bias correction); Jordan et al. 2024 (Nesterov momentum before the polar
    factor); elementary for the others.

    >>> stepper = Stepper(settings_grid("sign", [0.1], [0.5]), (1, 1, 2))
    >>> stepper.step(np.array([[[3.0, -2.0]]])).tolist()
    [[[-0.1, 0.1]]]
    """

    def __init__(self, settings: Settings, shape: tuple[int, ...]) -> None:
        self.settings, self.count = settings, 0
        self.first_moment = np.zeros(shape) if np.any(settings.momentum) or settings.direction == "adam" else None
        self.second_moment = np.zeros(shape) if settings.direction == "adam" else None

    def step(self, G: Array) -> Array:
        """The change of the unknowns for the gradients G, shape of G. Source: as the class."""
        eta = self.settings.first * self.settings.ratio**self.count
        self.count += 1
        return -eta[:, None, None] * self._direction(G)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forget the runs outside the mask. Source: elementary."""
        self.settings = self.settings.take(np.flatnonzero(mask))
        self.first_moment = None if self.first_moment is None else self.first_moment[mask]
        self.second_moment = None if self.second_moment is None else self.second_moment[mask]

    def _direction(self, G: Array) -> Array:
        kind = self.settings.direction
        if kind == "gradient":
            return G
        if kind == "sign":
            return np.sign(G)
        if kind == "adam":
            return self._adam(G)
        C = self._nesterov(G)
        if kind == "polar":
            return exact_polar(C)
        return orthogonalize(torch.from_numpy(C), "jordan_2024", self.settings.steps).numpy()

    def _nesterov(self, G: Array) -> Array:
        if self.first_moment is None:
            return G
        mu = self.settings.momentum[:, None, None]
        self.first_moment = mu * self.first_moment + (1 - mu) * G
        return mu * self.first_moment + (1 - mu) * G

    def _adam(self, G: Array) -> Array:
        b1, b2 = (beta[:, None, None] for beta in (self.settings.momentum, self.settings.second))
        assert self.first_moment is not None and self.second_moment is not None  # noqa: PT018
        self.first_moment = b1 * self.first_moment + (1 - b1) * G
        self.second_moment = b2 * self.second_moment + (1 - b2) * G * G
        m = self.first_moment / (1 - b1**self.count)
        return m / (np.sqrt(self.second_moment / (1 - b2**self.count)) + self.settings.epsilon)
