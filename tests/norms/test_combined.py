"""Combinations: limits, equivalent forms, exact gauges against the program, and parameters that are refused."""

import logging
import math

import pytest
import torch

from muon_theory.norms import (
    Combined,
    DualKyFan,
    Frobenius,
    KyFan,
    MaxEntry,
    Nuclear,
    RMSToRMS,
    Schatten,
    Spectral,
    SumEntries,
    f_fanion,
    f_fanion_gauge,
    f_muon_gauge,
    f_neon_gauge,
    s_fanion,
)
from muon_theory.norms.combined import _vector_ball
from muon_theory.norms.gauge_program import gauge_of_sum
from muon_theory.norms.schatten import leading


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spectra():
    """Descending vectors: random, tied, with zeros, one dominant, all equal, one only."""
    s = gaussian(8, 6).abs().sort(dim=-1, descending=True).values
    s[1, :3] = s[1, 0]
    s[2, 2:] = 0
    s[3, 0] = 1e8
    s[4] = 1
    s[5, 1:] = 0
    s[6] = torch.logspace(0, -14, 6, dtype=torch.float64)
    return s


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.1, 0.3, 0.5, 0.51, 0.9, 1 - 1e-6, 1.0])
def test_the_three_exact_gauges_agree_where_they_overlap(alpha):
    s = spectra()
    assert torch.allclose(f_fanion_gauge(s, 6, alpha), f_muon_gauge(s, alpha), rtol=1e-12)
    assert torch.allclose(f_fanion_gauge(s, 1, alpha), f_neon_gauge(s, alpha), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 2, 3.5, 6])
def test_the_exact_gauges_agree_with_the_program_that_solves_any_mixture(alpha, k):
    balls = [_vector_ball(alpha, DualKyFan(k)), _vector_ball(1 - alpha, Frobenius())]
    for s in spectra()[[0, 1, 2, 4]]:
        low, high = gauge_of_sum(s, balls)
        assert low * (1 - 1e-12) <= f_fanion_gauge(s, k, alpha).item() <= high * (1 + 1e-12)
        assert high / low < 1 + 2e-9


def test_the_f_muon_gauge_solves_its_equation_and_so_does_that_of_f_neon():
    s = spectra()
    for alpha in (0.2, 0.5, 0.8):
        t = f_muon_gauge(s, alpha)
        assert torch.allclose((s - alpha * t[:, None]).clamp_min(0).norm(dim=-1), (1 - alpha) * t, rtol=1e-7)
        t = f_neon_gauge(s, alpha)  # its tau from one expression for t, the other one checked
        low, high = torch.zeros(8, dtype=torch.float64), s[:, 0]
        for _ in range(100):
            tau = (low + high) / 2
            above = (s - tau[:, None]).clamp_min(0).sum(dim=-1) > alpha * t
            low, high = torch.where(above, tau, low), torch.where(above, high, tau)
        assert torch.allclose(torch.minimum(s, tau[:, None]).norm(dim=-1), (1 - alpha) * t, rtol=1e-7)


def test_limits_of_the_f_gauge_are_the_dual_ky_fan_and_the_frobenius_norm():
    X = gaussian(4, 6)
    for k in (1, 2.5, 4):
        assert f_fanion(k, 1.0).value(X).item() == pytest.approx(DualKyFan(k).value(X).item(), rel=1e-14)
        assert f_fanion(k, 0.0).value(X).item() == pytest.approx(Frobenius().value(X).item(), rel=1e-14)
        assert f_fanion(k, 1 - 1e-6).value(X).item() == pytest.approx(DualKyFan(k).value(X).item(), rel=1e-5)
        assert f_fanion(k, 1e-6).value(X).item() == pytest.approx(Frobenius().value(X).item(), rel=1e-5)
    assert s_fanion(2, 1.0).value(X).item() == pytest.approx(DualKyFan(2).value(X).item(), rel=1e-14)
    assert s_fanion(2, 0.0, 0.5).value(X).item() == pytest.approx(2 * MaxEntry().value(X).item(), rel=1e-14)


def test_ends_of_the_families_are_the_classical_norms():
    X = gaussian(5, 4)
    same = [
        (KyFan(1), Spectral()), (KyFan(4), Nuclear()), (DualKyFan(1), Nuclear()), (DualKyFan(4), Spectral()),
        (Schatten(1.0), Nuclear()), (Schatten(2.0), Frobenius()), (Schatten(math.inf), Spectral()),
        (f_fanion(4, 0.3), f_fanion(None, 0.3)), (s_fanion(4, 0.3, 0.2), s_fanion(None, 0.3, 0.2)),
    ]  # fmt: skip
    for one, other in same:
        assert torch.allclose(one.dual(X), other.dual(X), rtol=1e-12), one
        assert torch.allclose(one.value(X), other.value(X), rtol=1e-9), one
        assert torch.allclose(one.lmo(X), other.lmo(X), atol=1e-12), one


def test_dual_and_lmo_of_a_combination_are_the_weighted_sums():
    G, parts = gaussian(3, 4, 6), (DualKyFan(2), RMSToRMS(), MaxEntry(), SumEntries(), Frobenius())
    weights = (0.5, 2.0, 0.25, 1.0, 3.0)
    norm = Combined(weights, parts)
    assert torch.allclose(norm.dual(G), sum(a * part.dual(G) for a, part in zip(weights, parts, strict=True)))
    assert torch.allclose(norm.lmo(G), sum(a * part.lmo(G) for a, part in zip(weights, parts, strict=True)))


