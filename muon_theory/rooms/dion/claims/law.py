"""The law of error feedback on a constant gradient, and what it does to the buffer."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.dion.error_feedback import ModeAverages, law, law_scale, simulate_modes, smoothed_gap

SPECTRA = (((10.0, 2.0, 1.0, 0.5, 0.25), 2), ((10.0, 8.0, 2.0, 1.0, 0.5, 0.25, 0.1), 3))
STEPS = 20_000
FINITE_RUN = "a finite run and mu below 1: the error of the law is of order 1 - mu"
HERE = "derived here (study dion/error_feedback_law)"


@lru_cache(maxsize=32)
def _averages(index: int, momentum: float, error_feedback: bool, steps: int) -> ModeAverages:
    sigma, r = SPECTRA[index]
    return simulate_modes(sigma, r, momentum, steps, burn_in=steps // 5, error_feedback=error_feedback)


def _matrix_frequencies(error_feedback: bool) -> list[float]:
    """Mean update of the optimizer itself on a constant 8 x 6 gradient, in the basis of the gradient."""
    import torch

    from muon_theory.optimizers.dion import Dion
    from muon_theory.spectra import prescribed_matrix

    G = prescribed_matrix(torch.tensor([*SPECTRA[0][0], 0.0]), 8, 6, seed=0)
    weight = torch.nn.Parameter(torch.zeros_like(G))
    weight.grad = G
    optimizer = Dion([weight], 1.0, 0.95, 0.0, rank=2, exact=True, lr_scale="none", error_feedback=error_feedback)
    for _ in range(300):
        optimizer.step()
    settled = weight.detach().clone()
    for _ in range(1500):
        optimizer.step()
    U, _, V = torch.linalg.svd(G, full_matrices=False)
    mean = U.T @ ((settled - weight.detach()) / 1500) @ V.T
    off_diagonal = float((mean - torch.diag(mean.diagonal()))[:5, :5].abs().max())
    return [*mean.diagonal()[:5].tolist(), off_diagonal]


def _law(error_feedback: bool = True) -> Finding:
    """Frequencies of both spectra by modes (2e4 steps), and those of the first by matrices, against the law."""
    laws = [law(*spectrum).tolist() for spectrum in SPECTRA]
    modes = [_averages(i, 0.95, error_feedback, STEPS).frequency.tolist() for i in range(2)]
    predicted, measured = [*laws[0], *laws[1], *laws[0], 0.0], [*modes[0], *modes[1]]
    return Finding(predicted, [*measured, *_matrix_frequencies(error_feedback)])


@lru_cache(maxsize=1)
def _errors_of_the_law() -> dict[float, float]:
    """Largest error of the law over ten exponential spectra of eight modes, r = 3, for four mu."""
    momenta = (0.99, 0.95, 0.9, 0.5)
    sigma = np.sort(np.random.default_rng(0).exponential(size=(10, 8)))[:, ::-1]
    frequency = simulate_modes(
        np.tile(sigma, (4, 1, 1)), 3, np.repeat(np.array(momenta)[:, None], 10, axis=1), 40_000, burn_in=8_000
    ).frequency
    predicted = np.stack([law(row, 3) for row in sigma])
    return {mu: float(np.abs(frequency[i] - predicted).max()) for i, mu in enumerate(momenta)}


def _error(factor: float = 0.25) -> Finding:
    errors = _errors_of_the_law()
    return Finding(factor, [error / (1 - mu) for mu, error in errors.items()], attained=max(errors.values()))


def _smoothed(scale: float = 1.0) -> Finding:
    """The optimality gap of the law's mean update, with c times `scale`, and the nuclear norm of the solution."""
    sigma, r = SPECTRA[0]
    generator = np.random.default_rng(0)
    U = np.linalg.qr(generator.standard_normal((6, 5)))[0]
    V = np.linalg.qr(generator.standard_normal((5, 5)))[0]
    c = scale * law_scale(sigma, r)
    D = (U * np.minimum(1, c * np.array(sigma))) @ V.T
    return Finding([0.0, float(r)], [smoothed_gap((U * np.array(sigma)) @ V.T, D, c), float(np.linalg.norm(D, "nuc"))])


def _level(momentum: float = 0.95) -> Finding:
    """b_i c (1 - mu) of the modes with f_i < 1, and of the clipped one, c sigma_1."""
    sigma, r = SPECTRA[0]
    c = law_scale(sigma, r)
    level = _averages(0, momentum, True, STEPS).buffer * c * (1 - momentum)
    return Finding([c * sigma[0], 1.0, 1.0, 1.0, 1.0], level.tolist())


def claims() -> list[Claim]:
    """The claims DN-09 to DN-12.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="DN-09",
            statement="constant gradient, exact SVD, error feedback: mode i is used with frequency min(1, c sigma_i), "
            "the sum being r",
            source=f"{HERE}: modes wait at one level, so each is used as often as it grows",
            relation="==",
            method="simulation",
            evaluate=_law,
            mutations=(Mutation("no error feedback: the first r modes only", {"error_feedback": False}),),
            expected="holds",
            attribution="ours",
            tolerance=0.003,
            tolerance_reason=f"{FINITE_RUN}, measured .0012",
            tier="medium",
        ),
        Claim(
            id="DN-10",
            statement="the error of the law vanishes as mu -> 1: at most .25 (1 - mu) over ten exponential spectra "
            "(8 modes, r = 3), mu = .99, .95, .9, .5",
            source=f"{HERE}: limit of small damping",
            relation="<=",
            method="simulation",
            evaluate=_error,
            mutations=(Mutation(".05 (1 - mu)", {"factor": 0.05}),),
            expected="holds",
            attribution="ours",
            tier="medium",
        ),
        Claim(
            id="DN-11",
            statement="the mean update U min(1, c sigma) V^T solves max <G, D> - fro(D)^2/(2c) over op(D) <= 1, and "
            "that c gives nuc(D) = r",
            source=f"{HERE}: projection of cG on the spectral ball; checked by the first-order condition",
            relation="==",
            method="float64 evaluation",
            evaluate=_smoothed,
            mutations=(Mutation("2c in place of c", {"scale": 2.0}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 singular values of a 6 x 5 matrix of norm 10",
        ),
        Claim(
            id="DN-12",
            statement="mechanism: error feedback levels the buffer: modes with f_i < 1 share b_i = 1/(c (1 - mu)), the "
            "clipped one has sigma_1/(1 - mu)",
            source=f"{HERE}: gain sigma_i a step equals loss f_i (1 - mu) b_i",
            relation="==",
            method="simulation",
            evaluate=_level,
            mutations=(Mutation("mu = .5, where damping is not small", {"momentum": 0.5}),),
            expected="holds",
            attribution="ours",
            tolerance=0.05,
            tolerance_reason=f"{FINITE_RUN}, measured .963 to .990",
            tier="medium",
        ),
    ]
