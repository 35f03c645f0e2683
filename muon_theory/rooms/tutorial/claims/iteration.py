"""What the iteration does to recorded momenta: uniform values, five steps, the transpose, bfloat16."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.tutorial.update import directions_holding, iteration_flops, newton_schulz

TEXT = "Wei 2025, Understanding the Muon Optimizer"
RECORDED = "; momenta of the hidden layers of the MNIST perceptron under Muon, steps 10 to 2800, recorded here"
BAND = (0.68, 1.14)


@lru_cache(maxsize=1)
def _momenta() -> list[NDArray[np.float64]]:
    """Singular values over the Frobenius norm, of both hidden layers at five steps."""
    from muon_theory.spectra.recorded import recorded_spectra

    table = recorded_spectra().query("dataset == 'mnist' and optimizer == 'muon' and kind == 'momentum' and step > 1")
    spectra = [np.asarray(sigma) for sigma in table.query("layer != 'head.weight'")["sigma"]]
    return [sigma / np.sqrt((sigma**2).sum()) for sigma in spectra]


def _mapped(steps: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    from muon_theory.polar import scalar_map

    values = scalar_map("jordan_2024", steps)
    return [(sigma, np.asarray(values(sigma))) for sigma in _momenta()]


def _uniform(steps: int = 5) -> Finding:
    """Median over the momenta of the share of singular values that end in the band."""
    shares = [float(((mapped > BAND[0]) & (mapped < BAND[1])).mean()) for _, mapped in _mapped(steps)]
    return Finding(0.95, float(np.median(shares)), attained=min(shares))


def _effective_share(steps: int = 5) -> Finding:
    """Smallest effective rank of an update over its number of directions."""
    from muon_theory.spectra.summaries import effective_rank

    return Finding(2 / 3, min(effective_rank(np.abs(mapped)) / len(mapped) for _, mapped in _mapped(steps)))


def _many_tiny(share: float = 0.9) -> Finding:
    """Most directions that hold nine tenths of the energy of a momentum of the 256 x 128 layer."""
    counts = [directions_holding(sigma, share) for sigma in _momenta() if len(sigma) == 128]
    return Finding(20, max(counts))


def _deficit(steps: int = 5) -> Finding:
    """Largest share of the linear decrease that is lost, 1 - <C, O> / ||C||_*."""
    return Finding(0.15, max(float(1 - (sigma * mapped).sum() / sigma.sum()) for sigma, mapped in _mapped(steps)))


def _normalised(by_largest_entry: bool = False) -> Finding:
    """Largest spectral norm after the normalisation, over Gaussian, rank-one and diagonal matrices of five shapes."""
    generator = np.random.default_rng(0)
    found = []
    for rows, columns in ((4, 9), (9, 4), (16, 16), (1, 7), (64, 32)):
        outer = np.outer(generator.standard_normal(rows), generator.standard_normal(columns))
        for G in (generator.standard_normal((rows, columns)), outer, np.eye(rows, columns)):
            size = np.abs(G).max() if by_largest_entry else np.linalg.norm(G)
            found.append(float(np.linalg.norm(G / size, 2)))
    return Finding(1.0, max(found))


def _transposed(keep_shape: bool = True) -> Finding:
    """Largest difference of the iteration with and without transposing tall matrices, and their costs' ratio."""
    import torch

    generator = torch.Generator().manual_seed(0)
    gaps, costs = [], []
    for rows, columns in ((12, 5), (64, 16), (7, 7), (30, 1)):
        G = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
        plain = newton_schulz(G, transpose=False)
        other = newton_schulz(G) if keep_shape else newton_schulz(G.mT).reshape(rows, columns)
        gaps.append(float((plain - other).abs().max()))
        costs.append(iteration_flops(rows, columns) / iteration_flops(rows, columns, transpose=False))
    return Finding(1e-9, max(gaps), attained=min(costs))


def _cheaper(wide: bool = False) -> Finding:
    """Flops with the transpose over flops without: a 2048 x 512 matrix, or a 512 x 2048 one."""
    shape = (512, 2048) if wide else (2048, 512)
    return Finding(1.0, iteration_flops(*shape) / iteration_flops(*shape, transpose=False))


