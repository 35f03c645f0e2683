"""Question: in which layer of a language model is the gradient of a batch noisiest, as training goes on?

Claim: the variance is largest in the output head, then in the embedding; so the head is where momentum is kept.

Source: Glentis et al. 2025, arXiv 2506.16659, on momentum (relayed: LLaMA, batch 512 taken as the true gradient).

Cost: quick 2 s, full 1 min on one core. Scale: bigram-Zipf corpora of 4096 contexts or 256 sequences of 32, whose whole
gradient is the true one; context model (V = 1000, d = 64, context 2; torch's initialisation, or He's with head .02) and
causal transformer (V = 256, d = 64, two blocks, all .02); 5 seeds of law, corpus, initialisation and batches; 100
batches of 64 contexts (16 sequences) at each time.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.problems import bigram_zipf, context_model, transformer
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print

LAYERS = {"head": "vermillion", "embedding": "orange", "hidden": "blue"}
MODELS = {"context": "context model", "small head": "context model, small head", "transformer": "transformer"}
MEASURES = {"variance": "variance of a gradient", "relative": "variance / true gradient²"}


def _layer(name: str, parameter: Tensor) -> str:
    first = name.partition(".")[0]
    return first if first in LAYERS or first == "positions" else "hidden" if parameter.ndim == 2 else "vectors"


def _problem(model: str, quick: bool, seed: int) -> tuple[nn.Module, Tensor, Tensor, int]:
    """Network, inputs, targets and the size of a batch."""
    if model != "transformer":
        vocabulary, count = (100, 512) if quick else (1000, 4096)
        tokens = bigram_zipf(vocabulary, seed=seed).sample(count, 3, seed=seed)
        network = context_model(vocabulary, 8 if quick else 64, seed=seed)
        if model == "small head":  # the hidden layer keeps the size of its input, the logits start near 0
            (_, hidden, head), generator = network.parameters(), torch.Generator().manual_seed(seed)
            nn.init.kaiming_normal_(hidden, nonlinearity="relu", generator=generator)
            nn.init.normal_(head, std=0.02, generator=generator)
        return network, tokens[:, :2], tokens[:, 2], 64
    vocabulary, count, width, length = (32, 64, 16, 8) if quick else (256, 256, 64, 32)
    tokens = bigram_zipf(vocabulary, seed=seed).sample(count, length + 1, seed=seed)
    return transformer(vocabulary, width, length=length, seed=seed), tokens[:, :-1], tokens[:, 1:], 16


def _gradient(network: nn.Module, inputs: Tensor, targets: Tensor) -> list[Tensor]:
    loss = nn.functional.cross_entropy(network(inputs).flatten(0, -2), targets.reshape(-1))
    return list(torch.autograd.grad(loss, list(network.parameters())))


def cell(model: str, quick: bool, seed: int) -> list[dict]:
    """Noise of every matrix of one model, before training and after some steps of Adam."""
    network, inputs, targets, batch = _problem(model, quick, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    times, batches = ((0, 10, 30), 20) if quick else ((0, 10, 30, 100, 300), 100)
    rows = []
    for step in range(times[-1] + 1):
        if step in times:
            true = _gradient(network, inputs, targets)
            squares = torch.zeros(len(true))
            for _ in range(batches):
                index = torch.randint(len(inputs), (batch,), generator=generator)
                noisy = _gradient(network, inputs[index], targets[index])
                squares += torch.stack([(a - b).square().sum() for a, b in zip(noisy, true, strict=True)])
            for (name, parameter), noise, exact in zip(network.named_parameters(), squares, true, strict=True):
                rows.append({"model": model, "seed": seed, "step": step, "parameter": name, "batches": batches,
                             "layer": _layer(name, parameter), "variance": noise.item() / batches,
                             "true_square": exact.square().sum().item()})  # fmt: skip
        index = torch.randint(len(inputs), (batch,), generator=generator)
        for parameter, gradient in zip(network.parameters(), _gradient(network, inputs[index], targets[index])):  # noqa: B905
            parameter.grad = gradient
        optimizer.step()
    return rows


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per model, seed, time and parameter."""
    seeds = range(seed, seed + (2 if quick else 5))
    return map_cells(cell, [{"model": model, "quick": quick, "seed": s} for model in MODELS for s in seeds])


