import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muon_theory.optimizers import (
    Hybrid,
    Muon,
    Power,
    RandomSpectrum,
    SoftThreshold,
    SpectralMap,
    normalized_sgd,
)
from muon_theory.spectra import prescribed_matrix, singular_values


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def one_step(f, gradient, **options):
    """Minus what one step with learning rate 1 adds to weights of zero."""
    parameter = nn.Parameter(torch.zeros_like(gradient))
    options = {"lr": 1.0, "momentum": 0.0, **options}
    optimizer = SpectralMap([parameter], f, **options)
    parameter.grad = gradient.clone()
    optimizer.step()
    return -parameter.detach()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    p=st.floats(-0.25, 1.0),
    exponents=st.lists(st.floats(-4.0, 0.0), min_size=1, max_size=6),
    extra=st.integers(0, 3),
    wide=st.booleans(),
    scale=st.sampled_from([1e-200, 1e-30, 1.0, 1e30, 1e200]),
)
def test_powers_map_every_spectrum_and_keep_singular_vectors_and_size(p, exponents, extra, wide, scale):
    sigma = sorted((10.0**e for e in exponents), reverse=True)
    r = len(sigma)
    G = scale * prescribed_matrix(sigma, r + extra, r)
    G = G.mT if wide else G
    step = one_step(Power(p), G)
    mapped = sorted((s**p for s in sigma), reverse=True)
    size = math.sqrt(r) / math.sqrt(sum(m * m for m in mapped))
    expected = torch.tensor([size * m for m in mapped], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.svdvals(step), expected, rtol=1e-8, atol=1e-8)
    # same singular vectors: step^T G and step G^T are symmetric positive semidefinite
    for product in (step.mT @ (G / scale), step @ (G / scale).mT):
        torch.testing.assert_close(product, product.mT, rtol=1e-8, atol=1e-8)
        assert float(torch.linalg.eigvalsh(product).min()) > -1e-8


def test_the_ends_of_the_powers_are_muon_normalised_sgd_and_sgd():
    gradient = gaussian(6, 4)
    parameter = nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))
    parameter.grad = gradient
    Muon([parameter], lr=1.0, weight_decay=0.0, momentum=0.0, exact=True).step()
    ours = one_step(Power(0.0), gradient, adjust_lr_fn="original")
    torch.testing.assert_close(ours, -parameter.detach(), rtol=1e-12, atol=1e-12)
    parameter = nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))
    parameter.grad = gradient
    normalized_sgd([parameter], lr=1.0, momentum=0.0).step()
    torch.testing.assert_close(one_step(Power(1.0), gradient, match="unit"), -parameter.detach())
    torch.testing.assert_close(one_step(Power(1.0), gradient, match="none", relative=False), gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("p", [-0.25, 0.0, 0.5])
def test_zero_directions_stay_zero_whatever_the_function_makes_of_zero(p, dtype):
    G = prescribed_matrix([1.0, 0.5, 0.0, 0.0], 6, 4).to(dtype)
    if dtype == torch.bfloat16:
        G[:, 2:] = 0  # rounding a matrix to bfloat16 fills its zero directions
        G[:, 1] = G[:, 0]
    step = one_step(Power(p), G).double()
    rank = int((singular_values(step) > 0.05).sum())
    assert rank == (1 if dtype == torch.bfloat16 else 2)
    assert float(step.norm()) == pytest.approx(math.sqrt(rank), rel=1e-2)
    assert float(one_step(Power(p), torch.zeros_like(G)).abs().max()) == 0


@pytest.mark.parametrize(("match", "size"), [("polar", 2.0), ("unit", 1.0), ("spectral", None), ("none", None)])
def test_the_size_of_the_update_is_the_one_asked_for(match, size):
    G = 7 * prescribed_matrix([1.0, 0.5, 0.25, 0.1], 6, 4)
    step = one_step(SoftThreshold(0.2), G, match=match)
    values = torch.linalg.svdvals(step)
    if size is not None:
        assert float(step.norm()) == pytest.approx(size)
    else:
        assert float(values[0]) == pytest.approx(1.0 if match == "spectral" else 0.8)
    ratios = torch.tensor([0.8, 0.3, 0.05, 0.0], dtype=torch.float64) / 0.8
    torch.testing.assert_close(values / values[0], ratios, rtol=1e-9, atol=1e-12)


def test_random_spectra_are_new_every_step_and_the_same_in_every_run():
    f = RandomSpectrum(seed=4, low=0.5, high=2.0)
    first, second = (one_step(f, gaussian(6, 4, seed=s), match="none") for s in (0, 1))
    for step in (first, second):
        values = torch.linalg.svdvals(step)
        assert 0.5 <= float(values.min()) <= float(values.max()) <= 2.0
    assert not torch.allclose(torch.linalg.svdvals(first), torch.linalg.svdvals(second))
    assert torch.equal(first, one_step(RandomSpectrum(4, 0.5, 2.0), gaussian(6, 4), match="none"))
    assert not torch.equal(first, one_step(RandomSpectrum(5, 0.5, 2.0), gaussian(6, 4), match="none"))


def test_negative_values_climb_and_functions_that_vanish_stand_still():
    gradient = gaussian(5, 4)
    torch.testing.assert_close(one_step(lambda s: -s, gradient), -one_step(lambda s: s, gradient))
    for match in ("polar", "unit", "spectral", "none"):
        assert float(one_step(torch.zeros_like, gradient, match=match).abs().max()) == 0


def test_the_function_sees_a_copy_of_descending_relative_singular_values():
    seen = []

    def spy(sigma):
        seen.append(sigma.clone())
        return sigma.zero_() + 1

    gradient = gaussian(5, 4, dtype=torch.float32)
    step = one_step(spy, gradient)
    torch.testing.assert_close(step, one_step(Power(0.0), gradient))
    assert seen[0].dtype == torch.float64
    assert seen[0][0] == 1
    assert bool((seen[0].diff() <= 0).all())


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda s: s * float("nan"), ValueError, "NaN or inf, first at sigma = 1"),
        (lambda s: s / 0, ValueError, "NaN or inf"),
        (lambda s: s[:-1], ValueError, r"shape \(3,\) for \(4,\)"),
        (lambda s: float(s.sum()), TypeError, "float"),
        (lambda s: s.tolist(), TypeError, "list"),
    ],
)
def test_a_function_that_misbehaves_is_named_and_nothing_is_changed(f, error, text):
    one, two = nn.Parameter(gaussian(5, 4)), nn.Parameter(gaussian(5, 4))
    optimizer = SpectralMap([{"params": [one]}, {"params": [two], "f": f}], Power(0.5), lr=1.0)
    before = one.detach().clone(), two.detach().clone()
    one.grad, two.grad = gaussian(5, 4, seed=1), gaussian(5, 4, seed=2)
    for _ in range(2):
        with pytest.raises(error, match=text):
            optimizer.step()
    assert torch.equal(one, before[0])
    assert torch.equal(two, before[1])
    assert not optimizer.state


