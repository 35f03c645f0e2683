"""Training a whole network by Muon while every constant of Theorem A is measured along the run itself.

The norm of the theorem is the largest operator norm of the layers' steps, its dual the sum of the nuclear norms, so the
whole network is one point. All parameters are matrices, all are Muon's, and f is the mean loss of a fixed set of
images from which the batches are drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from muon_theory.optimizers import Muon
from muon_theory.problems import Images, mlp
from muon_theory.spectra import singular_values


def smooth_network(features: int, hidden: Sequence[int], classes: int, *, seed: int) -> nn.Sequential:
    """Perceptron of matrices alone: GELU between linear layers without biases, initialised as `mlp`.

    Args:
        features: number of inputs.
        hidden: widths of the hidden layers.
        classes: number of outputs.
        seed: of the initialisation.

    Returns:
        The network; GELU, because with ReLU no smoothness constant is finite.

    Source: elementary.

    >>> [tuple(weight.shape) for weight in smooth_network(64, (16,), 10, seed=0).parameters()]
    [(16, 64), (10, 16)]
    """
    model = mlp(features, hidden, classes, seed=seed)
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Linear):
            layer.register_parameter("bias", None)
        else:
            setattr(model, name, nn.GELU())
    return model


def measured_network_run(
    images: Images, *, hidden: Sequence[int] = (32, 32), count: int, steps: int, lr: float, momentum: float,
    nesterov: bool = True, batch: int = 64, exact: bool = False, method: str = "jordan_2024", ns_steps: int = 5,
    probes: int = 5, lag: int = 10, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Table of a run of Muon on all matrices of a network, W_l <- W_l - lr O_l, one row a step, with what it measured.

    Args:
        images: the data.
        hidden: widths of the hidden layers of `smooth_network`.
        count: number of images f is the mean over, the first ones in an order drawn from the seed.
        steps: T >= 1.
        lr: the step size eta of every layer, no shape factor, constant.
        momentum: b in [0, 1).
        nesterov: whether C looks ahead.
        batch: images a step, drawn with replacement.
        exact: whether O is the polar factor; then method and ns_steps are idle.
        method: Muon's orthogonalizer.
        ns_steps: its number of steps.
        probes: at how many steps, evenly spread, the noise is measured, from 16 batches each.
        lag: secants are taken between neighbours and between points this many steps apart.
        seed: of initialisation, images and batches.

    Returns:
        DataFrame with columns step (from 0); loss, f before the step; nuclear, the sum of the nuclear norms of its
        gradient; deficit, the largest 1 - <C, O>/nuc(C) of all layers, and overshoot, the largest max(0, op(O) - 1);
        secant, the larger sum of nuc(change of g_l) over the largest op(change of W_l) of the two pairs that end here
        (NaN at step 0); noise, sum_l sqrt(r_l) sigma_l of one image, and noise_nuclear, sqrt(batch) times the mean sum
        of nuclear norms of a batch's noise, NaN where not probed.

    Raises:
        ValueError: a count that is not from 1 to the number of training images.

    Source: the norm and the noise are `layer_noise`'s of the room newton_schulz_convergence; elementary.

    Cost: a gradient of all images and ten spectra of each layer a step.

    >>> from muon_theory.problems import load_images
    >>> settings = {"hidden": (8,), "count": 128, "steps": 12, "lr": 0.02, "momentum": 0.9}
    >>> run = measured_network_run(load_images("digits"), **settings)
    >>> bool(run.loss.iloc[-1] < run.loss.iloc[0]), bool(run.deficit.max() < 0.3), run.noise.notna().sum()
    (True, True, np.int64(5))
    """
    if not 1 <= count <= len(images.train_labels):
        raise ValueError(f"count is {count!r}; it must be from 1 to the {len(images.train_labels)} training images")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(images.train_labels), generator=generator)[:count]
    inputs, labels = images.train_images[chosen], images.train_labels[chosen]
    model = smooth_network(images.features, hidden, images.classes, seed=seed)
    weights = list(model.parameters())
    options: dict[str, Any] = {"exact": True} if exact else {"method": method, "ns_steps": ns_steps}
    optimizer = Muon(weights, lr, 0.0, momentum, nesterov, adjust_lr_fn="none", check_finite=False, **options)
    probed = {round(i * (steps - 1) / max(probes - 1, 1)) for i in range(probes)}
    visited: deque[tuple[list[Tensor], list[Tensor]]] = deque(maxlen=lag)
    rows: list[dict[str, float]] = []
    for step in range(steps):
        f, g = _gradients(model, weights, inputs, labels)
        points = [W.detach().clone() for W in weights]
        row = {"step": step, "loss": f, "nuclear": _nuclear(g)}
        secants = [_secant(points, g, *visited[i]) for i in {0, len(visited) - 1} if visited]
        row["secant"] = max(secants, default=float("nan"))
        visited.append((points, g))
        if step in probed:
            row |= _noise(model, weights, inputs, labels, g, batch, generator)
        index = torch.randint(count, (batch,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(model(inputs[index]), labels[index]).backward()
        optimizer.step()
        rows.append(row | _inexactness(optimizer, weights, points, lr))
    found = pd.DataFrame(rows)
    return found.reindex(
        columns=["step", "loss", "nuclear", "deficit", "overshoot", "secant", "noise", "noise_nuclear"]
    )


def _gradients(
    model: nn.Module, weights: list[nn.Parameter], inputs: Tensor, labels: Tensor
) -> tuple[float, list[Tensor]]:
    """Mean loss and its gradients."""
    loss = cross_entropy(model(inputs), labels)
    return loss.item(), list(torch.autograd.grad(loss, weights))


def _nuclear(matrices: list[Tensor]) -> float:
    """Sum of the nuclear norms."""
    return sum(float(singular_values(X).sum()) for X in matrices)


def _secant(points: list[Tensor], g: list[Tensor], before: list[Tensor], gradients: list[Tensor]) -> float:
    """The ratio of the change of the gradient in the dual norm to the change of the point."""
    moved = max(float(singular_values(new - old)[0]) for new, old in zip(points, before, strict=True))
    return _nuclear([new - old for new, old in zip(g, gradients, strict=True)]) / moved


def _noise(
    model: nn.Module, weights: list[nn.Parameter], inputs: Tensor, labels: Tensor, g: list[Tensor], batch: int,
    generator: torch.Generator, draws: int = 16,
) -> dict[str, float]:  # fmt: skip
    """The noise of one image, from the spread of batches."""
    squares, nuclear = torch.zeros(len(g)), 0.0
    for _ in range(draws):
        index = torch.randint(len(labels), (batch,), generator=generator)
        apart = [
            G - mean for G, mean in zip(_gradients(model, weights, inputs[index], labels[index])[1], g, strict=True)
        ]
        squares += torch.stack([each.square().sum() for each in apart]) * batch / draws
        nuclear += _nuclear(apart) * batch**0.5 / draws
    level = sum(min(W.shape) ** 0.5 * float(square) ** 0.5 for W, square in zip(weights, squares, strict=True))
    return {"noise": level, "noise_nuclear": nuclear}


def _inexactness(optimizer: Muon, weights: list[nn.Parameter], points: list[Tensor], lr: float) -> dict[str, float]:
    """The largest alignment deficit and overshoot of the step just taken."""
    deficit = overshoot = 0.0
    for W, before in zip(weights, points, strict=True):
        C = optimizer.lmo_input(W)
        assert C is not None, "a step was taken, so Muon has its input"
        O, C = (before - W.detach()).double() / lr, C.double()
        deficit = max(deficit, 1 - float((C * O).sum() / singular_values(C).sum()))
        overshoot = max(overshoot, float(singular_values(O)[0]) - 1)
    return {"deficit": deficit, "overshoot": overshoot}