def test_combinations_are_merged_before_they_are_solved():
    X = gaussian(4, 6)
    assert Combined((0.5, 1.5), (Nuclear(), Nuclear())).value(X).item() == Nuclear().value(X).item() / 2
    nested = Combined((2.0, 1.0), (f_fanion(2, 0.5), Frobenius()))
    flat = Combined((1.0, 2.0), (DualKyFan(2), Frobenius()))
    assert nested.value(X).item() == pytest.approx(flat.value(X).item(), rel=1e-14)
    assert Combined((1.0, 0.0), (Nuclear(), MaxEntry())).unitarily_invariant
    assert not Combined((1.0, 0.1), (Nuclear(), MaxEntry())).unitarily_invariant
    with_rms = Combined((1.0, 1.0), (RMSToRMS(), Frobenius()))
    assert with_rms.value(X) == Combined((math.sqrt(4 / 6), 1.0), (Spectral(), Frobenius())).value(X)


def test_outside_of_0_to_1_the_blend_is_not_a_norm_and_is_refused():
    def blend(sigma, alpha):  # alpha KF_r + (1 - alpha) Frobenius, as alpha = 1.1 is run in published code
        return alpha * sigma.sum() + (1 - alpha) * sigma.norm()

    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert blend(one + other, 1.1) > blend(one, 1.1) + blend(other, 1.1) + 0.05  # no triangle inequality
    for alpha in (1.1, -0.1, math.nan):
        for make in (f_fanion, s_fanion):
            with pytest.raises(ValueError, match="alpha"):
                make(2, alpha)
        for gauge in (f_muon_gauge, f_neon_gauge, lambda s, a: f_fanion_gauge(s, 2, a)):
            with pytest.raises(ValueError, match="alpha"):
                gauge(torch.ones(3, dtype=torch.float64), alpha)


def test_bad_parameters_are_refused():
    for make in (KyFan, DualKyFan, f_fanion, s_fanion):
        for k in (0, 0.99, -1, math.nan):
            with pytest.raises(ValueError, match="k is"):
                make(k)
        norm = make(5)
        for ask in (norm.value, norm.dual, norm.lmo):
            with pytest.raises(ValueError, match="4 x 6 matrix has only 4 singular values"):
                ask(torch.ones(4, 6))
    for p in (0.5, -2, math.nan):
        with pytest.raises(ValueError, match="p is"):
            Schatten(p)
    for eta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="eta is"):
            s_fanion(2, 0.5, eta)
    for weights in ((1.0, -0.1), (1.0, math.nan), (math.inf, 1.0)):
        with pytest.raises(ValueError, match="weights has"):
            Combined(weights, (Spectral(), Frobenius()))
    with pytest.raises(ValueError, match="positive"):
        Combined((0.0, 0.0), (Spectral(), Frobenius()))
    with pytest.raises(ValueError, match="1 weights and 2 norms"):
        Combined((1.0,), (Spectral(), Frobenius()))
    with pytest.raises(ValueError, match="0 weights and 0 norms"):
        Combined((), ())
    with pytest.raises(TypeError, match="instances of Norm"):
        Combined((1.0,), (Spectral,))
    for k in (0, 4):
        with pytest.raises(ValueError, match="k is"):
            f_fanion_gauge(torch.ones(3, dtype=torch.float64), k, 0.5)


def test_the_program_says_how_far_its_bounds_are_apart(caplog, monkeypatch):
    X = gaussian(4, 5)
    balls = [_vector_ball(0.5, DualKyFan(2)), _vector_ball(0.5, Frobenius())]
    low, high = gauge_of_sum(torch.linalg.svdvals(X), balls, iterations=10)
    exact = f_fanion(2, 0.5).value(X).item()
    assert low < exact < high
    monkeypatch.setattr("muon_theory.norms.combined.gauge_of_sum", lambda *_, **__: (1.0, 1.5))
    with caplog.at_level(logging.WARNING):
        assert s_fanion(2).value(X) > 0
    assert "5.0e-01" in caplog.text


def test_leading_weights_sum_to_k_and_share_at_ties():
    sigma = torch.tensor([[3.0, 2.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    for k in (1, 1.5, 2, 3, 4, 4.5, 5):
        weights = leading(sigma, k)
        assert torch.allclose(weights.sum(dim=-1), torch.full((2,), k, dtype=torch.float64))
        assert bool(((weights >= 0) & (weights <= 1)).all())
        assert weights[1].unique().numel() == 1
    assert torch.equal(leading(sigma[:1, :1], 1), torch.ones(1, 1, dtype=torch.float64))


@pytest.mark.parametrize("p", [1.0, 1.0001, 1.25, 2, 3, 8, 1e4, math.inf])
def test_schatten_lmo_is_the_formula_and_its_limits_are_neon_and_muon(p):
    X = gaussian(5, 4)
    U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
    D = Schatten(p).lmo(X)
    if p in (1.0, 1.0001):
        assert torch.allclose(D, Nuclear().lmo(X), atol=1e-3)
    elif p >= 1e4:
        assert torch.allclose(D, Spectral().lmo(X), atol=1e-3)
    else:
        q = p / (p - 1)
        d = sigma ** (q - 1) / (sigma**q).sum() ** ((q - 1) / q)
        assert torch.allclose(D, -(U * d) @ Vt, atol=1e-13)
    assert Schatten(p).value(D).item() == pytest.approx(1, rel=1e-12)
