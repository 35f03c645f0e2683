"""The normalisation of output units: an oracle, its two measures, its momentum, its largest entries."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation

CODE = "released code of arXiv 2506.16659"
ROUNDING = "float64 sums of at most 256 terms"
Array = NDArray[np.float64]


def _units(G: Array, outputs: str = "columns", measure: str = "l2") -> Array:
    """`normalized_outputs` on numpy arrays."""
    import torch

    from muon_theory.optimizers.scale import normalized_outputs

    return normalized_outputs(torch.from_numpy(G), outputs=outputs, measure=measure).numpy()  # pyright: ignore


def _oracle(other_axis: bool = False) -> Finding:
    """Largest |<G, C(G)> / sum_j norm(g_j) - 1|, and largest excess of 2000 random ball points, over six shapes."""
    generator = np.random.default_rng(0)
    gaps, excesses = [], []
    for rows, columns in ((3, 4), (8, 8), (12, 5), (5, 12), (1, 6), (6, 1)):
        G = generator.standard_normal((rows, columns)) * np.exp(generator.standard_normal(columns))
        C = _units(G, "rows" if other_axis else "columns")
        C = C / np.sqrt((C**2).sum(0).max()) if other_axis else C
        dual = np.sqrt((G**2).sum(0)).sum()
        points = generator.standard_normal((2000, rows, columns))
        points /= np.sqrt((points**2).sum(1, keepdims=True))
        points *= generator.random((2000, 1, columns)) ** (1 / rows)
        gaps.append(abs(float((G * C).sum() / dual) - 1))
        excesses.append(max(0.0, float((points * G).sum((1, 2)).max() / (G * C).sum()) - 1))
    return Finding([0.0, 0.0], [max(gaps), max(excesses)])


def _measures(fan_out: bool = False) -> Finding:
    """Smallest and largest entrywise ratio of RMS to l2 normalisation: a (64, 256) layer, a (500, 32) embedding."""
    generator = np.random.default_rng(0)
    measured = []
    for shape, outputs in (((64, 256), "rows"), ((500, 32), "columns")):
        G = generator.standard_normal(shape)
        ratio = _units(G, outputs, "rms") / _units(G, outputs, "l2")
        measured += [float(ratio.min()), float(ratio.max())]
    layer, embedding = (8.0, 32**0.5) if fan_out else (16.0, 500**0.5)
    return Finding([layer, layer, embedding, embedding], measured)


def _rms(guard: float = 0.0) -> Finding:
    """Smallest and largest RMS of an output unit of the update, gradients of RMS 1e-2; `guard` is added to the RMS."""
    G = 1e-2 * np.random.default_rng(0).standard_normal((40, 60))
    update = _units(G, "rows", "rms") if guard == 0 else G / (np.sqrt((G**2).mean(1, keepdims=True)) + guard)
    rms = np.sqrt((update**2).mean(1))
    return Finding([1.0, 1.0], [float(rms.min()), float(rms.max())])


def _bias_correction(floor: float = 0.0) -> Finding:
    """Largest entry of the difference of five optimizer steps and of steps with bias correction (norm >= floor)."""
    import torch

    from muon_theory.optimizers.scale import Scale

    gradients = 0.1 * np.random.default_rng(0).standard_normal((5, 6, 4))
    weight = torch.nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))
    optimizer = Scale([weight], 1.0, 0.9, measure="l2")
    corrected, average = np.zeros((6, 4)), np.zeros((6, 4))
    for t, gradient in enumerate(gradients, 1):
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        unbiased = average / (1 - 0.9**t)
        corrected -= unbiased / np.maximum(np.sqrt((unbiased**2).sum(1, keepdims=True)), floor)
    return Finding(0.0, float(np.abs(weight.detach().numpy() - corrected).max()))


@lru_cache(maxsize=1)
def _head_gradient() -> Array:
    """Gradient (32000, 64) of a softmax head with zero weights: 4096 Gaussian inputs, Zipf labels."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((4096, 64))
    weights = 1 / np.arange(1, 32_001)
    labels = generator.choice(32_000, size=4096, p=weights / weights.sum())
    gradient = np.tile(inputs.sum(0) / 32_000, (32_000, 1))
    np.subtract.at(gradient, labels, inputs)
    return gradient / 4096


