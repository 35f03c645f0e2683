"""The program itself: convex, aligned with the gradient, its order and its homogenisation."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum
from muon_theory.rooms.isotropic_curvature.maps import mapped_spectrum

SU = "Su 2025, arXiv 2511.00674"
POWERS = (1.25, 1.5, 2.5, 3.0, 3.5, 4.0, 8.0)
SOLVED = "exact expectations, solved to a relative residual of 1e-12"


def _midpoint(growths: tuple[str, ...] = ("quartic", "kink")) -> Finding:
    """Largest excess of the midpoint's mean H over the mean of the ends', 300 pairs of 4 x 5 matrices, 50 inputs."""
    functions = {
        "quartic": lambda r: r**4,
        "kink": lambda r: 0.05 * r + 2.95 * np.maximum(r - 1, 0),
        "valley": lambda r: (r - 3) ** 2,
    }
    generator = np.random.default_rng(0)
    pairs = generator.standard_normal((300, 2, 4, 5))
    inputs = generator.standard_normal((5, 50))
    inputs /= np.linalg.norm(inputs, axis=0)
    measured = []
    for name in growths:

        def cost(Q: np.ndarray, name: str = name) -> np.ndarray:
            return functions[name](np.linalg.norm(Q @ inputs, axis=1)).mean(-1)

        ends = (cost(pairs[:, 0]) + cost(pairs[:, 1])) / 2
        measured.append(float((cost(pairs.mean(1)) - ends).max()))
    return Finding(0.0, measured)


@lru_cache(maxsize=1)
def _matrix_program() -> tuple[np.ndarray, np.ndarray]:
    """The minimiser of the 6 x 5 matrix program for r^4 from a random start, in the basis of G, and sigma."""
    from scipy.optimize import minimize

    generator = np.random.default_rng(0)
    G = generator.standard_normal((6, 5))
    n = 5

    def objective(q: np.ndarray) -> tuple[float, np.ndarray]:
        Q = q.reshape(6, 5)
        S = Q.T @ Q
        value = (np.trace(S) ** 2 + 2 * np.sum(S * S)) / (n * (n + 2)) - np.sum(Q * G)
        slope = (4 * np.trace(S) * Q + 8 * Q @ S) / (n * (n + 2)) - G
        return float(value), slope.ravel()

    start = generator.standard_normal(30)
    solved = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 2000})
    U, sigma, Vh = np.linalg.svd(G, full_matrices=False)
    return U.T @ solved.x.reshape(6, 5) @ Vh.T, sigma


def _aligned(n: int = 5) -> Finding:
    """Largest off-diagonal entry of U^T Q V, and largest difference of its diagonal from the scalar program's s."""
    rotated, sigma = _matrix_program()
    s = power_spectrum(sigma, 4.0, n).s
    off_diagonal = rotated - np.diag(rotated.diagonal())
    return Finding(0.0, [float(np.abs(off_diagonal).max()), float(np.abs(rotated.diagonal() - s).max())])


