"""The ball of weight decay: how large the iterates get, and what the stationarity measure says."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rates import QuadraticProblem, momentum_run, quadratic_problem, spectral_oracle
from muon_theory.rooms.critical_batch.decay import implicit_step, limiting_radius, stationarity, weight_norm_bound

HERE = "derived here"
ROUNDING = "float64 rounding of norms of 6 x 5 matrices"


def _polar(G: np.ndarray) -> np.ndarray:
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    return U @ Vt


def _in_ball(generator: np.random.Generator, radius: float) -> np.ndarray:
    W = generator.standard_normal((4, 6))
    return radius * generator.uniform() * W / np.linalg.norm(W, 2)


def _gap(radius: float = 1.0, decay: float = 0.5) -> Finding:
    """Smallest Phi on op(W) <= radius/lambda, its least point included; and Phi/lambda minus the best competitor."""
    generator = np.random.default_rng(0)
    smallest, best, attained = np.inf, np.inf, 0.0
    for _ in range(20):
        g = generator.standard_normal((4, 6))
        points = [_in_ball(generator, radius / decay) for _ in range(50)] + [-radius / decay * _polar(g)]
        smallest = min(smallest, *(stationarity(W, g, decay) for W in points))
        W = points[0]
        rivals = max(float(np.sum(g * (W - _in_ball(generator, 1 / decay)))) for _ in range(250))
        best = min(best, stationarity(W, g, decay) / decay - rivals)
        attained = max(attained, abs(stationarity(W, g, decay) / decay - np.sum(g * (W + _polar(g) / decay))))
    return Finding(0.0, [smallest, best, -attained])


def _ball_bound(share: float = 1.0, rho: float = 0.3, decay: float = 0.5) -> Finding:
    """Phi over (1 - share rho) nuc(g) on op(W) <= rho/lambda: smallest over draws, and at W = -rho P(g)/lambda."""
    generator, ratios, g = np.random.default_rng(0), [], np.eye(4, 6)
    for _ in range(1000):
        g = generator.standard_normal((4, 6))
        ratios.append(stationarity(_in_ball(generator, rho / decay), g, decay) / np.linalg.norm(g, "nuc"))
    ratios.append(stationarity(-rho / decay * _polar(g), g, decay) / np.linalg.norm(g, "nuc"))
    scaled = [float(r) / (1 - share * rho) for r in (min(ratios[:-1]), ratios[-1])]
    return Finding(1.0, scaled, attained=scaled[1])


@lru_cache(maxsize=2)
def _gradient_left(decay: float) -> tuple[float, float]:
    """nuc(g) and Phi after 6000 exact steps with decay on a quadratic, over nuc(g) at the start."""
    run = momentum_run(
        quadratic_problem(4, 4, 0), spectral_oracle("exact"), steps=6000, step_size=0.002, weight_decay=decay
    )
    first = run.gradient_norm[0, 0, 0]
    return float(run.gradient_norm[-1, 0, 0] / first), float(run.stationarity[-1, 0, 0] / first)


def _to_zero(decay: float = 2.0) -> Finding:
    return Finding(0.01, _gradient_left(decay)[0])


@lru_cache(maxsize=1)
def _random_outputs() -> tuple[list[float], list[float]]:
    """Over 50 runs with outputs in the unit ball, random or constant: op(W_t) and fro(W_t) over their bounds."""
    generator = np.random.default_rng(0)
    spectral, frobenius = [], []
    for run in range(50):
        eta, decay = generator.uniform(0.05, 1), 1.0
        W = generator.standard_normal((6, 5)) if run % 3 else np.zeros((6, 5))
        constant = _polar(generator.standard_normal((6, 5)))
        start = [float(np.linalg.norm(W, order)) for order in (2, "fro")]
        for t in range(1, 61):
            drawn = generator.standard_normal((6, 5))
            O = constant if run % 2 == 0 else drawn / np.linalg.norm(drawn, 2)
            W = (1 - eta * decay) * W - eta * O
            spectral.append(float(np.linalg.norm(W, 2) / weight_norm_bound(start[0], t, eta, decay)))
            bound = weight_norm_bound(start[1], t, eta, decay, oracle=5**0.5)
            frobenius.append(float(np.linalg.norm(W) / bound))
    return spectral, frobenius


def _spectral_radius(share: float = 1.0) -> Finding:
    largest = max(_random_outputs()[0])
    return Finding(share, largest, attained=largest)


def _frobenius_radius(share: float = 1.0) -> Finding:
    largest = max(_random_outputs()[1])
    return Finding(share, largest, attained=largest)


def _gradients(constant: str = "L") -> Finding:
    """nuc(grad f(W)) over L (op(W) + op(W*)): random pairs on a quadratic, and W = -W* a row isometry with A = I."""
    generator, problem = np.random.default_rng(0), quadratic_problem(5, 7, 0)
    identity = QuadraticProblem(np.eye(5), _polar(generator.standard_normal((5, 7))))
    pairs = [(problem, generator.standard_normal((5, 7))) for _ in range(200)] + [(identity, -identity.minimizer)]
    ratios = []
    for each, W in pairs:
        L = each.smoothness if constant == "L" else each.frobenius_smoothness
        size = np.linalg.norm(W, 2) + np.linalg.norm(each.minimizer, 2)
        ratios.append(float(np.linalg.norm(each.gradient(W), "nuc") / (L * size)))
    return Finding(1.0, [max(ratios[:-1]), ratios[-1]], attained=ratios[-1])


def _beyond(radius: str = "1/(2/eta - lambda)") -> Finding:
    """Largest |x_t| after 2000 steps of the worst output, lambda = 1, eta = 1.5 and 1.9; growth per step at eta = 2."""
    limits = []
    for eta in (1.5, 1.9, 2.0):
        x = 0.0
        for _ in range(2000):
            x = (1 - eta) * x + eta * (1.0 if (1 - eta) * x >= 0 else -1.0)
        limits.append(abs(x))
    predicted = [limiting_radius(eta, 1.0) if radius != "1/lambda" else 1.0 for eta in (1.5, 1.9)]
    return Finding([*predicted, 2.0], [limits[0], limits[1], limits[2] / 2000])


def _overshoot(overshoot: bool = True) -> Finding:
    """Largest lambda op(W) with the quintic, five steps, W* tripled, eta lambda = .05, .5, 1."""
    from muon_theory.polar import scalar_map

    problem = quadratic_problem(6, 8, 1)
    far, decay = QuadraticProblem(problem.A, 3 * problem.minimizer), 0.3
    run = momentum_run(
        far, spectral_oracle("jordan_2024", 5), steps=300, step_size=np.array([0.05, 0.5, 1.0]) / decay, momentum=0.9,
        noise=0.5, weight_decay=decay, runs=4, seed=1,
    )  # fmt: skip
    largest = float(scalar_map("jordan_2024", 5)(np.linspace(0, 1, 400_001)).max()) if overshoot else 1.0
    return Finding(largest, float(run.weight_norm.max() * decay), attained=float(run.weight_norm.max() * decay))


def _implicit(implicit: bool = True) -> Finding:
    """Excess of |x| over 1/lambda = 2 after one, two and three aligned steps, eta lambda = 5, x_0 = 3."""
    x, excess = np.array(3.0), []
    for _ in range(3):
        x = implicit_step(x, -np.sign(x), 10.0, 0.5) if implicit else (1 - 5.0) * x + 10 * np.sign((1 - 5.0) * x)
        excess.append(float(abs(x)) - 2.0)
    return Finding([6.0**-k for k in (1, 2, 3)], excess)


def claims() -> list[Claim]:
    """The claims on weight decay.

    Returns:
        Rows THC-PHI1 to THC-PHI3, THC-B1 to THC-B5 and THC-IMP.

    Source: see each row.
    """
    return [
        Claim(id="THC-PHI1", statement="Phi >= 0 on op(W) <= 1/lambda, and Phi/lambda is the Frank-Wolfe gap there",
              source=HERE, relation=">=", method="property test", evaluate=_gap,
              mutations=(Mutation("op(W) = 1.5/lambda", {"radius": 1.5}),), expected="holds", attribution="ours",
              tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="THC-PHI2", statement="op(W) <= rho/lambda: nuc(g) <= Phi/(1 - rho), attained at W = -rho P(g)/lambda",
              source=HERE, relation=">=", method="property test", evaluate=_ball_bound,
              mutations=(Mutation("1/(1 - rho/2)", {"share": 0.5}),), expected="holds", attribution="ours",
              tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="THC-PHI3", statement="with weight decay nuc(g) itself tends to 0 (falls to 1 % of its start)",
              source="natural reading of arXiv 2507.01598", relation="<=", method="simulation", evaluate=_to_zero,
              mutations=(Mutation("lambda = .1: the minimum lies inside the ball", {"decay": 0.1}),),
              expected="refuted", attribution="implied", tier="medium"),
        Claim(id="THC-B1", statement="eta lambda <= 1: op(W_t) <= (1-eta lambda)^t op(W_0) + (1-(1-eta lambda)^t) "
              "/lambda for any outputs in the unit ball; attained", source=HERE, relation="<=", method="property test",
              evaluate=_spectral_radius, mutations=(Mutation("radius .99/lambda", {"share": 0.99}),), expected="holds",
              attribution="ours", tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="THC-B2", statement="fro(W_t) <= (1-eta lambda)^t fro(W_0) + (1-(1-eta lambda)^t) sqrt(r)/lambda",
              source=HERE, relation="<=", method="property test", evaluate=_frobenius_radius,
              mutations=(Mutation("half of it", {"share": 0.5}),), expected="holds", attribution="ours",
              tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="THC-B3", statement="nuc(grad f(W)) <= L (op(W) + op(W*)) where grad f(W*) = 0; attained",
              source="derived here (arXiv 2507.01598, version 5, claims bounded gradients)", relation="<=",
              method="property test", evaluate=_gradients,
              mutations=(Mutation("L_F in place of L", {"constant": "L_F"}),), expected="holds", attribution="ours",
              tolerance=1e-12, tolerance_reason=ROUNDING),
        Claim(id="THC-B4", statement="1 < eta lambda < 2: op(W_t) can reach 1/(2/eta - lambda), no more; at 2 it grows",
              source=HERE, relation="==", method="float64 evaluation", evaluate=_beyond,
              mutations=(Mutation("radius 1/lambda", {"radius": "1/lambda"}),), expected="holds", attribution="ours",
              relative_tolerance=1e-9, tolerance_reason="2000 steps of a contraction"),
        Claim(id="THC-B5", statement="an oracle with overshoot omega: radius (1 + omega)/lambda; for the quintic used "
              "1.2023686/lambda", source=HERE, relation="<=", method="simulation", evaluate=_overshoot,
              mutations=(Mutation("radius 1/lambda", {"overshoot": False}),), expected="holds", attribution="ours",
              tier="medium", tolerance=1e-6, tolerance_reason="the quintic's maximum on a grid of 4e5 points"),
        Claim(id="THC-IMP", statement="implicit decay keeps the ball 1/lambda for any eta: the excess shrinks by "
              "1/(1 + eta lambda) exactly", source="derived here (form of Chen, Li and Liu as relayed)", relation="==",
              method="float64 evaluation", evaluate=_implicit,
              mutations=(Mutation("explicit decay at the same eta lambda", {"implicit": False}),), expected="holds",
              attribution="ours", relative_tolerance=1e-12, tolerance_reason=ROUNDING),
    ]  # fmt: skip
