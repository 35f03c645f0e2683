"""What every norm owes: properties over matrices drawn by spectrum, the sign convention, and the manners of the API."""

import copy
import math
import pickle
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.norms import ALL_NORMS, Combined, DualKyFan, Nuclear, RMSToRMS, Schatten, Spectral
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix

REPEATS = 28  # matrices of each of four kinds of spectrum an example, and one of zeros
EXAMPLES = 20  # times 4 * 28 + 1: 2260 matrices for each test and norm
PROGRAM = [name for name, norm in ALL_NORMS.items() if len(norm._parts(4, 4)) > 1 and not name.startswith("f_")]
EXACT = [name for name in ALL_NORMS if name not in PROGRAM]


@st.composite
def batches(draw):
    """Matrices of one shape: log-uniform spectra, ties, low rank, a spike, and the zero matrix."""
    rows, columns = draw(st.integers(3, 7)), draw(st.integers(3, 7))
    rank, decades = draw(st.integers(1, min(rows, columns))), draw(st.integers(0, 12))
    return made(rows, columns, rank, decades, draw(st.integers(0, 2**20)))


@cache
def made(rows, columns, rank, decades, seed):
    """The matrices of an example; those of one kind differ in the bases and, but for the spread, in the spectrum."""
    r, matrices = min(rows, columns), []
    spread = log_uniform_spectrum(r, 10.0**decades, seed=seed)
    for repeat in range(REPEATS):
        tied = np.repeat(np.sort(np.random.default_rng(seed + repeat).random(r))[::-1], 2)[:r] + 0.1
        low = np.where(np.arange(r) < 1 + (rank + repeat) % r, spread, 0.0)
        spike = np.where(np.arange(r) < 1, 10.0 ** (1 + repeat % 6), spread)
        for kind, sigma in enumerate((spread, tied, low, spike)):
            matrices.append(prescribed_matrix(sigma, rows, columns, seed=seed + 4 * repeat + kind))
    return torch.stack([*matrices, torch.zeros(rows, columns, dtype=torch.float64)])


def inner(A, B):
    return (A * B).sum(dim=(-2, -1))


def assert_at_most(left, right, tolerance=1e-9):
    assert bool((left <= right * (1 + tolerance) + 1e-300).all()), (left, right)


def drawn(names):
    """Run the test for each of the norms on the same few draws."""

    def decorate(test):
        given_test = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)(
            given(batches())(test)
        )
        return pytest.mark.parametrize("name", names)(given_test)

    return decorate


@drawn(ALL_NORMS)
def test_the_lmo_attains_the_dual_norm_inside_the_ball_and_no_other_point_goes_further(name, X):
    norm = ALL_NORMS[name]
    D, dual = norm.lmo(X), norm.dual(X)
    assert torch.allclose(inner(X, D), -dual, rtol=1e-9, atol=1e-11 * float(X.abs().max()))
    assert_at_most(inner(X[:, None], -D[None, :]).amax(dim=1), dual)  # points of the ball, from the other matrices
    assert bool((D[-1] == 0).all())  # of the zero matrix
    # triangle inequality and homogeneity of the dual norm
    assert_at_most(norm.dual(X + X.roll(1, 0)), dual + dual.roll(1, 0))
    assert torch.allclose(norm.dual(-3.0 * X), 3 * dual, rtol=1e-12, atol=0)


@drawn(EXACT)
def test_value_is_the_norm_whose_ball_the_lmo_explores(name, X):
    norm = ALL_NORMS[name]
    value, dual, D = norm.value(X), norm.dual(X), norm.lmo(X)
    assert torch.allclose(norm.value(D)[:-1], torch.ones(len(X) - 1, dtype=torch.float64), rtol=1e-9)
    assert norm.value(D)[-1] == value[-1] == dual[-1] == 0
    assert bool((value[:-1] > 0).all())
    assert_at_most(norm.value(X + X.roll(1, 0)), value + value.roll(1, 0))
    assert torch.allclose(norm.value(-3.0 * X), 3 * value, rtol=1e-12, atol=0)
    # Hoelder: <G, D> >= -dual(G) for every D of the ball; D = X / value(X) here
    assert_at_most(inner(X[:, None], X[None, :]).abs(), dual[:, None] * value[None, :])


@pytest.mark.parametrize("name", PROGRAM)
def test_value_of_a_mixture_is_the_norm_whose_ball_the_lmo_explores(name):
    norm = ALL_NORMS[name]
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    value, dual, D = norm.value(X), norm.dual(X), norm.lmo(X)
    assert torch.allclose(norm.value(D[:2]), torch.ones(2, dtype=torch.float64), rtol=2e-10)
    assert_at_most(inner(X[:, None], X[None, :]).abs(), dual[:, None] * value[None, :])
    assert_at_most(norm.value((X + X.roll(1, 0))[:3]), (value + value.roll(1, 0))[:3], 2e-10)


