"""The noise floor against the experiment: round a matrix of known spectrum and look at what is left of it."""

import numpy as np
import pytest
import torch

from muon_theory.spectra import log_uniform_spectrum, noise_floor, prescribed_matrix, singular_values

SHORT_FORMATS = [torch.bfloat16, torch.float16, torch.float32]


@pytest.mark.parametrize("dtype", SHORT_FORMATS)
@pytest.mark.parametrize("shape", [(128, 128), (100, 450), (450, 100), (1, 100)])
@pytest.mark.parametrize("kind", ["flat", "log-uniform"])
def test_the_rounding_error_has_the_predicted_spectral_norm(dtype, shape, kind):
    r = min(shape)
    sigma = np.ones(r) if kind == "flat" else log_uniform_spectrum(r, 1e8)
    X = prescribed_matrix(sigma, *shape, seed=1)
    error = torch.linalg.matrix_norm(X.to(dtype).double() - X, 2).item()
    floor = noise_floor(dtype, shape, float(torch.linalg.matrix_norm(X)))
    assert 0.6 <= error / floor <= 1.1


@pytest.mark.parametrize("dtype", SHORT_FORMATS)
def test_a_rank_one_matrix_stays_within_three_floors(dtype):
    for seed in range(5):
        X = prescribed_matrix([1.0], 60, 200, seed=seed)
        second = torch.linalg.svdvals(X.to(dtype).double())[1].item()
        assert 0.7 <= second / noise_floor(dtype, X.shape, 1.0) <= 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_singular_values_are_right_above_the_floor_and_noise_below(dtype):
    sigma = log_uniform_spectrum(256, 1e8)
    X = prescribed_matrix(sigma, 256, 1152, seed=2)
    floor = noise_floor(dtype, X.shape, float(torch.linalg.matrix_norm(X)))
    departure = np.abs(singular_values(X.to(dtype), method="qr").numpy() / sigma - 1)
    assert departure[sigma > 3 * floor].max() < 0.1
    assert departure[sigma < floor / 3].min() > 0.1


def test_the_floor_follows_unit_roundoff_shape_and_norm():
    floor = noise_floor(torch.bfloat16, (256, 1152), 1.0)
    assert floor == pytest.approx(2**-8 / 3**0.5 * (16 + 1152**0.5) / (256 * 1152) ** 0.5)
    assert noise_floor("torch.bfloat16", (1152, 256), 2.0) == pytest.approx(2 * floor)
    assert noise_floor("float16", torch.Size([7, 256, 1152]), 1.0) == pytest.approx(floor / 8)
    assert noise_floor(torch.float64, (2, 2), 0.0) == 0


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((torch.int8, (2, 2), 1.0), TypeError, "torch.int8"),
        (("float12", (2, 2), 1.0), TypeError, "float12"),
        (("eye", (2, 2), 1.0), TypeError, "eye"),
        ((torch.float32, (2,), 1.0), ValueError, "shape is"),
        ((torch.float32, (0, 2), 1.0), ValueError, "shape is"),
        ((torch.float32, (2, 2), -1.0), ValueError, "frobenius_norm is -1.0"),
        ((torch.float32, (2, 2), float("nan")), ValueError, "frobenius_norm is nan"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        noise_floor(*arguments)
