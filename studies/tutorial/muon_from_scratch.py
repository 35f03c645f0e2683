"""Question: is a Muon of thirty lines, written from the tutorial's formulas, the library's Muon?

Claim: on the same gradients the two updates agree to rounding; two trainings that differ by rounding alone drift apart,
but end at the same loss within the spread over seeds.

Source: Wei 2025, "Understanding the Muon Optimizer" (formulas): one rate for all, vectors by Nesterov heavy ball.

Cost: quick 3 s (digits), full 20 s on one core. Scale: MNIST, perceptron 784-64-32-10, batch 64, 60 steps, rate
.01, 5 seeds, float64, float32, and the iteration in bfloat16, on a CPU.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers import Hybrid, Muon
from muon_theory.problems import load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.run import evaluate, minibatches

PRECISIONS = {"float64": "blue", "float32": "orange", "bfloat16": "vermillion"}
RATE, MOMENTUM = 0.01, 0.95


def orthogonalized(X: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """X <- a X + (b A + c A A) X with A = X X^T, from X / ||X||_F; a tall X is transposed for the cost's sake."""
    Y = (X.mT if X.shape[0] > X.shape[1] else X).to(dtype)
    Y = Y / Y.norm()
    for _ in range(steps):
        A = Y @ Y.mT
        Y = 3.4445 * Y + (-4.7750 * A + 2.0315 * A @ A) @ Y
    return (Y.mT if X.shape[0] > X.shape[1] else Y).to(X.dtype)


