"""The numbers the tutorial prints: two experiments, one run each, no seed set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MNIST_LOSS: Mapping[str, tuple[float, ...]] = MappingProxyType({
    "muon": (0.2778, 0.0680, 0.0475),
    "sgd": (1.7083, 0.5566, 0.3931),
    "adamw": (0.2847, 0.1075, 0.0717),
})
"""Mean train loss of each epoch in nats: perceptron 784-256-128-10, batch 64."""

MNIST_TIME: Mapping[str, float] = MappingProxyType({"muon": 28.86, "sgd": 21.84, "adamw": 22.71})
"""Seconds of the three epochs."""

CIFAR10_LOSS: Mapping[str, tuple[float, ...]] = MappingProxyType({
    "muon": (1.4218, 0.9570, 0.8087, 0.6992, 0.6279),
    "sgd": (1.8641, 1.4866, 1.3144, 1.1791, 1.1023),
    "adamw": (1.6096, 1.2443, 1.0696, 0.9635, 0.8955),
})
"""Mean train loss of each epoch in nats: three convolutions and two linear layers, batch 128."""

CIFAR10_ACCURACY: Mapping[str, tuple[float, ...]] = MappingProxyType({
    "muon": (68.08, 74.27, 76.90, 79.84, 80.79),
    "sgd": (45.70, 53.82, 58.98, 61.74, 64.40),
    "adamw": (55.98, 61.79, 66.48, 69.78, 71.66),
})
"""Test accuracy after each epoch in per cent."""

CIFAR10_TIME: Mapping[str, float] = MappingProxyType({"muon": 49.47, "sgd": 49.30, "adamw": 50.25})
"""Seconds of the five epochs; the data loader's time dominates."""

MATRICES: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType({
    "mnist": ((256, 784), (128, 256), (10, 128)),
    "cifar10": ((32, 27), (64, 288), (128, 576), (512, 2048), (10, 512)),
})
"""Rows and columns of the matrices of both networks, kernels flattened to (out, in * height * width)."""

KERNELS: tuple[tuple[int, int, int, int], ...] = ((32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3))
"""Shapes of the kernels of the CIFAR-10 network."""

DIRECTIONS = (10, 20)
"""How many directions a 256 x 128 gradient "effectively" uses."""