# Pairs of mutually dual norms: the dual of the dual is the norm.
DUALS = [
    ("spectral", "nuclear"), ("frobenius", "frobenius"), ("schatten_4", "schatten_4_3"), ("ky_fan_2", "dual_ky_fan_2"),
    ("ky_fan_2.5", "dual_ky_fan_2.5"), ("max_entry", "sum_entries"), ("column_norm", "sum_of_column_norms"),
    ("row_norm", "sum_of_row_norms"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DUALS)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(X=batches())
def test_the_dual_of_the_dual_is_the_norm(one, other, X):
    one, other = ALL_NORMS[one], ALL_NORMS[other]
    assert torch.allclose(one.value(X), other.dual(X), rtol=1e-12, atol=0)
    assert torch.allclose(one.dual(X), other.value(X), rtol=1e-12, atol=0)


def rotations(rows, columns):
    generator = torch.Generator().manual_seed(0)
    return (torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0] for n in (rows, columns))


@drawn([name for name, norm in ALL_NORMS.items() if norm.unitarily_invariant])
def test_a_unitarily_invariant_norm_does_not_see_rotations(name, X):
    norm, (left, right) = ALL_NORMS[name], rotations(*X.shape[-2:])
    X = X[:2]  # log-uniform and tied
    turned = left @ X @ right
    assert torch.allclose(norm.dual(turned), norm.dual(X), rtol=1e-10)
    assert torch.allclose(norm.lmo(turned[1:]), left @ norm.lmo(X[1:]) @ right, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, norm in ALL_NORMS.items() if not norm.unitarily_invariant])
def test_a_norm_flagged_as_not_invariant_sees_rotations(name):
    norm, X = ALL_NORMS[name], torch.eye(4, 5, dtype=torch.float64) + 0.1
    left, right = rotations(4, 5)
    turned = left @ X @ right
    assert norm.dual(turned).item() != pytest.approx(norm.dual(X).item(), rel=1e-3)
    assert not torch.allclose(norm.lmo(turned), left @ norm.lmo(X) @ right, atol=1e-3)


@pytest.mark.parametrize("name", ALL_NORMS)
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_the_unit_of_the_matrix_does_not_matter(name, kind):
    norm = ALL_NORMS[name]
    X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).to(kind)
    for power in (-100, -10, 90):  # 8e-31, 1e-3, 1.2e27
        scaled = X * 2.0**power
        assert torch.equal(norm.lmo(scaled), norm.lmo(X))
        assert torch.equal(norm.dual(scaled), norm.dual(X) * 2.0**power)
        assert torch.equal(norm.value(scaled), norm.value(X) * 2.0**power)
    for factor in (1e-30, 1e30):
        assert torch.allclose(norm.lmo(X * factor), norm.lmo(X), rtol=0, atol=1e-5 if kind == torch.float32 else 1e-13)


