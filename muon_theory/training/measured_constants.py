"""Training one matrix of a network, the rest frozen, while every constant of a convergence theorem is measured.

The loss is then a function of one matrix, as in the theorems. What is measured along a run is what its own steps need:
the smoothness constants are the largest secants between visited points, hence at most those of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, gelu

from muon_theory.polar import spectral_inexactness
from muon_theory.problems import Images, mlp
from muon_theory.rates.momentum_run import spectral_oracle

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixLoss:
    """The loss of a classifier as a function of one matrix: f(W) = mean cross-entropy of head gelu(W x) + bias.

    Args:
        inputs: x of every image, (N, n) float64.
        labels: (N,) int64.
        head: (classes, m) float64.
        bias: (classes,) float64.
        start: W_0, (m, n) float64.

    Source: elementary; GELU, because with ReLU no smoothness constant is finite.
    """

    inputs: Tensor
    labels: Tensor
    head: Tensor
    bias: Tensor
    start: Array

    def value_and_gradient(self, W: Array, index: Tensor | None = None) -> tuple[float, Array]:
        """Mean loss and gradient over the images of `index`, or over all. Source: elementary (chain rule)."""
        loss, errors, inputs = self._backward(W, index)
        return loss, (errors.T @ inputs).numpy()

    def noise(self, W: Array) -> tuple[float, float]:
        """The numbers sigma and tr Sigma at W of a gradient of one image drawn uniformly, exactly, over all images.

        Args:
            W: the point, (m, n).

        Returns:
            sigma = sqrt(E fro(noise)^2), and the trace of the root of the smaller covariance, E[noise noise^T] if
            m <= n, else E[noise^T noise]; unit loss / weight.

        Source: elementary; the gradient of one image is an outer product, error times input.
        """
        _, errors, inputs = self._backward(W, None)
        g, errors = errors.T @ inputs, errors * len(inputs)
        left, right = (errors, inputs) if g.shape[0] <= g.shape[1] else (inputs, errors)
        G = g if g.shape[0] <= g.shape[1] else g.T
        covariance = (left.T * right.square().sum(1)) @ left / len(inputs) - G @ G.T
        eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0)
        return math.sqrt(float(eigenvalues.sum())), float(eigenvalues.sqrt().sum())

    def _backward(self, W: Array, index: Tensor | None) -> tuple[float, Tensor, Tensor]:
        """The mean loss, its derivative in every image's preactivation, (B, m), and the inputs."""
        inputs, labels = (self.inputs, self.labels) if index is None else (self.inputs[index], self.labels[index])
        Z = (inputs @ torch.tensor(W).T).requires_grad_()
        loss = cross_entropy(gelu(Z) @ self.head.T + self.bias, labels)
        return loss.item(), torch.autograd.grad(loss, Z)[0], inputs


def hidden_matrix_loss(images: Images, *, hidden: tuple[int, int] = (64, 32), count: int, seed: int) -> MatrixLoss:
    """The second matrix of a perceptron features-n-m-classes at its initialisation; the first and the head stay.

    Args:
        images: the data.
        hidden: (n, m), the matrix is m x n.
        count: how many training images are kept, the first ones in an order drawn from the seed.
        seed: of the initialisation and of the choice of images.

    Returns:
        The loss.

    Raises:
        ValueError: a count that is not from 1 to the number of training images.

    Source: elementary; initialisation of `mlp`.

    >>> from muon_theory.problems import load_images
    >>> loss = hidden_matrix_loss(load_images("digits"), hidden=(16, 8), count=100, seed=0)
    >>> loss.start.shape, round(loss.value_and_gradient(loss.start)[0], 1)
    ((8, 16), 2.3)
    """
    if not 1 <= count <= len(images.train_labels):
        raise ValueError(f"count is {count!r}; it must be from 1 to the {len(images.train_labels)} training images")
    model = mlp(images.features, hidden, images.classes, seed=seed)
    index = torch.randperm(len(images.train_labels), generator=torch.Generator().manual_seed(seed))[:count]
    layers = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    pixels = images.train_images[index].double()
    inputs = gelu(pixels @ layers["layer1.weight"].T + layers["layer1.bias"])
    start = layers["layer2.weight"].numpy()
    return MatrixLoss(inputs, images.train_labels[index], layers["head.weight"], layers["head.bias"], start)


