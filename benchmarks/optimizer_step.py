"""Time of one optimizer step beside torch.optim.Muon and other packages, and distance of the update from exact.

Run: python benchmarks/optimizer_step.py [--rounds 9] [--threads 2] [--models a,b,c] [--momenta gaussian,...].
Exit status 1 if a goal is missed. Other packages are optional: `pip install -c constraints.txt -e ".[benchmarks]"`
brings heavyball and pytorch_optimizer; dion comes from its repository (github.com/microsoft/dion, `pip install
--no-deps` of a checkout) and, like heavyball, compiles on the CPU, which takes a C++ compiler and is not timed.

The distance is the root mean square over the directions of all matrices of the update, divided by the package's factor
for the shape, minus the exact polar factor, ||O - U V^T||_F / sqrt(rank). It is taken from the first step without
weight decay, when the LMO input is a multiple of the gradient. Goals bind on Gaussian momentum; the distance must not
exceed torch's. Directions below the rank tolerance of the gradient's dtype, of which recorded momentum has many, count
too: Muon(exact=True) leaves them at zero. Dion's directions have unit columns in one factor and are no polar factors:
its distance says how far.
"""

import argparse
import importlib
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from paired_timing import interleaved, machine, paired_ratio
from torch import Tensor, nn

from muon_theory.optimizers.dion import Dion
from muon_theory.optimizers.muon import Muon, shape_factor
from muon_theory.polar import polar_factor
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, recorded_matrix, recorded_spectra

TORCH, AUTO = "torch.optim.Muon", 'Muon(method="auto")'
GOALS = {"a": 0.75, "b": 0.5, "c": 0.25}
MOMENTA = ("gaussian", "log_uniform", "recorded")


def transformer() -> list[tuple[int, ...]]:
    """(a): the square and the wide matrices of four transformer blocks."""
    return [(768, 768)] * 4 + [(768, 3072)] * 4


def residual_network() -> list[tuple[int, ...]]:
    """(b): the 38 weights of the residual network for CIFAR of depth 38 (He et al. 2016), kernels as they are."""
    shapes: list[tuple[int, ...]] = [(16, 3, 3, 3)]
    inputs = 16
    for width in (16, 32, 64):
        for _ in range(12):
            shapes.append((width, inputs, 3, 3))
            inputs = width
    return [*shapes, (10, 64)]


MODELS = {
    "a": ("4 x (768 x 768) + 4 x (768 x 3072)", transformer()),
    "b": ("residual network, 38 small matrices", residual_network()),
    "c": ("64 matrices 64 x 64", [(64, 64)] * 64),
}


def gradients(shapes: list[tuple[int, ...]], momentum: str) -> list[Tensor]:
    """One gradient a parameter, of the kind of spectrum that is asked for."""
    generator = torch.Generator().manual_seed(0)
    flat = [(shape[0], math.prod(shape[1:])) for shape in shapes]
    if momentum == "gaussian":
        matrices = [torch.randn(size, generator=generator) for size in flat]
    elif momentum == "log_uniform":
        matrices = [
            prescribed_matrix(log_uniform_spectrum(min(size), 1e3), *size, seed=index, dtype=torch.float32)
            for index, size in enumerate(flat)
        ]
    else:
        matrices = [_recorded(size, index) for index, size in enumerate(flat)]
    return [matrix.reshape(shape) for matrix, shape in zip(matrices, shapes, strict=True)]


def _recorded(size: tuple[int, int], index: int) -> Tensor:
    """A matrix of this size whose spectrum is a recorded momentum's, stretched to its number of singular values."""
    table = recorded_spectra()
    momenta = table[table["kind"].isin(["momentum", "lmo_input"])]
    table = (momenta if len(momenta) else table).reset_index(drop=True)
    row = table.iloc[(7 * index) % len(table)]
    if (row["rows"], row["columns"]) == size:
        return recorded_matrix(row)
    sigma = torch.as_tensor(row["sigma"]).clamp_min(1e-12 * row["sigma"][0]).log()[None, None]
    stretched = nn.functional.interpolate(sigma, min(size), mode="linear", align_corners=True)[0, 0].exp()
    return prescribed_matrix(stretched.numpy(), *size, seed=index, dtype=torch.float32)


@dataclass(frozen=True)
class Entry:
    """Who is compared: what it runs at its defaults, how it is built, its factor for the shape of a matrix."""

    runs: str
    build: Callable[[list[Tensor]], torch.optim.Optimizer]
    factor: Callable[[int, int], float] = shape_factor


def _flattened(build: Callable) -> Callable:
    """An optimizer that takes 2-D parameters only, given kernels flattened once, outside the timing."""
    return lambda parameters: build([p.detach().reshape(p.shape[0], -1).requires_grad_() for p in parameters])


def _other(package: str, name: str, **group: Any) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    """An optimizer of another package at its defaults, which is imported when it is built."""

    def build(parameters: list[Tensor]) -> torch.optim.Optimizer:
        given = [{"params": parameters, **group}] if group else parameters
        return getattr(importlib.import_module(package), name)(given, lr=1.0, weight_decay=0.0)

    return _flattened(build)


def _spectral_factor(rows: int, columns: int) -> float:
    return math.sqrt(rows / columns)


def _ours(**options: Any) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    return lambda parameters: Muon(parameters, lr=1.0, weight_decay=0.0, **options)


