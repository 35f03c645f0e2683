"""How large the update is by shape, and what operations in place save."""

import math
from collections.abc import Callable

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.tutorial.printed import KERNELS, MATRICES
from muon_theory.rooms.tutorial.update import newton_schulz, shape_scale, update_rms

TEXT = "Wei 2025, Understanding the Muon Optimizer"
SHAPES = ((1024, 256), (512, 512), *(shape for network in MATRICES.values() for shape in network))


def _root_mean_squares(rule: str = "original") -> Finding:
    """Largest over smallest RMS of the scaled update's entries over the experiments' shapes and two more."""
    from muon_theory.optimizers import shape_factor

    sizes = [update_rms(m, n, shape_factor(m, n, rule)) for m, n in SHAPES]
    return Finding(1.01, max(sizes) / min(sizes))


def _operator_norms(rule: str = "original") -> Finding:
    """Largest over smallest operator norm between RMS norms, factor * sqrt(n/m), over the same shapes."""
    from muon_theory.optimizers import shape_factor

    sizes = [shape_factor(m, n, rule) * math.sqrt(n / m) for m, n in SHAPES]
    return Finding(1.01, max(sizes) / min(sizes))


def _factors_of_experiments(flattened: bool = False) -> Finding:
    """Largest shape factor of any matrix or kernel of the two experiments."""
    shapes = [*KERNELS, *MATRICES["mnist"], *MATRICES["cifar10"][len(KERNELS) :]]
    return Finding(1.0, max(shape_scale(shape, flattened=flattened) for shape in shapes))


def _steps_of(in_place: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    """Momentum and weight update of a 256 x 784 matrix, and the whole Muon step."""
    import torch

    W, B, G = (torch.ones(256, 784) for _ in range(3))

    def input_in_place() -> torch.Tensor:
        B.lerp_(G, 0.05)
        return G.lerp_(B, 0.95)

    def input_anew() -> torch.Tensor:
        fresh = 0.95 * B + 0.05 * G
        return 0.05 * G + 0.95 * fresh

    lmo_input = input_in_place if in_place else input_anew

    def weight(O: torch.Tensor) -> torch.Tensor:
        return W.add_(O, alpha=-0.01) if in_place else W - 0.01 * O

    return lambda: weight(lmo_input()), lambda: weight(newton_schulz(lmo_input()))


def _bytes(reference: str = "anew", whole: bool = False) -> Finding:
    """Bytes asked for in place over those asked for otherwise."""
    from muon_theory.rooms.tutorial.allocations import allocated_bytes

    index = int(whole)
    in_place = allocated_bytes(_steps_of(True)[index])
    other = allocated_bytes(_steps_of(reference == "in place")[index])
    return Finding(1.0, in_place / other if other else 1.0)


def _saved(whole: bool = True) -> Finding:
    """The share of bytes that operations in place save."""
    return Finding(0.5, 1 - float(_bytes(whole=whole).measured))  # pyright: ignore[reportArgumentType]


def claims() -> list[Claim]:
    """The claims TUT-12 and TUT-13.

    Returns:
        The claims.

    Source: the statements of the tutorial; each claim names its own.
    """
    return [*_memory(), *_scaling()]


def _row(name: str, statement: str, evaluate, mutation: Mutation, **options) -> Claim:  # noqa: ANN001, ANN003
    """A claim with what its rows share filled in."""
    shared = {"source": TEXT, "method": "float64 evaluation", "expected": "holds", "attribution": "printed"}
    return Claim(id=name, statement=statement, evaluate=evaluate, mutations=(mutation,), **{**shared, **options})


def _memory() -> list[Claim]:
    return [
        _row(
            "TUT-12",
            "operations in place save memory: a Muon step of a 256 x 784 matrix asks for fewer bytes than one that "
            "makes momentum, input and weight anew",
            _bytes,
            Mutation("in place against itself", {"reference": "in place"}),
            parameters={"whole": True},
            relation="<",
            source=TEXT + "; bytes of new tensors counted, time not judged",
        ),
        _row(
            "TUT-12-SHARE",
            "operations in place save half of the bytes of a Muon step",
            _saved,
            Mutation("momentum and weight update alone, without the iteration", {"whole": False}),
            relation=">=",
            expected="refuted",
            attribution="implied",
            source=TEXT + " names no number; the iteration's own temporaries dominate",
        ),
    ]


def _scaling() -> list[Claim]:
    return [
        _row(
            "TUT-13",
            "the factor sqrt(max(1, rows/columns)) keeps update sizes consistent: the RMS of the entries is the same "
            "for all shapes of the experiments, 512 x 512 and 1024 x 256, to 1 %",
            _root_mean_squares,
            Mutation("0.2 sqrt(max(rows, columns))", {"rule": "match_rms_adamw"}),
            relation="<=",
            expected="refuted",
            attribution="implied",
            source=TEXT + " names no measure; the RMS is 1/sqrt(columns)",
        ),
        _row(
            "TUT-13-OPERATOR",
            "the factor sqrt(max(1, rows/columns)) keeps the update's operator norm between RMS norms the same for "
            "these shapes, to 1 %",
            _operator_norms,
            Mutation("sqrt(rows/columns)", {"rule": "spectral"}),
            relation="<=",
            expected="refuted",
            attribution="implied",
            source=TEXT + " names no measure; it is sqrt(columns/rows) for wide matrices, 1 for tall ones",
        ),
        _row(
            "TUT-13-IDLE",
            "in the tutorial's two experiments the shape factor is 1 for every matrix and kernel",
            _factors_of_experiments,
            Mutation("rows and columns of the flattened kernels", {"flattened": True}),
            relation="==",
            attribution="ours",
            source=TEXT + ": shapes of both networks, factor from the unflattened gradient",
        ),
    ]