@pytest.mark.parametrize("name", ALL_NORMS)
def test_batches_dtypes_and_layouts_are_kept_and_nothing_is_touched(name):
    norm = ALL_NORMS[name]
    X = torch.randn(2, 2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = X.clone()
    value, dual, D = norm.value(X[:, :1]), norm.dual(X), norm.lmo(X)
    assert torch.equal(X, before)
    assert value.shape == (2, 1)
    assert dual.shape == (2, 2)
    assert D.shape == X.shape
    assert torch.allclose(D[1, 0], norm.lmo(X[1, 0]), atol=1e-12)
    assert torch.allclose(norm.lmo(X.mT.contiguous().mT), D, atol=1e-12)
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        Y = X[0, 0].to(kind).requires_grad_()
        assert norm.lmo(Y).dtype == kind
        assert norm.dual(Y).dtype == norm.value(Y).dtype == torch.float32
        assert not norm.lmo(Y).requires_grad
        assert not norm.dual(Y).requires_grad
        assert norm.dual(Y).item() == pytest.approx(norm.dual(Y.double()).item(), rel=1e-6)
    assert dual.dtype == value.dtype == D.dtype == torch.float64
    assert norm.lmo(X[:0]).shape == (0, 2, 4, 3)
    assert norm.value(X[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", ALL_NORMS)
def test_bad_matrices_are_refused_with_their_name(name):
    norm = ALL_NORMS[name]
    matrix = torch.eye(4)
    for method, argument in (("value", "X"), ("dual", "G"), ("lmo", "G")):
        ask = getattr(norm, method)
        for bad, error, words in (
            (matrix * math.nan, ValueError, "NaN"),
            (matrix / 0.0, ValueError, "NaN or infinite"),
            (matrix.to(torch.complex64), TypeError, "complex"),
            (matrix.long(), TypeError, "floating-point"),
            (torch.ones(4), ValueError, "two dimensions"),
            (torch.ones(0, 4), ValueError, "without entries"),
            (matrix.to_sparse(), TypeError, "dense"),
            ([[1.0]], TypeError, "torch.Tensor"),
        ):
            with pytest.raises(error, match=words) as raised:
                ask(bad)
            assert str(raised.value).startswith(f"{argument} "), raised.value


@pytest.mark.parametrize("name", ALL_NORMS)
def test_norms_are_values_that_can_be_copied_pickled_and_hashed(name):
    norm = ALL_NORMS[name]
    assert copy.deepcopy(norm) == norm == pickle.loads(pickle.dumps(norm))
    assert hash(copy.deepcopy(norm)) == hash(norm)
    with pytest.raises(AttributeError):
        norm.k = 3  # frozen


def test_the_lmo_points_downhill_and_not_up():
    G = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    expected = {
        "spectral": [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        "nuclear": [[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        "max_entry": [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        "sum_entries": [[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        "dual_ky_fan_2": [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        "ky_fan_2": [[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        "rms_to_rms": [[-math.sqrt(2 / 3), 0.0, 0.0], [0.0, 0.0, math.sqrt(2 / 3)]],
    }
    for name, D in expected.items():
        assert torch.allclose(ALL_NORMS[name].lmo(G), torch.tensor(D)), name
    for name, norm in ALL_NORMS.items():
        if "2.5" not in name:
            assert inner(G, norm.lmo(G)) < 0, name


def test_rms_to_rms_divides_by_the_fan_in_and_multiplies_by_the_fan_out():
    wide, tall = torch.ones(1, 4), torch.ones(4, 1)
    assert RMSToRMS().value(wide) == 4  # inputs of all ones: root mean square 1 in, 4 out
    assert RMSToRMS().value(tall) == 1
    assert RMSToRMS().dual(wide) == 1
    assert RMSToRMS().dual(tall) == 4
    assert torch.allclose(RMSToRMS().lmo(wide), -torch.ones(1, 4) / 4)
    assert torch.allclose(RMSToRMS().lmo(tall), -torch.ones(4, 1))


def test_ties_share_and_directions_beyond_the_rank_stay_zero():
    identity = torch.eye(4)
    assert torch.allclose(Nuclear().lmo(identity), -identity / 4)
    assert torch.allclose(DualKyFan(2).lmo(identity), -identity / 2)
    assert torch.allclose(ALL_NORMS["sum_entries"].lmo(identity), -identity / 4)
    assert torch.allclose(ALL_NORMS["sum_of_row_norms"].lmo(identity), -identity / 4)
    tied = torch.diag(torch.tensor([3.0, 1.0, 1.0, 1.0]))
    assert torch.allclose(DualKyFan(2).lmo(tied).diagonal(), -torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3]))
    rank_one = torch.ones(4, 5, dtype=torch.float64)
    for norm in (Spectral(), DualKyFan(3), Schatten(8.0), Nuclear(), ALL_NORMS["frobenius"], ALL_NORMS["ky_fan_2"]):
        D = norm.lmo(rank_one)
        assert torch.allclose(D, -rank_one / math.sqrt(20), atol=1e-14), norm
        assert norm.dual(rank_one).item() == pytest.approx(math.sqrt(20)), norm


def test_a_norm_of_ones_own_needs_three_methods_and_a_projection_only_for_the_value_of_a_mixture():
    from muon_theory.norms import Norm

    class FirstEntryAndRest(Norm):
        """Entrywise maximum, made by hand."""

        def _gauge(self, Y):
            return Y.abs().amax(dim=(-2, -1))

        def _support(self, Y):
            return Y.abs().sum(dim=(-2, -1))

        def _maximizer(self, Y, _tolerance):
            return Y.sign()

    G = torch.tensor([[2.0, -1.0]])
    mixed = Combined((1.0, 1.0), (FirstEntryAndRest(), Spectral()))
    assert mixed.dual(G).item() == pytest.approx(3 + math.sqrt(5))
    assert inner(G, mixed.lmo(G)).item() == pytest.approx(-3 - math.sqrt(5))
    with pytest.raises(TypeError, match="_projection"):
        mixed.value(G)
