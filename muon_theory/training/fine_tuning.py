"""The parts of a fine-tuning: an optimizer by name, tokens fresh or few, and the excess over a law's entropy."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from muon_theory.optimizers import MuonAll, hybrid
from muon_theory.problems import BigramLaw

LANGUAGE_OPTIMIZERS = ("adamw", "muon", "muon_all", "muon_all_scaled")


def language_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Optimizer of a language model with one learning rate and no weight decay.

    Args:
        name: "adamw"; "muon" (`hybrid`: hidden matrices by Muon in updates of AdamW's size, the rest by AdamW, both at
            `lr`); "muon_all"; "muon_all_scaled", the same with lr * sqrt(n) for a vector of n entries.
        model: the model.
        lr: learning rate, >= 0.

    Returns:
        The optimizer.

    Raises:
        ValueError: if the name is unknown.

    Source: Liu et al. 2025, arXiv 2502.16982, section 2.2 (one rate for both parts); Page, Joshi, Sonawane 2025, arXiv
    2511.06086 (MuonAll).

    >>> from muon_theory.problems import transformer
    >>> optimizer = language_optimizer("muon_all_scaled", transformer(9, 4, 2, 1, 4, seed=0), 0.1)
    >>> sorted({group["lr"] for group in optimizer.param_groups})
    [0.1, 0.2, 0.34641016151377546, 0.4]
    """
    if name not in LANGUAGE_OPTIMIZERS:
        raise ValueError(f"name is {name!r}; choose one of {', '.join(LANGUAGE_OPTIMIZERS)}")
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    if name == "muon":
        return hybrid(model, lr=lr, adamw_lr=lr, adjust_lr_fn="match_rms_adamw", check_finite=False)
    parameters = list(model.parameters())
    if name == "muon_all":
        return MuonAll(parameters, lr, check_finite=False)
    vectors = [{"params": [p], "lr": lr * math.sqrt(p.numel())} for p in parameters if p.ndim < 2]
    return MuonAll([{"params": [p for p in parameters if p.ndim > 1]}, *vectors], lr, check_finite=False)


def token_batches(
    law: BigramLaw, steps: int, batch: int, length: int, *, kept: int | None = None, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of sequences and their next tokens: fresh ones, or draws with replacement from a few that are kept.

    Args:
        law: where the sequences come from.
        steps: number of batches.
        batch: sequences of each.
        length: tokens of each sequence.
        kept: number of different sequences; None: all are.
        seed: of sequences and draws.

    Yields:
        (inputs, targets), int64 of shape (batch, length) each.

    Source: elementary.

    >>> from muon_theory.problems import uniform_law
    >>> [inputs.shape for inputs, _ in token_batches(uniform_law(3), 1, 2, 4, seed=0)]
    [torch.Size([2, 4])]
    """
    tokens = law.sample(steps * batch if kept is None else kept, length + 1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        own = torch.arange(step * batch, (step + 1) * batch)
        index = own if kept is None else torch.randint(kept, (batch,), generator=generator)
        yield tokens[index, :-1], tokens[index, 1:]


@torch.no_grad()
def excess_loss(model: nn.Module, law: BigramLaw, length: int, *, sequences: int = 256, seed: int) -> float:
    """Expected cross-entropy of a model over the entropy of the law, on contexts drawn from it.

    Args:
        model: from int64 tokens (batch, length) to logits (batch, length, V).
        law: the law.
        length: tokens of a sequence.
        sequences: how many contexts are drawn.
        seed: of the contexts.

    Returns:
        Nats a token; its expectation over contexts is >= 0, and 0 only for the law itself.

    Source: elementary.
    """
    tokens = law.sample(sequences, length, seed=seed)
    return law.cross_entropy(model(tokens), tokens) - law.entropy()