def by_layer(table: Any, model: str) -> Any:
    """The largest variance of a matrix of each layer, and the largest relative one, by step, layer and seed."""
    part = table.assign(relative=table["variance"] / table["true_square"]).groupby("model").get_group(model)
    return part.groupby(["step", "layer", "seed"])[["variance", "relative"]].max().reset_index()


def figure(table: Any) -> Figure:
    """Variance and relative variance by layer against the step, a panel for each model and measure."""
    drawing, axes = plt.subplots(2, 3, figsize=(DOUBLE_COLUMN, 4.0), sharex=True)
    for axis, (measure, model) in zip(axes.flat, product(MEASURES, MODELS), strict=True):
        found = by_layer(table, model).groupby(["layer", "step"])[measure].agg(["median", "min", "max"])
        for layer, color in LAYERS.items():
            curve = found.loc[layer]
            axis.fill_between(curve.index, curve["min"], curve["max"], color=OKABE_ITO[color], alpha=0.2, linewidth=0)
            axis.plot(curve.index, curve["median"], "o-", color=OKABE_ITO[color], label=layer)
        axis.set(yscale="log", ylabel=MEASURES[measure] if model == "context" else None)
        axis.set_xscale("symlog", linthresh=10)
        axis.set_xticks(sorted(set(table["step"])), [str(step) for step in sorted(set(table["step"]))])
        axis.minorticks_off()
        axis.set_xlabel("step of Adam" if measure == "relative" else None)
        axis.set_title(MODELS[model] if measure == "variance" else None)
    axes[0, 0].legend()
    note = f"{table['seed'].nunique()} seeds: median and range; {table['batches'].iloc[0]} batches at each time; sums"
    small_print(drawing, f"{note} of squares, the largest hidden matrix; the whole corpus gives the true gradient.")
    return drawing


def claims(table: Any) -> list[Claim]:
    """SC-18 where the head starts small, and its second half: ratios to the largest other layer."""
    if table["step"].max() < 300:
        return []  # stated for the full profile

    def ratios(first: str, others: tuple[str, ...], models: tuple[str, ...], measure: str = "variance", at: int = 100):
        found = []
        for model in models:
            part = by_layer(table, model)
            wide = part[part["step"] == at].pivot_table(index="seed", columns="layer", values=measure)
            found += [float(row[first] / max(row[other] for other in others)) for row in wide.to_dict("records")]
        return found

    rest, small = ("embedding", "hidden"), ("small head", "transformer")
    rows = [
        ("SC-18", "where the head starts small (.02), a batch's gradient, summed over a matrix, varies most in "
         "the head (after 100 steps of Adam)", "holds", ratios("head", rest, small),
         {"torch's initialisation": ratios("head", rest, ("context",)),
          "relative to the squared true gradient": ratios("head", rest, small, "relative"),
          "after 300 steps": ratios("head", rest, small, at=300)}),
        ("SC-18-SECOND", "and second in the embedding: more than in every hidden matrix (after 100 steps of Adam)",
         "refuted", ratios("embedding", ("hidden",), tuple(MODELS)),
         {"the transformer alone": ratios("embedding", ("hidden",), ("transformer",))}),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source="Glentis et al. 2025, arXiv 2506.16659; small models here",
              relation=">=", method="simulation", evaluate=Finding, attribution="relayed", tier="run",
              parameters={"predicted": 1.0, "measured": found},
              mutations=tuple(Mutation(words, {"measured": changed}) for words, changed in mutations.items()),
              expected=expected)  # pyright: ignore[reportArgumentType]
        for name, statement, expected, found, mutations in rows
    ]  # fmt: skip
