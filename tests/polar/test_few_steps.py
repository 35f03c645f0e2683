import math

import pytest
import torch

from muon_theory.polar import orthogonalize, polar_express, polar_factor
from muon_theory.polar.few_steps import _JORDAN_SLOPE, _LADDER, _rungs, _slopes, cheapest_dtype, few_steps
from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, recorded_matrix, recorded_spectra


def distance(O, X):
    """Root mean square distance to the exact polar factor."""
    return float(torch.linalg.matrix_norm(O.double() - polar_factor(X.double())) / math.sqrt(min(X.shape)))


def jordan(X):
    return orthogonalize(X, "jordan_2024", 5, compute_dtype=torch.bfloat16, form="dense")


def gaussian(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "shape", [(768, 768), (256, 1024), (64, 64), (16, 27), (16, 144), (64, 576), (256, 64), (10, 64), (2, 5), (1, 9)]
)
def test_gaussian_matrices_come_closer_than_by_five_jordan_steps(shape):
    X = gaussian(*shape)
    assert distance(few_steps(X[None])[0], X) <= distance(jordan(X), X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("condition_number", [1e1, 1e2, 1e3, 1e5])
@pytest.mark.parametrize("shape", [(64, 64), (192, 192), (64, 256), (300, 100)])
def test_spread_spectra_come_closer_than_by_five_jordan_steps(shape, condition_number, dtype):
    X = prescribed_matrix(log_uniform_spectrum(min(shape), condition_number), *shape, dtype=torch.float32)
    assert distance(few_steps(X[None], compute_dtype=dtype)[0], X) <= distance(jordan(X), X)


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_power_laws_come_closer_than_by_five_jordan_steps(power):
    X = prescribed_matrix(torch.arange(1, 97).double() ** -power, 96, 256, dtype=torch.float32)
    assert distance(few_steps(X[None])[0], X) <= distance(jordan(X), X)


def test_recorded_matrices_come_closer_than_by_five_jordan_steps():
    table = recorded_spectra()
    small = table[table["columns"] <= 256]
    for name in small["name"].iloc[:: max(1, len(small) // 12)]:
        X = recorded_matrix(name)
        assert distance(few_steps(X[None])[0], X) <= distance(jordan(X), X), name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(128, 512), (160, 320)])
@pytest.mark.parametrize("condition_number", [1, 3, 10, 100, 1e4])
def test_no_singular_value_overshoots_more_than_jordans(shape, condition_number, seed):
    # the Gram form in bfloat16 must not blow up: its worst was 1e10 without restarts, 1.8 with the first step in it
    X = prescribed_matrix(log_uniform_spectrum(shape[0], condition_number), *shape, seed=seed, dtype=torch.float32)
    assert torch.linalg.matrix_norm(few_steps(X[None], compute_dtype=torch.bfloat16)[0], 2) <= 1.22


def test_one_spike_over_a_flat_rest_is_within_the_worst_error():
    sigma = torch.cat([torch.ones(1), 0.1 * torch.ones(255)]).double()
    X = prescribed_matrix(sigma, 256, 512, dtype=torch.float32)
    assert distance(few_steps(X[None])[0], X) <= 0.07


def test_every_rung_is_within_jordans_worst_error_where_the_slope_rule_admits_it():
    for (steps, lower), slope in zip(_LADDER, _slopes(), strict=True):
        assert polar_express(lower, steps, safety=1.01).worst_error <= 0.17
        assert slope > _JORDAN_SLOPE / 12
    assert _slopes()[-1] > 1.01 * _JORDAN_SLOPE  # the last rung serves every matrix: ||X||_F >= ||X||_S8


def test_flat_spectra_take_fewer_steps():
    def steps(sigma):
        return _LADDER[_rungs(1.01 * (sigma**8).sum() ** 0.125 / (sigma**2).sum().sqrt()[None])[0]][0]

    assert steps(torch.ones(768)) == 3
    assert steps(torch.ones(16)) == 4
    assert steps(torch.tensor([1.0, 1e-3])) == 5


def test_a_matrix_does_not_depend_on_the_others_of_its_batch():
    batch = torch.stack([gaussian(40, 60), prescribed_matrix(log_uniform_spectrum(40, 1e4), 40, 60).float()])
    batch = torch.cat([batch, gaussian(1, 40, 60, seed=1), torch.zeros(1, 40, 60)])
    together = few_steps(batch, compute_dtype=torch.float32)
    for X, O in zip(batch, together, strict=True):
        torch.testing.assert_close(few_steps(X[None], compute_dtype=torch.float32)[0], O, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exponent", [-110, -60, 3, 60, 110])
def test_powers_of_two_are_divided_out_exactly(exponent):
    X = gaussian(2, 40, 50)
    assert torch.equal(few_steps(X * 2.0**exponent), few_steps(X))


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_other_scales_change_the_rounding_only(scale):
    X = gaussian(2, 40, 50)
    change = torch.linalg.matrix_norm(few_steps(X * scale) - few_steps(X)) / math.sqrt(40)
    assert change.max() <= 0.05  # bfloat16 rounds the entries anew, which turns the smallest directions
    X = X.double()
    kept = few_steps(X, compute_dtype=torch.float64)
    torch.testing.assert_close(few_steps(X * scale, compute_dtype=torch.float64), kept, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 40, 50), (3, 50, 40), (1, 8, 8)])
def test_dtype_shape_and_input_are_kept(dtype, shape):
    X = gaussian(*shape).to(dtype)
    before = X.clone()
    O = few_steps(X)
    assert (O.dtype, O.shape) == (dtype, X.shape)
    assert torch.equal(X, before)


def test_zero_stays_zero_and_not_a_number_stays_alone():
    X = gaussian(3, 6, 9)
    X[0], X[1, 0, 0] = 0.0, math.nan
    O = few_steps(X)
    assert torch.equal(O[0], torch.zeros(6, 9))
    assert bool(O[1].isnan().all())
    assert bool(O[2].isfinite().all())


def test_rank_one_stays_rank_one_in_float32_and_bfloat16_lifts_its_noise_like_jordans():
    X = torch.outer(gaussian(40), gaussian(70, seed=1))
    sigma = torch.linalg.svdvals(few_steps(X[None], compute_dtype=torch.float32)[0])
    assert sigma[0] == pytest.approx(1.0, abs=0.02)
    assert sigma[1] < 1e-3
    noise = torch.linalg.svdvals(few_steps(X[None], compute_dtype=torch.bfloat16)[0])[1]
    assert noise <= 2 * torch.linalg.svdvals(jordan(X))[1]  # 0.55 and 0.33: the ends of the maps differ


def test_small_matrices_run_in_float32():
    assert cheapest_dtype(torch.ones(32, 500)) == torch.float32
