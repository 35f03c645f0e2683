"""A language of which everything is known: a Markov chain on tokens with Zipf's frequencies, its entropy the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class BigramLaw:
    """The law of a stationary Markov chain on the tokens 0, ..., V - 1.

    Args:
        transition: float64, shape (V, V); row i holds the probabilities of the token after i.
        stationary: float64, shape (V,), sums to 1 and stays the same under `transition`.

    Source: elementary.
    """

    transition: NDArray[np.float64]
    stationary: NDArray[np.float64]

    @property
    def vocabulary(self) -> int:
        """Number of tokens V.

        Source: elementary.
        """
        return len(self.stationary)

    def entropy(self) -> float:
        """Entropy rate: the least expected cross-entropy of any model that reads the past, attained by the law itself.

        H = - sum_i pi_i sum_j P_ij log P_ij.

        Returns:
            H in nats, between 0 and log V.

        Source: Shannon 1948, theorem 5 (the entropy of a Markov source).

        >>> round(uniform_law(5).entropy() - math.log(5), 12)
        0.0
        """
        terms = self.transition * np.log(np.where(self.transition > 0, self.transition, 1.0))
        return float(-self.stationary @ terms.sum(1))

    def unigram_entropy(self) -> float:
        """Entropy of one token: the least expected cross-entropy of a model that ignores the past.

        Returns:
            - sum_i pi_i log pi_i in nats, >= `entropy()`.

        Source: elementary.
        """
        return float(-(self.stationary * np.log(np.where(self.stationary > 0, self.stationary, 1.0))).sum())

    def sample(self, count: int, length: int, *, seed: int) -> Tensor:
        """Sequences drawn from the stationary chain.

        Args:
            count: number of independent sequences, >= 1.
            length: tokens of each, >= 1.
            seed: of the generator.

        Returns:
            int64 tokens, shape (count, length).

        Raises:
            ValueError: if count or length is no positive integer.

        Source: elementary (inversion of the distribution function).

        >>> uniform_law(3).sample(2, 4, seed=0).shape
        torch.Size([2, 4])
        """
        for name, value in (("count", count), ("length", length)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a positive integer")
        draws = np.random.default_rng(seed).random((count, length))
        tokens = np.empty((count, length), np.int64)
        tokens[:, 0] = np.searchsorted(np.cumsum(self.stationary)[:-1], draws[:, 0], side="right")
        for place in range(1, length):  # row i of the table lies in [i, i + 1): one search for all sequences
            before = tokens[:, place - 1]
            found = np.searchsorted(self._shifted_rows, before + draws[:, place], side="right")
            tokens[:, place] = np.clip(found - before * self.vocabulary, 0, self.vocabulary - 1)
        return torch.from_numpy(tokens)

    @cached_property
    def _shifted_rows(self) -> NDArray[np.float64]:
        """Distribution functions of the rows, that of row i raised by i, one after the other."""
        steps = np.cumsum(self.transition, axis=1)
        steps[:, -1] = 1.0
        return (np.minimum(steps, 1.0) + np.arange(self.vocabulary, dtype=np.float64)[:, None]).reshape(-1)

    def cross_entropy(self, logits: Tensor, last: Tensor) -> float:
        """Expected cross-entropy of predictions: the next token is averaged over the law instead of drawn.

        mean over the samples of - sum_j P(j | last) log softmax(logits)_j: the noise of the labels is gone, only that
        of the contexts remains.

        Args:
            logits: shape (..., V).
            last: int64, shape (...): the last token that each prediction was made from.

        Returns:
            The mean in nats; over contexts of the stationary chain its expectation is at least `entropy()`.

        Source: elementary.

        >>> law = uniform_law(4)
        >>> round(law.cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, 2])), 6) == round(math.log(4), 6)
        True
        """
        logs = torch.log_softmax(logits.detach().reshape(-1, self.vocabulary).double(), -1)
        weights = torch.from_numpy(self.transition)[last.reshape(-1)]
        return float(-torch.where(weights > 0, weights * logs, 0.0).sum(-1).mean())


def uniform_law(vocabulary: int) -> BigramLaw:
    """The chain that forgets: every token follows every token with probability 1/V.

    Args:
        vocabulary: V, a positive integer.

    Returns:
        The law.

    Source: elementary.

    >>> uniform_law(2).stationary
    array([0.5, 0.5])
    """
    _check(vocabulary=vocabulary)
    return BigramLaw(np.full((vocabulary, vocabulary), 1 / vocabulary), np.full(vocabulary, 1 / vocabulary))


def bigram_zipf(
    vocabulary: int, *, seed: int, exponent: float = 1.0, rank: int = 8, strength: float = 1.5, drift: float = 0.0
) -> BigramLaw:
    """A bigram law with nearly Zipf frequencies and a log-bilinear dependence on the token before.

    P(j | i) is proportional to j^(-exponent) exp(strength <a_i, b_j> / sqrt(rank)), j = 1, ..., V, with standard
    Gaussian vectors a_i, b_j of length `rank`: a softmax model of width rank + 1 can represent it. With a drift d the
    vectors a_i are sqrt(1 - d^2) times those of the seed plus d times others: d = 0 and d = 1 have b alone in common.

    Args:
        vocabulary: V, a positive integer. Memory 16 V^2 bytes.
        seed: of the vectors, >= 0.
        exponent: of Zipf's law, >= 0.
        rank: length of the vectors, a positive integer.
        strength: standard deviation of the logits about Zipf's, >= 0; 0 makes the tokens independent.
        drift: distance in [0, 1] from the law with the same seed and drift 0.

    Returns:
        The law.

    Raises:
        ValueError: if an argument is out of range.

    Source: Zipf 1949 (the frequencies); the dependence is ours.

    Accuracy: the stationary distribution is that of `transition` to 1e-12 in l1.

    >>> law = bigram_zipf(50, seed=0)
    >>> law.entropy() < law.unigram_entropy() < math.log(50)
    True
    """  # noqa: DOC502  (raised by _check)
    _check(vocabulary=vocabulary, rank=rank)
    for name, value, most in (("exponent", exponent, None), ("strength", strength, None), ("drift", drift, 1.0)):
        if not (math.isfinite(value) and value >= 0 and (most is None or value <= most)):
            raise ValueError(f"{name} is {value!r}; it must be a number from 0 {'to 1' if most else 'on'}")
    generator = np.random.default_rng(seed)
    first, second, other = generator.standard_normal((3, vocabulary, rank))
    before = math.sqrt(1 - drift**2) * first + drift * other
    logits = strength / math.sqrt(rank) * before @ second.T - exponent * np.log(np.arange(1, vocabulary + 1))
    transition = np.exp(logits - logits.max(1, keepdims=True))
    transition /= transition.sum(1, keepdims=True)
    stationary = np.full(vocabulary, 1 / vocabulary)
    for _ in range(10_000):
        previous, stationary = stationary, stationary @ transition
        if np.abs(stationary - previous).sum() < 1e-13:
            break
    return BigramLaw(transition, stationary / stationary.sum())


def _check(**sizes: int) -> None:
    """Check that sizes are positive integers."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a positive integer")