CONTESTANTS = {
    TORCH: Entry(
        "Jordan x 5, bfloat16", _flattened(lambda parameters: torch.optim.Muon(parameters, lr=1.0, weight_decay=0.0))
    ),
    AUTO: Entry("by shape, at least as exact", _ours(method="auto")),
    "Muon()": Entry("Jordan x 5, float32", _ours()),
    "Muon(compute_dtype=bfloat16)": Entry("Jordan x 5, bfloat16", _ours(compute_dtype=torch.bfloat16)),
    "Muon(exact=True)": Entry("exact polar factor", _ours(exact=True)),
    "Dion()": Entry(
        "power iteration, full rank",
        lambda parameters: Dion(parameters, lr=1.0, weight_decay=0.0),
        _spectral_factor,
    ),
}
OTHER_PACKAGES = {
    "pytorch_optimizer.Muon": Entry("Jordan x 5, bfloat16", _other("pytorch_optimizer", "Muon", use_muon=True)),
    "heavyball.Muon": Entry("You x 5, bfloat16, compiled", _other("heavyball", "Muon")),
    "dion.Muon": Entry("Polar Express x 5, bfloat16, compiled", _other("dion", "Muon"), _spectral_factor),
    "dion.Dion": Entry("power iteration, full rank, compiled", _other("dion", "Dion"), _spectral_factor),
}


class Contestant:
    """An optimizer with parameters and gradients of its own."""

    def __init__(self, entry: Entry, given: list[Tensor]) -> None:
        self.entry = entry
        self.optimizer = entry.build([nn.Parameter(torch.zeros_like(gradient)) for gradient in given])
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.given = [g.clone().view(p.shape) for g, p in zip(given, self.parameters, strict=True)]
        self.overwrites = False
        self.distance = self._first_step()

    def __call__(self) -> None:
        """Hand the gradients over and step; a package that writes on them is handed copies."""
        for parameter, gradient in zip(self.parameters, self.given, strict=True):
            parameter.grad = gradient.clone() if self.overwrites else gradient
        self.optimizer.step()

    def _first_step(self) -> float:
        """Distance of the first step's directions from the exact polar factors; the scale of an update is no error."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        kept = [gradient.clone() for gradient in self.given]
        self()
        self.overwrites = any(not torch.equal(g, old) for g, old in zip(self.given, kept, strict=True))
        self.given = kept
        total, directions = 0.0, 0
        for parameter, start, gradient in zip(self.parameters, before, kept, strict=True):
            matrix = gradient.flatten(1).double()
            O = (start - parameter.detach()).flatten(1).double() / self.entry.factor(*matrix.shape)
            total += float(torch.linalg.matrix_norm(O - polar_factor(matrix))) ** 2
            directions += min(matrix.shape)
        return math.sqrt(total / directions)


def contestants(given: list[Tensor], skipped: set[str]) -> dict[str, Contestant]:
    """Every contestant that runs here; why another does not is printed once."""
    running = {name: Contestant(entry, given) for name, entry in CONTESTANTS.items() if name not in skipped}
    for name, entry in OTHER_PACKAGES.items():
        if name in skipped:
            continue
        try:
            running[name] = Contestant(entry, given)
        except Exception as error:  # another package may fail in any way; the table goes on without it
            skipped.add(name)
            print(f"{name} left out: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return running


def versions() -> str:
    """The packages compared with, one line."""
    found = []
    for package in ("heavyball", "pytorch_optimizer", "dion"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def compare(model: str, momentum: str, rounds: int, skipped: set[str]) -> bool:
    """Print one table; whether the goals are met."""
    title, shapes = MODELS[model]
    given = gradients(shapes, momentum)
    running = contestants(given, skipped)
    seconds = interleaved(dict(running), rounds)
    print(f"\n({model}) {title}; {momentum} momentum\n{'':30}{'median ms':>10}{'ratio':>8}{'distance':>10}")
    for name, times in seconds.items():
        ratio, contestant = paired_ratio(seconds, name, TORCH), running[name]
        print(
            f"{name:<30}{1e3 * sorted(times)[rounds // 2]:>10.2f}{ratio:>8.3f}{contestant.distance:>10.4f}"
            f"  {contestant.entry.runs}{', handed copies: overwrites p.grad' if contestant.overwrites else ''}"
        )
    met = running[AUTO].distance <= running[TORCH].distance
    if momentum == "gaussian":
        met &= paired_ratio(seconds, AUTO, TORCH) <= GOALS[model]
        print(f"goal: ratio <= {GOALS[model]:g} at no larger distance: {'met' if met else 'MISSED'}")
    elif not met:
        print("distance larger than torch's: MISSED")
    return met


def main() -> int:
    """Print one table a model and momentum; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="at least 7 for a verdict")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--models", default="a,b,c")
    parser.add_argument("--momenta", default=",".join(MOMENTA))
    parser.add_argument("--skip", default="", help="contestants to leave out, separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    torch._dynamo.config.recompile_limit = 256  # the compiled packages compile once for every shape
    print(f"{machine()}\n{versions()}")
    skipped = set(filter(None, options.skip.split(",")))
    results = [
        compare(model, momentum, options.rounds, skipped)
        for model in options.models.split(",")
        for momentum in options.momenta.split(",")
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
