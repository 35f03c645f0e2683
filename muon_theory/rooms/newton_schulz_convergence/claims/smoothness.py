"""The two smoothness constants, the gradient norm they allow, and gradient descent with and without momentum."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rates import QuadraticProblem, quadratic_problem
from muon_theory.rooms.newton_schulz_convergence.steps import gradient_norm_bound, heavy_ball_contraction

PAPER = "Kim and Oh 2026, arXiv 2601.19156"
ROUNDING = "float64 rounding of a nuclear norm of five terms and a square root; the attained instance has equality"

# A polynomial identity of degree 4 in b that holds at these points holds for every b.
MOMENTA = tuple(Fraction(b) for b in ("0", "1/4", "1/2", "3/4", "9/10", "99/100"))


def _gradient_norm(frobenius: bool = False) -> Finding:
    """nuc(g)^2/(2 L gap): the largest of 200 draws, and where W - W* has orthonormal rows; `frobenius` takes L_F."""
    generator, ratios = np.random.default_rng(0), []
    for draw in range(201):
        A, minimizer = generator.standard_normal((4, 5)), generator.standard_normal((5, 7))
        if draw == 200:
            minimizer = np.linalg.qr(minimizer.T)[0].T
        problem = QuadraticProblem(A, minimizer)
        W = np.zeros((5, 7))
        constant = problem.frobenius_smoothness if frobenius else problem.smoothness
        bound = gradient_norm_bound(constant, float(problem.value(W)))
        ratios.append(float((np.linalg.norm(problem.gradient(W), "nuc") / bound) ** 2))
    return Finding(1.0, [max(ratios[:200]), ratios[200]], attained=ratios[200])


def _smoothness_ratio(largest: int = 0) -> Finding:
    """L_F/L and L/((r - largest) L_F): rank one, A^T A = I_3, the largest of 200 rational spectra (r = 3), exactly."""
    # Both constants depend on the singular values s of A only: L = sum s^2, L_F = max s^2.
    generator = np.random.default_rng(0)
    spectra = [[Fraction(int(i), 1000) for i in row] for row in generator.integers(1, 1001, (200, 3))]
    one, ones = [Fraction(1), Fraction(0), Fraction(0)], [Fraction(1)] * 3
    left, right = [], []
    for group in ([one], [ones], spectra):
        constants = [(sum(s * s for s in sigma), max(s * s for s in sigma)) for sigma in group]
        left.append(max(Fraction(L_F) / L for L, L_F in constants))
        right.append(max(Fraction(L) / ((3 - largest) * L_F) for L, L_F in constants))
    return Finding(1, [*left, *right])


def _bound_quotient(same_constant: bool = False) -> Finding:
    """The quotient sqrt(r L_F/L) of the bounds: A = I_4, random, rank one (r = 4); `same_constant` takes L for L_F."""
    generator = np.random.default_rng(0)
    measured = []
    for A in (np.eye(4), generator.standard_normal((4, 4)), np.outer(np.ones(4), np.arange(1.0, 5.0))):
        problem = QuadraticProblem(A, np.zeros((4, 4)))
        constant = problem.smoothness if same_constant else problem.frobenius_smoothness
        measured.append((problem.rank * constant / problem.smoothness) ** 0.5)
    return Finding(2.0, measured)


def _gradient_descent(rank_factor: float = 1.0) -> Finding:
    """Average nuc(g) over the bound, gradient descent: largest of 20 problems, T = 100; the row isometry, T = 1."""
    isometry = QuadraticProblem(np.eye(6), np.linalg.qr(np.random.default_rng(0).standard_normal((8, 6)))[0].T)
    problems: Sequence[tuple[QuadraticProblem, int]] = [(quadratic_problem(6, 8, seed), 100) for seed in range(20)]
    ratios = []
    for problem, steps in (*problems, (isometry, 1)):
        W = np.zeros((6, 8))
        gap, norms = float(problem.value(W)), []
        for _ in range(steps):
            g = problem.gradient(W)
            norms.append(float(np.linalg.norm(g, "nuc")))
            W = W - g / problem.frobenius_smoothness
        bound = (2 * rank_factor * problem.rank * problem.frobenius_smoothness * gap / steps) ** 0.5
        ratios.append(sum(norms) / steps / bound)
    return Finding(1.0, [max(ratios[:20]), ratios[20]], attained=ratios[20])


def _appendix_step(shrunk: Fraction = Fraction(1)) -> Finding:
    """Value of theta at eta = (1-b)^2/(4 L sqrt K), `shrunk` times, for six values of b."""
    measured = []
    for b in MOMENTA:
        spread = b**2 + (1 - b) ** 2
        measured.append(heavy_ball_contraction(b, shrunk**2 * (1 - b) ** 4 / (16 * spread)))
    return Finding(Fraction(1, 4), measured)


def _main_text_step(factor: Fraction | None = None) -> Finding:
    """1 - 4 theta at eta = (1-b)^2/(4 L) against 2 b (1-b); `factor` replaces K."""
    measured = [1 - 4 * heavy_ball_contraction(b, (1 - b) ** 4 / 16, factor) for b in MOMENTA]
    return Finding([2 * b * (1 - b) for b in MOMENTA], measured)


def claims() -> list[Claim]:
    """The claims KO-G0, KO-G1, KO-RANK, KO-GD, KO-T3-A and KO-T3-B.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [*_smoothness(), *_gradient_descent_claims()]