def double(sigma):
    return 2 * sigma


def halve(sigma):
    return sigma / 2


def test_states_hold_the_names_of_functions_and_refuse_other_ones():
    parameter = nn.Parameter(gaussian(5, 4))
    optimizer = SpectralMap([parameter], double)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["f"] == f"{__name__}.double"
    with pytest.raises(ValueError, match=r"double, this optimizer has .*halve"):
        SpectralMap([parameter], halve).load_state_dict(saved)
    SpectralMap([parameter], double).load_state_dict(saved)
    copied = pickle.loads(pickle.dumps(optimizer))
    assert copied.param_groups[0]["f"] == f"{__name__}.double"


def test_two_functions_of_one_name_are_kept_apart():
    one, two = nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.zeros(3, 3))
    groups = [{"params": [one], "f": lambda s: s}, {"params": [two], "f": lambda s: s**0}]
    optimizer = SpectralMap(groups, Power(0.5), lr=1.0, match="none")
    one.grad = two.grad = torch.diag(torch.tensor([1.0, 0.5, 0.25]))
    optimizer.step()
    torch.testing.assert_close(one.detach(), -one.grad)
    torch.testing.assert_close(two.detach(), -torch.eye(3))


def test_a_hybrid_passes_the_functions_on():
    one, two = nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.zeros(3))
    hybrid = Hybrid([SpectralMap([one], double, match="none", lr=0.5), torch.optim.AdamW([two])])
    hybrid.load_state_dict(hybrid.state_dict())
    one.grad = torch.eye(3)
    hybrid.step()
    torch.testing.assert_close(one.detach(), -torch.eye(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Power(math.nan),
        lambda: Power(math.inf),
        lambda: SoftThreshold(1.0),
        lambda: SoftThreshold(-0.1),
        lambda: SoftThreshold(math.nan),
        lambda: RandomSpectrum(-1),
        lambda: RandomSpectrum(0, 2.0, 1.0),
        lambda: RandomSpectrum(0, 0.0, math.inf),
    ],
)
def test_functions_out_of_range_are_rejected(make):
    with pytest.raises(ValueError, match="it must|they must"):
        make()


@pytest.mark.parametrize("f", [None, 0.5, "Power(0.5)", Power])
def test_what_is_no_function_is_rejected(f):
    with pytest.raises(TypeError, match="callable"):
        SpectralMap([nn.Parameter(torch.ones(2, 2))], f)


def test_an_unknown_match_is_rejected():
    with pytest.raises(ValueError, match="match is 'rms'"):
        SpectralMap([nn.Parameter(torch.ones(2, 2))], Power(0.5), match="rms")


def test_a_function_put_into_a_group_is_used_and_labelled_in_the_saved_state():
    weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = SpectralMap([weight], Power(1.0), lr=1.0, match="spectral")
    optimizer.param_groups[0]["f"] = Power(0.5)
    weight.grad = torch.diag(torch.tensor([4.0, 1.0]))
    optimizer.step()
    torch.testing.assert_close(weight.detach().diagonal(), torch.tensor([-1.0, -0.5]))
    assert optimizer.state_dict()["param_groups"][0]["f"] == "Power(p=0.5)"
