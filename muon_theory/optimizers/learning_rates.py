"""Learning rates, initialisations and multipliers that carry over from one width to another (muP).

One condition gives them all: weights and updates keep an operator norm of order one between RMS norms, that is a
spectral norm of order sqrt(fan_out / fan_in). What remains is the spectral norm of each optimizer's unit step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from muon_theory.optimizers.muon import shape_factor
from muon_theory.optimizers.routing import Role, Routing, route_parameters

StepRule = Literal["none", "original", "match_rms_adamw", "spectral", "adamw"]


def spectral_target(fan_out: int, fan_in: int) -> float:
    """Spectral norm sqrt(fan_out / fan_in) at which a matrix has operator norm one between RMS norms.

    Args:
        fan_out: number of outputs, >= 1.
        fan_in: number of inputs, >= 1.

    Returns:
        The norm, without unit.

    Source: Yang, Simon, Bernstein 2023, arXiv 2310.17813, condition 1.

    >>> spectral_target(256, 64)
    2.0
    """
    return math.sqrt(fan_out / fan_in)


def step_norm(fan_out: int, fan_in: int, rule: str) -> float:
    """Spectral norm of an optimizer's step at learning rate one, up to a constant that does not depend on width.

    Muon's update has singular values one, times `shape_factor` ("none" stands for no factor). AdamW's has entries of
    size one that are aligned with the data, so sqrt(fan_out fan_in).

    Args:
        fan_out: number of outputs.
        fan_in: number of inputs.
        rule: "none", "original", "match_rms_adamw" or "spectral" for Muon, or "adamw".

    Returns:
        The norm, without unit.

    Raises:
        ValueError: if the rule is none of these.

    Source: derived here; Yang, Simon, Bernstein 2023, arXiv 2310.17813 (Adam).

    >>> step_norm(64, 64, "match_rms_adamw"), step_norm(16, 64, "adamw")
    (1.6, 32.0)
    """  # noqa: DOC502  (raised by shape_factor)
    if rule == "adamw":
        return math.sqrt(fan_out * fan_in)
    return 1.0 if rule == "none" else shape_factor(fan_out, fan_in, rule)


def width_factor(role: Role, fans: tuple[int, int], base_fans: tuple[int, int], rule: str) -> float:
    """Factor on the learning rate tuned at a base width that keeps the update's operator norm at another.

    (`spectral_target` / `step_norm`) of this shape over the same of the base shape. With m the ratio of widths: Muon's
    hidden matrices 1 ("original", "spectral") or m^(-1/2) ("match_rms_adamw"), its head m^(-1/2) and embedding
    m^(1/2) without a shape factor; AdamW's hidden matrices and head 1/m, its embedding 1. A tied matrix keeps the rate
    of an embedding; its logits are to be divided by m in the model instead. Vectors and tables keep theirs.

    Args:
        role: the parameter's role.
        fans: (fan_out, fan_in) of the matrix, for an embedding (width, number of entries).
        base_fans: the same in the base model.
        rule: as in `step_norm`.

    Returns:
        The factor, > 0.

    Source: Yang, Simon, Bernstein 2023, arXiv 2310.17813; Qiu et al. 2025, arXiv 2512.05620, Table 1 (the exponents;
    the sentence beside it has the opposite sign); Xmodel-2.5, arXiv 2511.19496 (tied matrices).

    >>> width_factor("hidden", (512, 512), (128, 128), "match_rms_adamw")
    0.5
    >>> width_factor("head", (9, 512), (9, 128), "none"), width_factor("embedding", (512, 9), (128, 9), "none")
    (0.5, 2.0)
    >>> width_factor("hidden", (512, 512), (128, 128), "adamw"), width_factor("embedding", (512, 9), (128, 9), "adamw")
    (0.25, 1.0)
    """
    if role in ("vector", "table") or (role == "tied" and rule == "adamw"):
        return 1.0
    own = spectral_target(*fans) / step_norm(*fans, rule)
    return own / (spectral_target(*base_fans) / step_norm(*base_fans, rule))


def initial_std(fan_out: int, fan_in: int) -> float:
    """Standard deviation of Gaussian entries that gives a matrix the spectral norm sqrt(fan_out / fan_in).

    1 / sqrt(fan_in) min(1, sqrt(fan_out / fan_in)), up to a constant between 1 and 2: such a matrix has spectral norm
    std (sqrt(fan_out) + sqrt(fan_in)).

    Args:
        fan_out: number of outputs.
        fan_in: number of inputs.

    Returns:
        The standard deviation.

    Source: Yang, Simon, Bernstein 2023, arXiv 2310.17813, parametrisation 1.

    >>> initial_std(64, 64), initial_std(16, 64)
    (0.125, 0.0625)
    """
    return min(1.0, spectral_target(fan_out, fan_in)) / math.sqrt(fan_in)


@torch.no_grad()
def initialize(
    model: nn.Module, *, routing: Routing | None = None, head: Literal["zero", "spectral"] = "zero", seed: int = 0
) -> None:
    """Draw a model's matrices anew so that learning rates carry over: spectrally, embeddings N(0, 1), the head zero.

    Vectors and tables keep their values. Fused and stacked matrices are drawn as what they are made of. A tied matrix
    is drawn as an embedding.

    Args:
        model: the model; changed in place.
        routing: the roles; None takes `route_parameters(model)`.
        head: "zero", or "spectral" for `initial_std`.
        seed: seed of the draw; torch's global random state is not touched.

    Raises:
        ValueError: if `head` is neither.

    Source: Yang, Simon, Bernstein 2023, arXiv 2310.17813; Qiu et al. 2025, arXiv 2512.05620 (the head at zero).

    >>> model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 9))
    >>> initialize(model)
    >>> model[1].weight.abs().max().item(), bool(0.11 < model[0].weight.std() < 0.14)
    (0.0, True)
    """
    if head not in ("zero", "spectral"):
        raise ValueError(f"head is {head!r}; choose 'zero' or 'spectral'")
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(model.named_parameters())
    for route in (routing or route_parameters(model)).routes:
        parameter = parameters[route.name]
        if route.role in ("vector", "table") or parameter.ndim < 2:
            continue
        rows = route.split_rows[0] if route.split_rows else route.shape[route.stacked]
        std = initial_std(rows, math.prod(route.shape[route.stacked + 1 :]))
        if route.role in ("embedding", "tied"):
            std = 1.0
        elif route.role == "head" and head == "zero":
            std = 0.0
        drawn = torch.randn(route.shape, generator=generator, dtype=torch.float64)
        parameter.copy_((std * drawn).to(parameter))


@dataclass(frozen=True)
class XmodelRules:
    """The muP rules of Xmodel-2.5 for a width, with tied embeddings; without unit.

    Args:
        hidden_std: initial standard deviation of hidden matrices, 0.1 / sqrt(m).
        output_projection_std: of the matrices that write to the residual stream, 0.1 / sqrt(2 layers): by depth only.
        embedding_std: of the tied embedding, 0.1.
        hidden_lr: Adam's learning rate of hidden matrices, base / m.
        embedding_lr: of the tied embedding, base.
        embedding_multiplier: on the embedding's output, 12.
        logit_multiplier: on the logits, 1 / m: how a tied matrix stays muP.
        residual_multiplier: on each branch, 1.4 / sqrt(layers).
        attention_scale: on the attention logits, 1 / head size.

    Source: Xmodel-2.5, arXiv 2511.19496, and its training scripts.

    >>> XmodelRules.of_width(1536, layers=48, head_size=64).logit_multiplier == 1 / 6
    True
    """

    hidden_std: float
    output_projection_std: float
    embedding_std: float
    hidden_lr: float
    embedding_lr: float
    embedding_multiplier: float
    logit_multiplier: float
    residual_multiplier: float
    attention_scale: float

    @classmethod
    def of_width(
        cls, width: int, *, layers: int, head_size: int, base_width: int = 256, base_lr: float = 0.01
    ) -> XmodelRules:
        """The rules for a model; m = width / base_width.

        Args:
            width: size of the residual stream.
            layers: number of blocks.
            head_size: size of an attention head.
            base_width: width at which base_lr was tuned.
            base_lr: Adam's learning rate there.

        Returns:
            The rules.

        Raises:
            ValueError: if a size is below one.

        Source: Xmodel-2.5, arXiv 2511.19496, and its training scripts.

        >>> rules = XmodelRules.of_width(1536, layers=48, head_size=64)
        >>> round(rules.hidden_std, 4), round(rules.hidden_lr, 6), rules.embedding_lr
        (0.0408, 0.001667, 0.01)
        """
        if min(width, layers, head_size, base_width) < 1:
            raise ValueError(
                f"width {width}, layers {layers}, head_size {head_size}, base_width {base_width}: all >= 1"
            )
        m = width / base_width
        return cls(
            hidden_std=0.1 / math.sqrt(m),
            output_projection_std=0.1 / math.sqrt(2 * layers),
            embedding_std=0.1,
            hidden_lr=base_lr / m,
            embedding_lr=base_lr,
            embedding_multiplier=12.0,
            logit_multiplier=1 / m,
            residual_multiplier=1.4 / math.sqrt(layers),
            attention_scale=1 / head_size,
        )