def _smoothness() -> list[Claim]:
    return [
        Claim(
            id="KO-G0",
            statement="nuc(grad f(W))^2 <= 2 L (f(W) - inf f); attained where W - W* has orthonormal rows",
            source="derived here: the descent lemma from W to W - (nuc(g)/L) P(g); the paper has sqrt(r) more",
            relation="<=",
            method="property test",
            evaluate=_gradient_norm,
            mutations=(Mutation("L_F in place of L", {"frobenius": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KO-G1",
            statement="L_F <= L <= r L_F; the left attained by a rank-one A, the right by A^T A = I",
            source="derived here: L = fro(A)^2, L_F = op(A)^2",
            relation="<=",
            method="exact rational",
            evaluate=_smoothness_ratio,
            mutations=(Mutation("L <= (r - 1) L_F", {"largest": 1}),),
            expected="holds",
            attribution="ours",
        ),
    ]


def _gradient_descent_claims() -> list[Claim]:
    return [
        Claim(
            id="KO-RANK",
            statement="for the same f Muon's deterministic bound sqrt(2 L D/T) is smaller than gradient descent's "
            "sqrt(2 r L_F D/T) by the factor sqrt(r)",
            source=f"{PAPER}, comparison of Theorems 1 and 3, both with L",
            relation="==",
            method="float64 evaluation",
            evaluate=_bound_quotient,
            mutations=(Mutation("charge the second method with L as the paper does", {"same_constant": True}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KO-GD",
            statement="gradient descent at eta = 1/L_F: average nuc(g) <= sqrt(2 r L_F D/T); attained by "
            "A = I, W - W* with orthonormal rows, T = 1",
            source="derived here: the descent lemma in the Frobenius norm and nuc <= sqrt(r) fro",
            relation="<=",
            method="simulation",
            evaluate=_gradient_descent,
            mutations=(
                Mutation("r/40 in place of r", {"rank_factor": 1 / 40}),
                Mutation(".99 r in place of r: the attained instance refutes it", {"rank_factor": 0.99}),
            ),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KO-T3-A",
            statement="the step eta = (1-b)^2/(4 L sqrt K) of the appendix makes theta = 4 L^2 eta^2 K/(1-b)^4 < 1/4, "
            "K = b^2 + (1-b)^2, as the proof of Theorem 3 needs",
            source=f"{PAPER}, appendix, proof of Theorem 3",
            relation="<",
            method="exact rational",
            evaluate=_appendix_step,
            mutations=(Mutation("step halved", {"shrunk": Fraction(1, 2)}),),
            expected="refuted",
            attribution="printed",
        ),
        Claim(
            id="KO-T3-B",
            statement="the step eta = (1-b)^2/(4L) of the main text leaves 1 - 4 theta = 2b(1-b): 0 at b = 0, an extra "
            "1/(1-b) hidden in the order as b -> 1",
            source="derived here from the proof of Theorem 3",
            relation="==",
            method="exact rational",
            evaluate=_main_text_step,
            mutations=(Mutation("1 in place of K", {"factor": Fraction(1)}),),
            expected="holds",
            attribution="ours",
        ),
    ]
