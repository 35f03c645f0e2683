"""One number for a spectrum: how many singular values it is, in effect, made of.

For every nonzero spectrum of length r: 1 <= stable_rank <= nuclear_rank <= effective_rank <= r; each of them is k for k
equal singular values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def stable_rank(sigma: ArrayLike) -> Any:
    """Stable rank, `sum sigma_i^2 / sigma_1^2 = ||X||_F^2 / ||X||_op^2`.

    Args:
        sigma: singular values, array or tensor of shape (*batch, r), finite, >= 0, any order; else
            ValueError.

    Returns:
        A float, or a float64 array of shape (*batch,); in [1, r], and 0 for a zero spectrum.

    Source: Rudelson and Vershynin (2007), math/0503442.

    Example:
        >>> stable_rank([2.0, 1.0, 1.0])
        1.5
    """
    return _plain((_relative(sigma) ** 2).sum(axis=-1))


def nuclear_rank(sigma: ArrayLike) -> Any:
    """Nuclear rank, `(sum sigma_i)^2 / sum sigma_i^2 = ||X||_*^2 / ||X||_F^2`.

    The factor by which the nuclear norm, which Muon's descent earns, beats the Frobenius norm, squared.

    Args:
        sigma: singular values, array or tensor of shape (*batch, r), finite, >= 0, any order; else
            ValueError.

    Returns:
        A float, or a float64 array of shape (*batch,); in [1, r], and 0 for a zero spectrum.

    Source: elementary; 1 <= rho <= r by Cauchy-Schwarz.

    Example:
        >>> nuclear_rank([1.0, 1.0, 0.0])
        2.0
    """
    relative = _relative(sigma)
    squares = (relative**2).sum(axis=-1)
    return _plain(relative.sum(axis=-1) ** 2 / np.where(squares == 0, 1, squares))


def spectral_entropy(sigma: ArrayLike, *, power: float = 1.0) -> Any:
    """Shannon entropy of the normalised spectrum, `-sum p_i log p_i` with `p_i = sigma_i^power / sum sigma_j^power`.

    Args:
        sigma: singular values, array or tensor of shape (*batch, r), finite, >= 0, any order.
        power: 1 for the effective rank of Roy and Vetterli, 2 for the SVD entropy of energies; > 0.

    Returns:
        A float, or a float64 array of shape (*batch,), in nats; in [0, log r], and -inf for a zero spectrum (so that
        its exponential, the effective rank, is 0).

    Raises:
        ValueError: sigma is empty, negative or not finite; power not positive.

    Source: Roy and Vetterli (2007), EUSIPCO, equation 3 (power 1); Alter, Brown and Botstein (2000) (power 2).

    Example:
        >>> round(spectral_entropy([1.0, 1.0, 0.0]), 6)
        0.693147
    """
    if not power > 0:
        raise ValueError(f"power is {power}; it must be positive, 1 or 2 in the literature")
    weight = _relative(sigma) ** power
    total = weight.sum(axis=-1, keepdims=True)
    p = weight / np.where(total == 0, 1, total)
    # + 0.0 turns the -0.0 of a single direction into 0.0
    entropy = -(p * np.log(np.where(p == 0, 1, p))).sum(axis=-1) + 0.0
    return _plain(np.where(total[..., 0] == 0, -np.inf, entropy))


def effective_rank(sigma: ArrayLike) -> Any:
    """Effective rank, the exponential of the spectral entropy with power 1.

    Args:
        sigma: singular values, array or tensor of shape (*batch, r), finite, >= 0, any order; else
            ValueError.

    Returns:
        A float, or a float64 array of shape (*batch,); in [1, r], and 0 for a zero spectrum.

    Source: Roy and Vetterli (2007), EUSIPCO, definition 1.

    Example:
        >>> round(effective_rank([5.0, 5.0, 0.0]), 12)
        2.0
    """
    return _plain(np.exp(spectral_entropy(sigma)))


def spectrum_quantiles(sigma: ArrayLike, levels: ArrayLike) -> NDArray[np.float64]:
    """Quantiles of the singular values, linear between order statistics.

    Args:
        sigma: singular values, array or tensor of shape (*batch, r), finite, >= 0, any order.
        levels: shape (k,), each in [0, 1]; 0 is the smallest singular value, 1 the largest.

    Returns:
        Array of shape (*batch, k), float64, in the unit of sigma.

    Raises:
        ValueError: sigma is empty, negative or not finite; a level outside [0, 1].

    Source: Hyndman and Fan (1996), definition 7.

    Example:
        >>> spectrum_quantiles([4.0, 2.0, 0.0], [0.0, 0.5, 0.75]).tolist()
        [0.0, 2.0, 3.0]
    """
    wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    if wanted.ndim != 1 or not np.all((wanted >= 0) & (wanted <= 1)):
        raise ValueError(f"levels is {levels!r}; quantile levels are numbers in [0, 1]")
    return np.moveaxis(np.quantile(_checked(sigma), wanted, axis=-1), 0, -1)


def _checked(sigma: Any) -> NDArray[np.float64]:
    """The spectrum as a float64 array; tensors of any device and dtype included."""
    if hasattr(sigma, "detach"):
        sigma = sigma.detach().cpu().double().numpy()
    values = np.asarray(sigma, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] < 1:
        raise ValueError(f"sigma has shape {values.shape}; its last axis holds the singular values, at least one")
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        raise ValueError(f"sigma holds {values[~good][0]}; singular values are finite and >= 0")
    return values


def _relative(sigma: Any) -> NDArray[np.float64]:
    """The spectrum divided by its largest value, a zero spectrum left as it is."""
    values = _checked(sigma)
    largest = values.max(axis=-1, keepdims=True)
    return values / np.where(largest == 0, 1, largest)


def _plain(values: Any) -> Any:
    """A Python float for a single spectrum, else the array."""
    return float(values) if np.ndim(values) == 0 else values