@dataclass(frozen=True)
class MeasuredRun:
    """What a run of T steps did, and what the theorems ask about it.

    Args:
        values: f(W_0), ..., f(W_T).
        nuclear: nuc of the full gradient at W_0, ..., W_{T-1}.
        frobenius: its Frobenius norm.
        stationarity: Phi = nuc(g) + lambda <W, g> there.
        spectra: singular values of C_t / fro(C_t), (T, r), C_t the oracle's input.
        operator_error: the largest op(O - P(C)) of the run; 0 for plain descent, which has no oracle.
        deficit: the largest alignment deficit 1 - <C, O>/nuc(C), at least 0.
        overshoot: the largest max(0, op(O) - 1).
        smoothness: the largest secant nuc(g - g')/op(W - W') of neighbours and of random pairs of visited points.
        frobenius_smoothness: the largest fro(g - g')/fro(W - W') of the same pairs.
        noise: the largest sigma at five visited points, one image a batch; 0 if the batch is all images.
        noise_trace: the largest tr Sigma there.
        start_norm: op(W_0).
        last: W_T, (m, n).

    Source: elementary (a record).
    """

    values: Array
    nuclear: Array
    frobenius: Array
    stationarity: Array
    spectra: Array
    operator_error: float
    deficit: float
    overshoot: float
    smoothness: float
    frobenius_smoothness: float
    noise: float
    noise_trace: float
    start_norm: float
    last: Array