@lru_cache(maxsize=8)
def _random_solutions(p: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """(sigma, s) of 40 random descending spectra, n in 2..8, r <= n, for r^p."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(40):
        n = int(generator.integers(2, 9))
        r = int(generator.integers(2, n + 1))
        sigma = np.sort(generator.exponential(size=r))[::-1]
        found.append((sigma, power_spectrum(sigma, p, n).s))
    return found


def _order(newton_schulz: bool = False) -> Finding:
    """Largest s_(i+1)/s_i - 1 over all draws and powers; after three Newton-Schulz steps on s with the flag."""
    largest = -np.inf
    for p in POWERS:
        for _, s in _random_solutions(p):
            values = mapped_spectrum(s, "NS-3") if newton_schulz else s
            largest = max(largest, float((values[1:] / values[:-1]).max()) - 1)
    return Finding(0.0, largest)


def _ratios(p: float) -> list[float]:
    """(s_i/s_j)/(sigma_i/sigma_j) of all neighbours i < j of all draws; those of other pairs are products of them."""
    pairs = _random_solutions(p)
    return [float(x) for sigma, s in pairs for x in (s[:-1] / s[1:]) / (sigma[:-1] / sigma[1:])]


def _compression(powers: tuple[float, ...] = (2.5, 3.0, 3.5, 4.0, 8.0)) -> Finding:
    return Finding(1.0, [max(_ratios(p)) for p in powers])


def _expansion(powers: tuple[float, ...] = (1.25, 1.5)) -> Finding:
    return Finding(1.0, [min(_ratios(p)) for p in powers])


def _quadratic(factor: float = 0.5, c: float = 0.7) -> Finding:
    """Largest |s - factor n sigma / c| for H = c r^2, n = 6."""
    sigma = np.array([3.0, 2.0, 1.0, 0.5, 0.2, 0.05])
    s = power_spectrum(sigma, 2.0, scale=c).s
    return Finding(0.0, float(np.abs(s - factor * 6 * sigma / c).max()))


def claims() -> list[Claim]:
    """The claims IC-01 to IC-06.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="IC-01",
            statement="Q -> E H(||Q zeta||) is convex when H is convex and nondecreasing (300 pairs 4 x 5, r^4 and "
            "a kink)",
            source=f"{SU} (relayed); derived here: a norm of a linear map, then a rising convex function",
            relation="<=",
            method="property test",
            evaluate=_midpoint,
            mutations=(Mutation("H = (r - 3)^2, convex but not monotone", {"growths": ("valley",)}),),
            expected="holds",
            attribution="relayed",
        ),
        Claim(
            id="IC-02",
            statement="the minimiser of the matrix program is aligned with G: U^T Q V is diagonal and equals the "
            "solution of the program in the singular values (6 x 5, H = r^4, quasi-Newton from a random start)",
            source=f"{SU} (relayed); derived here: rotation invariance and von Neumann's trace inequality",
            relation="==",
            method="float64 evaluation",
            evaluate=_aligned,
            mutations=(Mutation("the scalar program with n + 1", {"n": 6}),),
            expected="holds",
            attribution="relayed",
            tolerance=1e-6,
            tolerance_reason="the quasi-Newton iterate, gradient norm about 1e-8",
        ),
        Claim(
            id="IC-03",
            statement="s has the order of sigma: s_(i+1)/s_i <= 1 (40 spectra, n in 2..8, r <= n, p in 1.25..8)",
            source="derived here (rearrangement); Su 2025 in its theorem on homogenisation (relayed)",
            relation="<=",
            method="property test",
            evaluate=_order,
            mutations=(Mutation("three Newton-Schulz steps applied to s: not monotone", {"newton_schulz": True}),),
            expected="holds",
            attribution="relayed",
            tier="medium",
        ),
        Claim(
            id="IC-04",
            statement="H'(r)/r nondecreasing: s_i/s_j <= sigma_i/sigma_j for sigma_i >= sigma_j (p = 2.5, 3, 3.5, "
            "4, 8)",
            source=f"{SU}, theorem on homogenisation (relayed); derived here by exchanging two coordinates of zeta",
            relation="<=",
            method="property test",
            evaluate=_compression,
            mutations=(Mutation("p = 1.5", {"powers": (1.5,)}),),
            expected="holds",
            attribution="relayed",
            tier="medium",
        ),
        Claim(
            id="IC-05",
            statement="H'(r)/r nonincreasing: the inequality reverses, the spectrum spreads (p = 1.25, 1.5)",
            source="derived here: the same exchange with a concave H(sqrt(.))",
            relation=">=",
            method="property test",
            evaluate=_expansion,
            mutations=(Mutation("p = 2.5", {"powers": (2.5,)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="IC-06",
            statement="H = c r^2: s = n sigma/(2c), plain gradient descent (n = 6, c = .7)",
            source="derived here: E rho^2 = sum s^2 / n",
            relation="==",
            method="float64 evaluation",
            evaluate=_quadratic,
            mutations=(Mutation("n sigma / c", {"factor": 1.0}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=f"float64: {SOLVED}",
        ),
    ]