def _largest_entries(per_input: float = 32_000**0.5) -> Finding:
    """Largest entries: one-hot input unit, head gradient by input unit and by output unit."""
    one_hot = np.zeros((32_000, 1))
    one_hot[7] = -3.0
    G = _head_gradient()
    entries = [
        float(np.abs(_units(matrix, outputs, "rms")).max())
        for matrix, outputs in ((one_hot, "columns"), (G, "columns"), (G, "rows"))
    ]
    return Finding([per_input, per_input, 8.0], entries, attained=entries[0])


def _averaged_noise(power: int = 1) -> Finding:
    """Variance of the moving average of 2e5 white draws, beta = .9."""
    from scipy.signal import lfilter

    average = np.asarray(lfilter([0.1], [1.0, -0.9], np.random.default_rng(0).standard_normal(200_500)))[500:]
    return Finding(1 / 19 if power == 1 else 0.1**power, float((average**2).mean()))


def claims() -> list[Claim]:
    """The claims SC-01 to SC-06.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [*_geometry(), *_head()]


def _geometry() -> list[Claim]:
    return [
        Claim(
            id="SC-01",
            statement="column normalisation is the oracle of the 1->2 norm (largest column length, d_in x d_out): "
            "<G, C(G)> = sum_j norm(g_j), the maximum over the unit ball",
            source="arXiv 2506.16659, steepest descent view, read second hand; random shapes, 2000 ball points each",
            relation="==",
            method="property test",
            evaluate=_oracle,
            mutations=(Mutation("normalise the other axis and rescale to the ball", {"other_axis": True}),),
            expected="holds",
            attribution="relayed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="SC-02",
            statement="the code's RMS normalisation is sqrt(fan_in) times the paper's l2 one: 16 for a (64, 256) "
            "layer, sqrt(vocabulary) for the embedding",
            source=f"derived here from the {CODE}",
            relation="==",
            method="float64 evaluation",
            evaluate=_measures,
            mutations=(Mutation("sqrt(fan_out)", {"fan_out": True}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="SC-03",
            statement="the RMS of the code's update is 1 for every output unit, whatever the gradient's size",
            source=f"derived here from the {CODE}",
            relation="==",
            method="property test",
            evaluate=_rms,
            mutations=(Mutation("the RMS plus 1e-2 in place of the RMS, at gradients of RMS 1e-2", {"guard": 1e-2}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
    ]


def _head() -> list[Claim]:
    return [
        Claim(
            id="SC-04",
            statement="the head's momentum needs no bias correction: after normalisation the steps are the same "
            "(5 steps, beta = .9)",
            source="derived here: the correction is a positive number",
            relation="==",
            method="float64 evaluation",
            evaluate=_bias_correction,
            mutations=(Mutation("norms bounded from below by 1", {"floor": 1.0}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="SC-05",
            statement="entries of an RMS-normalised group of length p are at most sqrt(p), attained by one-hot: 178.9 "
            "for an input unit of a head with 32,000 outputs, 8 for an output unit of 64 inputs",
            source="derived here; explains the entries of about 150 reported for arXiv 2506.16659",
            relation="<=",
            method="float64 evaluation",
            evaluate=_largest_entries,
            mutations=(Mutation("sqrt(d) for input units too", {"per_input": 8.0}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-9,
            tolerance_reason="float64 square roots near 179",
        ),
        Claim(
            id="SC-06",
            statement="the moving average of white noise has variance (1 - beta)/(1 + beta) sigma^2: 1/19 at .9",
            source="elementary; leading factor of Theorem 2.1 of arXiv 2506.16659",
            relation="==",
            method="simulation",
            evaluate=_averaged_noise,
            mutations=(Mutation("(1 - beta)^2", {"power": 2}),),
            expected="holds",
            attribution="folklore",
            relative_tolerance=0.03,
            tolerance_reason="three standard errors of a variance from 2e5 draws correlated over 1/(1 - beta) of them",
        ),
    ]