def measured_run(
    loss: MatrixLoss, *, steps: int, step_size: float, oracle: str = "exact", oracle_steps: int = 0,
    momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0, batch: int | None = None,
    additive_error: float = 0.0, seed: int = 0,
) -> MeasuredRun:  # fmt: skip
    """Run N <- b N + (1-b) G, W <- (1 - eta lambda) W - eta O and measure; O is the oracle's answer to C.

    C = N, or b N + (1-b) G with Nesterov momentum. The oracle acts on the singular values of C / fro(C) exactly, so
    what is measured is its own inexactness and not that of an arithmetic.

    Args:
        loss: the loss.
        steps: T >= 1.
        step_size: eta > 0.
        oracle: "none" for gradient descent, O = C; "exact" for the polar factor; else a method of
            `muon_theory.polar`, e.g. "taylor_5".
        oracle_steps: q >= 0.
        momentum: b in [0, 1).
        nesterov: whether C looks ahead.
        weight_decay: lambda >= 0.
        batch: images a step, drawn with replacement; None: all images, no noise.
        additive_error: op of a random partial isometry times a number that is added to O.
        seed: of the batches and of the random pairs.

    Returns:
        The run.

    Raises:
        ValueError: a number of steps below 1, a step size that is not positive, or a momentum outside [0, 1).

    Source: Kim and Oh 2026, arXiv 2601.19156, Algorithm 1, with the normalisation of its experiments.
    Cost: one full gradient and two singular value decompositions a step, four for every pair.

    >>> from muon_theory.problems import load_images
    >>> loss = hidden_matrix_loss(load_images("digits"), hidden=(16, 8), count=100, seed=0)
    >>> run = measured_run(loss, steps=10, step_size=0.05)
    >>> bool(run.values[-1] < run.values[0]), run.deficit, run.overshoot
    (True, 0.0, 0.0)
    """
    if steps < 1 or not (step_size > 0 and math.isfinite(step_size)) or not 0 <= momentum < 1:
        raise ValueError(f"steps, step_size, momentum = {steps}, {step_size}, {momentum}: need >= 1, > 0, in [0, 1)")
    spectral_map = spectral_oracle("exact" if oracle in ("none", "exact") else oracle, oracle_steps)
    generator = np.random.default_rng([seed, 1])
    W, N = loss.start, np.zeros_like(loss.start)
    points, gradients, values, spectra = [W], [], [], []
    worst = np.zeros(3)
    for _ in range(steps):
        value, g = loss.value_and_gradient(W)
        gradients.append(g)
        values.append(value)
        G = g
        if batch is not None:
            G = loss.value_and_gradient(W, torch.from_numpy(generator.integers(len(loss.labels), size=batch)))[1]
        N = momentum * N + (1 - momentum) * G
        C = momentum * N + (1 - momentum) * G if nesterov else N
        U, sigma, Vt = np.linalg.svd(C, full_matrices=False)
        sigma = np.where(sigma > max(W.shape) * np.finfo(float).eps * sigma[0], sigma, 0.0)
        x = sigma / max(float(np.linalg.norm(sigma)), np.finfo(float).tiny)
        spectra.append(x)
        if oracle == "none":
            O = C
        else:
            O = (U * spectral_map(x)) @ Vt
            if additive_error:
                O = O + additive_error * _random_isometry(generator, W.shape)
                deficit = 1 - float(np.sum(C * O)) / max(float(sigma.sum()), np.finfo(float).tiny)
                now = (additive_error, deficit, np.linalg.norm(O, 2) - 1)
            elif oracle == "exact":
                now = (0.0, 0.0, 0.0)
            else:
                error = spectral_inexactness(x, spectral_map(x))
                now = (error.operator_error, error.alignment_deficit, error.overshoot)
            worst = np.maximum(worst, np.asarray(now, dtype=float))
        W = (1 - step_size * weight_decay) * W - step_size * O
        points.append(W)
    value, g = loss.value_and_gradient(W)
    every, weights = np.stack([*gradients, g]), np.stack(points)
    pairs = _pairs(generator, len(weights))
    changes, moves = every[pairs[0]] - every[pairs[1]], weights[pairs[0]] - weights[pairs[1]]
    nuclear = _singular(every[:-1]).sum(-1)
    probed = np.unique(np.linspace(0, steps, 5).round().astype(int)) if batch is not None else []
    noise = np.array([loss.noise(weights[i]) for i in probed] or [(0.0, 0.0)]).max(0)
    sigma, trace = noise.tolist()
    return MeasuredRun(
        values=np.array([*values, value]), nuclear=nuclear, frobenius=np.linalg.norm(every[:-1], axis=(-2, -1)),
        stationarity=nuclear + weight_decay * np.sum(weights[:-1] * every[:-1], axis=(-2, -1)),
        spectra=np.stack(spectra), operator_error=float(worst[0]), deficit=float(worst[1]), overshoot=float(worst[2]),
        smoothness=_largest(_singular(changes).sum(-1), _singular(moves)[:, 0]),
        frobenius_smoothness=_largest(
            np.linalg.norm(changes, axis=(-2, -1)), np.linalg.norm(moves, axis=(-2, -1))
        ),
        noise=sigma, noise_trace=trace, start_norm=float(np.linalg.norm(loss.start, 2)), last=W,
    )  # fmt: skip


def newest_noise_price(loss: MatrixLoss, W: Array, *, batch: int, draws: int = 64, seed: int = 0) -> float:
    """What a batch's noise costs a polar step without momentum: (nuc(g) - mean <g, P(G)>) / mean nuc(G - g).

    Args:
        loss: the loss.
        W: the point, (m, n).
        batch: images a batch, drawn with replacement.
        draws: number of batches, >= 1.
        seed: of the batches.

    Returns:
        The price, at most 1 in expectation; 2 is what the triangle inequality gives.

    Source: derived here (claim THA-JENSEN).

    >>> from muon_theory.problems import load_images
    >>> loss = hidden_matrix_loss(load_images("digits"), hidden=(16, 8), count=100, seed=0)
    >>> 0 < newest_noise_price(loss, loss.start, batch=8) < 1
    True
    """
    g = loss.value_and_gradient(W)[1]
    index = np.random.default_rng([seed, 2]).integers(len(loss.labels), size=(draws, batch))
    G = np.stack([loss.value_and_gradient(W, torch.from_numpy(row))[1] for row in index])
    U, _, Vt = np.linalg.svd(G, full_matrices=False)
    inner = float(np.mean(np.sum(g * (U @ Vt), axis=(-2, -1))))
    return float((_singular(g).sum() - inner) / _singular(G - g).sum(-1).mean())


