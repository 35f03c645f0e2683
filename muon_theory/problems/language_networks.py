"""Small language models, each built from a seed without touching torch's global random state."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["layer", "rms"]


def context_model(vocabulary: int, width: int = 64, context: int = 2, *, seed: int) -> nn.Sequential:
    """Language model of three matrices, without biases: embedding, hidden layer with ReLU, output head.

    The embeddings of the last `context` tokens are joined to a vector of context * width entries.

    Args:
        vocabulary: number of tokens V.
        width: d, the length of an embedding and the number of hidden units.
        context: number of tokens it reads.
        seed: seed of the initialisation.

    Returns:
        The network, from int64 tokens (batch, context) to logits (batch, V); its matrices are `embedding.weight`
        (V, d), `hidden.weight` (d, context d) and `head.weight` (V, d).

    Raises:
        ValueError: if a size is not a positive integer.

    Source: Bengio, Ducharme, Vincent, Jauvin 2003, "A Neural Probabilistic Language Model".

    >>> context_model(10, 4, seed=0)(torch.tensor([[3, 7]])).shape
    torch.Size([1, 10])
    """  # noqa: DOC502  (raised by _check_sizes)
    _check_sizes(vocabulary=vocabulary, width=width, context=context)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return nn.Sequential(
            OrderedDict[str, nn.Module](
                embedding=nn.Embedding(vocabulary, width),
                join=nn.Flatten(),
                hidden=nn.Linear(context * width, width, bias=False),
                activation=nn.ReLU(),
                head=nn.Linear(width, vocabulary, bias=False),
            )
        )


class CausalAttention(nn.Module):
    """Multi-head attention of each token to itself and those before it, scaled by one over the root of a head's width.

    Args:
        width: d, a multiple of `heads`.
        heads: number of heads.
        fused: one matrix (3 d, d) for queries, keys and values, or three of (d, d).

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.
    """

    def __init__(self, width: int, heads: int, *, fused: bool = True) -> None:
        super().__init__()
        self.heads = heads
        if fused:
            self.query_key_value = nn.Linear(width, 3 * width)
        else:
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The attended values.

        Args:
            x: shape (batch, length, d).

        Returns:
            Shape of x.

        Source: Vaswani et al. 2017.
        """
        if hasattr(self, "query_key_value"):
            parts = self.query_key_value(x).chunk(3, -1)
        else:
            parts = (self.query(x), self.key(x), self.value(x))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A layer of a transformer: x + attention(norm(x)), then x + MLP(norm(x)) with 4 d hidden units and GELU.

    Args:
        width: d.
        heads: number of heads.
        fused: see `CausalAttention`.
        norm: "layer" or "rms".

    Source: Vaswani et al. 2017, arXiv 1706.03762; norms before the sublayers as in Radford et al. 2019 (GPT-2).
    """

    def __init__(self, width: int, heads: int, *, fused: bool = True, norm: Norm = "layer") -> None:
        super().__init__()
        kind = nn.LayerNorm if norm == "layer" else nn.RMSNorm
        self.attention_norm = kind(width)
        self.attention = CausalAttention(width, heads, fused=fused)
        self.mlp_norm = kind(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output.

        Args:
            x: shape (batch, length, d).

        Returns:
            Shape of x.

        Source: Radford et al. 2019.
        """
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class Transformer(nn.Module):
    """Decoder-only language model with learned positions; use `transformer`, which seeds it.

    Args:
        vocabulary: number of tokens V.
        width: d.
        heads: number of heads.
        layers: number of blocks.
        length: longest sequence.
        fused: see `CausalAttention`.
        norm: "layer" or "rms".

    Source: Radford et al. 2019 (GPT-2), with an untied head without bias.
    """

    def __init__(
        self, vocabulary: int, width: int, heads: int, layers: int, length: int, *, fused: bool, norm: Norm
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads, fused=fused, norm=norm) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm == "layer" else nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each token; those at place t depend on the tokens up to t only.

        Args:
            tokens: int64, shape (batch, n), n at most `length`.

        Returns:
            Shape (batch, n, V).

        Source: Radford et al. 2019.
        """
        x = self.embedding(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def transformer(
    vocabulary: int,
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    length: int = 32,
    *,
    fused: bool = True,
    norm: Norm = "layer",
    seed: int,
) -> Transformer:
    """A small decoder-only transformer, matrices and embeddings normal with standard deviation .02, biases zero.

    Args:
        vocabulary: number of tokens V.
        width: d, a multiple of `heads`.
        heads: number of heads.
        layers: number of blocks.
        length: longest sequence.
        fused: one matrix (3 d, d) for queries, keys and values, or three of (d, d).
        norm: "layer" or "rms".
        seed: seed of the initialisation.

    Returns:
        The network, from int64 tokens (batch, n) to logits (batch, n, V).

    Raises:
        ValueError: if a size is not a positive integer, heads do not divide the width, or the norm is unknown.

    Source: Radford et al. 2019 (GPT-2), arrangement and initialisation (without its factor for residual layers).

    >>> transformer(11, 8, 2, 1, 5, seed=0)(torch.zeros(3, 4, dtype=torch.long)).shape
    torch.Size([3, 4, 11])
    """
    _check_sizes(vocabulary=vocabulary, width=width, heads=heads, layers=layers, length=length)
    if width % heads:
        raise ValueError(f"width is {width}; it must be a multiple of heads, {heads}")
    if norm not in ("layer", "rms"):
        raise ValueError(f"norm is {norm!r}; choose 'layer' or 'rms'")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = Transformer(vocabulary, width, heads, layers, length, fused=fused, norm=norm)
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _check_sizes(**sizes: int) -> None:
    """Check that all sizes are positive integers."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a positive integer")
