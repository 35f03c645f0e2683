"""The claims of `when_to_use`: the tutorial's advice against paired differences of small networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.training.comparison import PairedDifference

SETTING = " (small networks, tuned, paired, log of the ratio)"


def advice_claims(found: Mapping[tuple[str, str], PairedDifference]) -> list[Claim]:
    """TUT-05, TUT-06 and TUT-17, from differences to Muon for hidden matrices alone, by network and arm."""
    above = {key: Estimate(row.mean, row.lower, row.upper) for key, row in found.items()}
    after, scratch = above["fine-tuning", "adamw"], above["transformer", "adamw"]
    head = {network: above[network, "and head"] for network in ("perceptron", "convolution")}
    return [
        _row("TUT-05", "Muon is not for embeddings: given them too it ends at a higher loss than with hidden matrices "
             "alone, transformer", above["transformer", "and embeddings"]),
        _row("TUT-05-HEAD", "Muon is not for output layers: given the head too it ends at a higher loss than with "
             "hidden matrices alone, convolutional network", head["convolution"]),
        _row("TUT-06", "Muon is not for fine-tuning: on a transformer that AdamW pretrained it ends at a higher "
             "loss than AdamW", Estimate(-after.value, -after.upper, -after.lower), expected="refuted",
             mutation=Mutation("AdamW in Muon's place", {"measured": after})),
        _row("TUT-06-LESS", "Muon's gain over AdamW is smaller in fine-tuning than from scratch: distance of the two "
             "intervals", scratch.lower - after.upper),
        _row("TUT-17", "what works for perceptrons need not for convolutional networks: Muon on the head costs more "
             "there, distance of the two intervals", head["convolution"].lower - head["perceptron"].upper),
    ]  # fmt: skip


def _row(name: str, statement: str, measured: Any, *, expected: Any = "holds", mutation: Any = None) -> Claim:
    """A claim that a log ratio is positive."""
    return Claim(
        id=name,
        statement=statement + SETTING,
        source="Wei 2025 (advice, no measurement); this study",
        relation=">",
        method="training run",
        evaluate=Finding,
        mutations=(mutation or Mutation("an arm against itself", {"measured": 0.0}),),
        expected=expected,
        attribution="implied",
        parameters={"predicted": 0.0, "measured": measured},
        tier="run",
    )