@lru_cache(maxsize=1)
def _precisions() -> list[tuple[float, float, float]]:
    """<C, O> over the nuclear norm in float32 and bfloat16, and the cosine of the two updates, per matrix."""
    import torch

    from muon_theory.spectra.recorded import recorded_matrix, recorded_spectra

    table = recorded_spectra().query("dataset == 'mnist' and optimizer == 'muon' and layer == 'layer2.weight'")
    rows = []
    for row in table.to_dict("records"):
        C, dual = recorded_matrix(row), float(np.sum(row["sigma"]))
        single, half = newton_schulz(C), newton_schulz(C.to(torch.bfloat16)).float()
        rows.append((float((C * single).sum()) / dual, float((C * half).sum()) / dual,
                     float((single * half).sum() / single.norm() / half.norm())))  # fmt: skip
    return rows


def _precision(by_cosine: bool = False) -> Finding:
    """Largest loss by bfloat16: of the share of the linear decrease, or of the cosine of the two updates."""
    return Finding(0.02, max(1 - cosine if by_cosine else abs(a - b) for a, b, cosine in _precisions()))


def claims() -> list[Claim]:
    """The claims TUT-01-MOMENTUM, TUT-02, TUT-03, TUT-04 and TUT-11.

    Returns:
        The claims.

    Source: the statements of the tutorial; each claim names its own.
    """
    return [*_spectra(), *_steps(), *_forms()]


def _row(name: str, statement: str, evaluate, mutation: Mutation, **options) -> Claim:  # noqa: ANN001, ANN003
    """A claim with what its rows share filled in."""
    shared = {"source": TEXT, "method": "float64 evaluation", "expected": "holds", "attribution": "printed"}
    return Claim(id=name, statement=statement, evaluate=evaluate, mutations=(mutation,), **{**shared, **options})


def _spectra() -> list[Claim]:
    return [
        _row(
            "TUT-01-MOMENTUM",
            "the momentum of the 256 x 128 layer holds nine tenths of its energy in at most 20 directions",
            _many_tiny,
            Mutation("99 % of the energy", {"share": 0.99}),
            source=TEXT + RECORDED,
            relation="<=",
            attribution="implied",
        ),
        _row(
            "TUT-02",
            "after orthogonalization the singular values are nearly uniform: of the momenta's median at least 95 % end "
            "in [.68, 1.14], the range of the quintic's fixed band",
            _uniform,
            Mutation("eight steps", {"steps": 8}),
            source=TEXT + RECORDED + "; small ones need more than five steps",
            relation=">=",
            expected="refuted",
            attribution="implied",
        ),
        _row(
            "TUT-02-RANK",
            "after orthogonalization the update acts in most directions: its effective rank is at least two thirds of "
            "them (of the momenta it is at most .39)",
            _effective_share,
            Mutation("one step", {"steps": 1}),
            source=TEXT + RECORDED,
            relation=">=",
        ),
    ]


def _steps() -> list[Claim]:
    return [
        _row(
            "TUT-03",
            "the Frobenius normalisation makes the spectral norm at most 1",
            _normalised,
            Mutation("division by the largest entry", {"by_largest_entry": True}),
            relation="<=",
            method="property test",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of the two norms of a rank-one matrix, which are equal",
        ),
        _row(
            "TUT-03-STEPS",
            "five steps suffice: they lose at most 15 % of the linear decrease, 1 - <C, O>/||C||_* <= .15",
            _deficit,
            Mutation("one step", {"steps": 1}),
            source=TEXT + RECORDED + "; the text names no measure",
            relation="<=",
            attribution="implied",
        ),
    ]


def _forms() -> list[Claim]:
    return [
        _row(
            "TUT-04",
            "transposing a tall matrix and back changes nothing: entries agree to 1e-9 in float64",
            _transposed,
            Mutation("the transposed result read without transposing back", {"keep_shape": False}),
            relation="<=",
            method="property test",
        ),
        _row(
            "TUT-04-COST",
            "transposing a tall matrix lowers the cost: 2048 x 512 takes a tenth of the flops",
            _cheaper,
            Mutation("a wide matrix", {"wide": True}),
            relation="<",
            tag="arithmetic",
        ),
        _row(
            "TUT-11",
            "the iteration in bfloat16 has the same quality: the linear decrease <C, O>/||C||_* changes by at most .02",
            _precision,
            Mutation("judged by the cosine of the two updates: 1 - cos <= .02", {"by_cosine": True}),
            source=TEXT + "; gradients and momenta of the 256 x 128 layer recorded here; speed is not judged",
            relation="<=",
            tier="medium",
        ),
    ]
