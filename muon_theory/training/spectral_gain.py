"""When one step along the polar factor of a layer's gradient beats one along the gradient: prediction and measurement.

If the loss is L-smooth in the layer's outputs A W^T, A the N incoming activations as rows, then
<D, H D> <= (L/N) ||A D^T||_F^2, which is at most (L/N) ||A||_op^2 ||D||_F^2 and at most (L/N) ||A||_F^2 ||D||_op^2. The
best guaranteed decreases are fro(G)^2 N / (2 L ||A||_op^2) along the gradient and nuc(G)^2 N / (2 L ||A||_F^2) along
the polar factor; their quotient is nuclear rank of G over stable rank of A, and L has left it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from muon_theory.polar import polar_factor
from muon_theory.spectra import nuclear_rank, singular_values
from muon_theory.training.one_layer_steps import curvatures, decreases, incoming_activations, layer_gradient

FACTORS = tuple(float(factor) for factor in 2.0 ** np.arange(-3, 4.5, 0.5))


def spectral_gain(model: nn.Module, name: str, inputs: Tensor, labels: Tensor) -> dict[str, float]:
    """Predicted and measured decrease of one layer's step along polar(G) over that along G.

    Args:
        model: from (N, features) to (N, classes).
        name: of the weight of a linear layer or a convolution.
        inputs: (N, features), a fixed set of samples.
        labels: int64, (N,).

    Returns:
        nuclear_rank of G and stable_rank of the activations; predicted, their quotient. Then quotients of decreases,
        polar factor over gradient: quadratic, of the second-order models at their best lengths; line, of the loss at
        the best of 15 lengths from 1/8 to 16 of those; scaled, of the loss at the lengths fro(G) N / (L ||A||_op^2) and
        nuc(G) N / (L ||A||_F^2) of the guarantees, L the larger of the two directions' <D, H D> N / ||A D^T||_F^2.
        NaN where a decrease is not positive. And loosen, the quotient of the two bounds' slacks:
        predicted = quadratic * loosen.

    Source: the criterion is Davis and Drusvyatskiy's, arXiv 2512.04299 (relayed: its form was not read, it is derived
        here in the module's docstring).

    Cost: 34 forward and 2 backward passes, and the singular values of G and A.

    >>> from muon_theory.problems import load_images, mlp
    >>> images, model = load_images("digits"), mlp(64, (16, 16), seed=0)
    >>> gain = spectral_gain(model, "layer2.weight", images.test_images, images.test_labels)
    >>> round(gain["predicted"] / (gain["quadratic"] * gain["loosen"]), 6)
    1.0
    """
    G = layer_gradient(model, name, inputs, labels).double()
    A = incoming_activations(model, name, inputs).double()
    sigma, N = singular_values(G), len(inputs)
    largest, total = float(singular_values(A.T @ A)[0]), float(A.square().sum())
    directions = {"polar": polar_factor(G), "gradient": G / torch.linalg.matrix_norm(G)}
    slopes = {"polar": float(sigma.sum()), "gradient": float(sigma.norm())}
    sizes = {"polar": total / N, "gradient": largest / N}
    curved = curvatures(model, name, torch.stack([*directions.values()]), inputs, labels).tolist()
    bent = dict(zip(directions, curved, strict=True))
    L = max(bent[key] * N / float((A @ D.T).square().sum()) for key, D in directions.items())
    found: dict[str, dict[str, float]] = {"quadratic": {}, "line": {}, "scaled": {}}
    for key, D in directions.items():
        best = slopes[key] / bent[key] if bent[key] > 0 else np.nan
        lengths = [*(factor * best for factor in FACTORS), slopes[key] / (L * sizes[key])]
        fallen = decreases(model, name, D, lengths, inputs, labels)
        found["quadratic"][key] = slopes[key] * best / 2
        found["line"][key], found["scaled"][key] = float(fallen[:-1].max()), float(fallen[-1])
    rank, stable = float(nuclear_rank(sigma.numpy())), total / largest
    ratios = {name: _quotient(each["polar"], each["gradient"]) for name, each in found.items()}
    loosen = _quotient(bent["polar"] / sizes["polar"], bent["gradient"] / sizes["gradient"])
    return {"nuclear_rank": rank, "stable_rank": stable, "predicted": rank / stable, **ratios, "loosen": loosen}


def _quotient(first: float, second: float) -> float:
    """First over second; NaN unless both are positive."""
    return first / second if first > 0 and second > 0 else float("nan")