def local_smoothness(loss: MatrixLoss, W: Array, *, radius: float, rounds: int = 20, seed: int = 0) -> float:
    """A secant nuc(g - g')/op(W - W') at W made large: the step of length `radius` follows P(g' - g) of the last one.

    Args:
        loss: the loss.
        W: the point, (m, n).
        radius: op(W - W') > 0.
        rounds: number of steps tried, >= 1.
        seed: of the first step.

    Returns:
        The largest secant, at most the smoothness constant L of the function; unit loss / weight^2.

    Source: derived here; for a quadratic it is the power method for the spectral-to-nuclear norm of the Hessian.

    >>> from muon_theory.problems import load_images
    >>> loss = hidden_matrix_loss(load_images("digits"), hidden=(16, 8), count=100, seed=0)
    >>> local_smoothness(loss, loss.start, radius=0.1) > local_smoothness(loss, loss.start, radius=0.1, rounds=1)
    True
    """
    g, largest = loss.value_and_gradient(W)[1], 0.0
    O = _random_isometry(np.random.default_rng([seed, 3]), W.shape)
    for _ in range(rounds):
        U, sigma, Vt = np.linalg.svd(loss.value_and_gradient(W + radius * O)[1] - g, full_matrices=False)
        largest, O = max(largest, float(sigma.sum()) / radius), U @ Vt
    return largest


def settled_run(
    loss: MatrixLoss, step_size: Callable[[float, float], float], weight_decay: Callable[[float], float], *,
    guess: tuple[float, float], rounds: int = 3, **settings: Any,
) -> tuple[MeasuredRun, float, float]:  # fmt: skip
    """A run whose step size is a theorem's, made from the smoothness constants measured on the run before it.

    Args:
        loss: the loss.
        step_size: eta from (L, L_F).
        weight_decay: lambda from L.
        guess: (L, L_F) for the first round.
        rounds: number of runs, >= 1; the last is returned.
        **settings: of `measured_run`.

    Returns:
        The last run, its step size and its weight decay.

    Raises:
        ValueError: a number of rounds below 1.

    Source: elementary.

    >>> from muon_theory.problems import load_images
    >>> loss = hidden_matrix_loss(load_images("digits"), hidden=(16, 8), count=100, seed=0)
    >>> run, eta, _ = settled_run(loss, lambda L, L_F: 0.2 / L**0.5, lambda L: 0.0, guess=(1.0, 1.0), steps=10)
    >>> round(eta * run.smoothness**0.5, 1)
    0.2
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds!r}; it must be an integer >= 1")
    L, L_F = guess
    for _ in range(rounds - 1):
        run = measured_run(loss, step_size=step_size(L, L_F), weight_decay=weight_decay(L), **settings)
        L, L_F = run.smoothness, run.frobenius_smoothness
    eta, decay = step_size(L, L_F), weight_decay(L)
    return measured_run(loss, step_size=eta, weight_decay=decay, **settings), eta, decay


def _pairs(generator: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours, and as many random pairs of different points."""
    neighbours = np.arange(count - 1)
    first = generator.integers(count, size=count)
    second = (first + generator.integers(1, count, size=count)) % count
    return np.append(neighbours, first), np.append(neighbours + 1, second)


def _singular(X: Array) -> Array:
    return np.asarray(np.linalg.svd(X, compute_uv=False), dtype=float)


def _largest(changes: Array, moves: Array) -> float:
    """The largest ratio of pairs that differ by more than rounding."""
    apart = moves > 1e-9 * max(float(moves.max(initial=0.0)), np.finfo(float).tiny)
    return float(np.max(changes[apart] / moves[apart], initial=0.0))


def _random_isometry(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    U, _, Vt = np.linalg.svd(generator.standard_normal(shape), full_matrices=False)
    return U @ Vt
