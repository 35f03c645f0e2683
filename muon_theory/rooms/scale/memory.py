"""Memory of weights and optimizer states for the Llama models of the SCALE paper, by bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

Method = Literal["adam", "muon_tabulated", "muon_usable", "scale", "swan", "galore"]


@dataclass(frozen=True)
class ModelSize:
    """The shapes of a Llama model: d, f, L and the vocabulary V.

    Args:
        width: d.
        hidden: f, width of the three feed-forward matrices.
        layers: L.
        vocabulary: V; embedding and head are V x d each, untied.

    Source: configurations of the released code of arXiv 2506.16659.

    >>> SIZES["60M"].parameters
    58073600
    """

    width: int
    hidden: int
    layers: int
    vocabulary: int = 32_000

    @property
    def embedding(self) -> int:
        """Entries V d of the embedding, and of the head."""
        return self.vocabulary * self.width

    @property
    def vectors(self) -> int:
        """Entries (2 L + 1) d of the gains of all norms."""
        return (2 * self.layers + 1) * self.width

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """Shapes (smaller side, larger side) of the hidden matrices."""
        d, f = self.width, self.hidden
        return [*[(d, d)] * 4, *[(min(d, f), max(d, f))] * 3] * self.layers

    @property
    def hidden_entries(self) -> int:
        """Entries L (4 d^2 + 3 d f) of the hidden matrices."""
        return sum(a * b for a, b in self.matrices)

    @property
    def parameters(self) -> int:
        """Entries P of the model."""
        return self.hidden_entries + 2 * self.embedding + self.vectors


SIZES: Mapping[str, ModelSize] = MappingProxyType({
    "60M": ModelSize(512, 1376, 8),
    "130M": ModelSize(768, 2048, 12),
    "350M": ModelSize(1024, 2736, 24),
    "1B": ModelSize(2048, 5461, 24),
    "7B": ModelSize(4096, 11008, 32),
})


def memory(
    method: Method, size: ModelSize, *, rank: int = 256, store_projection: bool = True, bytes_each: int = 2
) -> Fraction:
    """Memory of weights and optimizer state in GB = 1e9 bytes.

    Floats: "adam" 3 P; "muon_tabulated" 2 P (momentum on everything); "muon_usable" 2 hidden + 3 (P - hidden), Adam on
    the rest; "scale" P + V d + 2 (2 L + 1) d, momentum on the head and Adam on vectors; "swan" (APOLLO-Mini alike)
    P + 4 V d, Adam on embedding and head; "galore" (APOLLO alike) that plus 2 r max + r min a hidden matrix: two
    moments of the projected gradient, and the projection.

    Args:
        method: one of the names above.
        size: the model.
        rank: r of "galore".
        store_projection: whether "galore" keeps the projection, the r min term.
        bytes_each: bytes a float.

    Returns:
        GB, an exact fraction.

    Raises:
        ValueError: if the method is unknown.

    Source: derived here; reproduces the table of arXiv 2506.16659, see the claims of this room.

    >>> float(memory("scale", SIZES["7B"]))
    13.740040192
    """
    P, rest = size.parameters, size.parameters - size.hidden_entries
    projected = sum(2 * rank * large + store_projection * rank * small for small, large in size.matrices)
    floats = {
        "adam": 3 * P,
        "muon_tabulated": 2 * P,
        "muon_usable": 2 * size.hidden_entries + 3 * rest,
        "scale": P + size.embedding + 2 * size.vectors,
        "swan": P + 4 * size.embedding,
        "galore": P + 4 * size.embedding + projected,
    }
    if method not in floats:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(floats)}")
    return Fraction(bytes_each * floats[method], 10**9)


def tokens(steps: int, *, sequences: int = 512, length: int = 256) -> int:
    """Training tokens: steps times sequences a batch times their length.

    Args:
        steps: optimizer steps.
        sequences: sequences a batch.
        length: tokens a sequence.

    Returns:
        The number of tokens.

    Source: scripts of the released code of arXiv 2506.16659; the length is implied by the printed token counts.

    >>> tokens(11_000)
    1441792000
    """
    return steps * sequences * length