class TutorialMuon(torch.optim.Optimizer):
    """The tutorial's Muon: matrices by the iteration, vectors by heavy ball, both Nesterov, both at one rate."""

    def __init__(self, parameters: Any, lr: float = RATE, momentum: float = MOMENTUM, dtype: Any = torch.bfloat16):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "dtype": dtype})

    @torch.no_grad()
    def step(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """W <- W - lr sqrt(max(1, rows/columns)) O(b B + (1 - b) G); a vector w <- w - lr (g + b B), B <- b B + g."""
        for group in self.param_groups:
            b = group["momentum"]
            for W in (p for p in group["params"] if p.grad is not None):
                B = self.state[W].setdefault("momentum_buffer", torch.zeros_like(W))
                if W.ndim < 2:
                    update = W.grad + b * B.mul_(b).add_(W.grad)
                else:
                    X = W.grad.lerp(B.lerp_(W.grad, 1 - b), b)
                    update = orthogonalized(X.flatten(1), group["dtype"]).reshape(W.shape)
                    update *= max(1.0, W.shape[-2] / W.shape[-1]) ** 0.5
                W.sub_(group["lr"] * update)


def cell(precision: str, dataset: str, steps: int, seed: int) -> pd.DataFrame:
    """Both trainings at once; every so many steps also both updates on the library's gradients."""
    images, compute_dtype, rows = load_images(dataset), getattr(torch, precision), []
    dtype = torch.float64 if precision == "float64" else torch.float32
    ours, theirs, twin = (mlp(images.features, (64, 32), seed=seed).to(dtype) for _ in range(3))
    scratch, copied = (TutorialMuon(m.parameters(), dtype=compute_dtype) for m in (ours, twin))
    matrices, vectors = ([p for p in theirs.parameters() if (p.ndim > 1) == kind] for kind in (True, False))
    heavy_ball = torch.optim.SGD(vectors, lr=RATE, momentum=MOMENTUM, nesterov=True)
    library = Hybrid([Muon(matrices, RATE, 0.0, MOMENTUM, compute_dtype=compute_dtype), heavy_ball])
    start = [p.detach().clone() for p in ours.parameters()]
    for step, index in zip(range(steps), minibatches(len(images.train_labels), 64, seed=seed), strict=False):
        inputs, labels = images.train_images[index].to(dtype), images.train_labels[index]
        for model in (ours, theirs):
            model.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
        seen = (step + 1) % max(1, steps // 20) == 0
        before = [p.detach().clone() for p in theirs.parameters()]
        for copy, p in zip(twin.parameters(), theirs.parameters(), strict=True):  # the same place, gradient, momentum
            copy.data.copy_(p.data)
            copy.grad = p.grad if seen else None
            copied.state[copy] = {key: value.clone() for key, value in library.state[p].items()}
        for optimizer in (scratch, copied, library):
            optimizer.step()
        if seen:
            update = _relative(twin.parameters(), theirs.parameters(), before)
            drift = _relative(ours.parameters(), theirs.parameters(), start)
            rows.append({"step": step + 1, "update_difference": update, "drift": drift})
    first, second = (evaluate(m, images.test_images.to(dtype), images.test_labels)[0] for m in (ours, theirs))
    fixed = {"precision": precision, "dataset": dataset, "steps": steps, "seed": seed}
    return pd.DataFrame(rows).assign(**fixed, scratch_loss=first, library_loss=second)


def _relative(first: Any, second: Any, origin: list[Tensor]) -> float:
    """||W_1 - W_2||_F / ||W_2 - W_0||_F over all parameters."""
    a, b, c = (torch.cat([p.detach().flatten() for p in parameters]) for parameters in (first, second, origin))
    return float((a - b).norm() / (b - c).norm())


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per recorded step; the losses at the end stand in every row of their run."""
    fixed = {"dataset": dataset or ("digits" if quick else "mnist"), "steps": 12 if quick else 60}
    return map_cells(
        cell, [{"precision": p, **fixed, "seed": seed + i} for p in PRECISIONS for i in range(2 if quick else 5)]
    )


def figure(table: Any) -> Figure:
    """Difference of the updates on the same gradients, drift of two trainings, and their losses."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.6))
    ends = table.groupby(["precision", "seed"])[["scratch_loss", "library_loss"]].first()
    for precision, color in PRECISIONS.items():
        for axis, column in zip(axes, ("update_difference", "drift"), strict=False):
            curve = table[table["precision"] == precision].groupby("step")[column]
            axis.fill_between(curve.min().index, curve.min(), curve.max(), color=OKABE_ITO[color], alpha=0.2, lw=0)
            axis.plot(curve.median(), color=OKABE_ITO[color], label=precision)
        axes[2].plot(*ends.loc[precision].to_numpy().T[::-1], "o", color=OKABE_ITO[color], alpha=0.7)
    axes[0].set(yscale="log", xlabel="step", ylabel="relative difference", title="a  updates, same gradients")
    axes[1].set(yscale="log", xlabel="step", ylabel="distance / way from the start", title="b  two trainings")
    axes[0].legend(loc="center right")
    axes[2].axline((ends.to_numpy().min(),) * 2, slope=1, color="black", linewidth=0.6)
    axes[2].set(xlabel="library: test loss / nats", ylabel="from scratch: test loss / nats", title="c  at the end")
    text = "{dataset}, MLP d-64-32-10, batch 64, {steps} steps, rate .01, CPU; seeds 0 to {seed}: median and range"
    small_print(drawing, text.format(**table.iloc[-1]))
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-SCRATCH: the updates agree; TUT-SCRATCH-LOSS: the trainings end at one loss."""
    worst: Any = table.groupby("precision")["update_difference"].max().to_dict()
    if table["seed"].nunique() < 5:
        return []
    ends = table[table["precision"] == "bfloat16"].groupby("seed")[["scratch_loss", "library_loss"]].first()
    gap = paired_difference(ends["scratch_loss"].tolist(), ends["library_loss"].tolist())
    spread = float(ends["library_loss"].max() - ends["library_loss"].min())
    shared: dict[str, Any] = {"source": "Wei 2025; this study", "method": "training run", "attribution": "ours",
                              "expected": "holds", "tier": "run", "evaluate": Finding}  # fmt: skip
    updates = "on the gradients of a run the updates of a Muon written from the tutorial's formulas are the library's"
    return [
        Claim(id="TUT-SCRATCH", statement=f"{updates}, in float64 (relative difference)", relation="<=",
              parameters={"predicted": 1e-9, "measured": worst["float64"]},
              mutations=(Mutation("in bfloat16", {"measured": worst["bfloat16"]}),), **shared),
        Claim(id="TUT-SCRATCH-LOSS", statement="in bfloat16 the two trainings end at the same test loss (paired)",
              parameters={"predicted": 0.0, "measured": Estimate(gap.mean, gap.lower, gap.upper)}, relation="==",
              mutations=(Mutation("the spread over seeds", {"predicted": spread}),), unit="nats", **shared),
    ]  # fmt: skip
