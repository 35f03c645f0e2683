"""The spectrum of large matrices: right to what is promised, and not computed twice."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from muon_theory.recorder import exact_spectrum as module
from muon_theory.recorder import measure as measuring
from muon_theory.recorder.exact_spectrum import LayerSpectra, exact_spectrum
from muon_theory.recorder.matrices import MatrixKey
from muon_theory.recorder.measure import RecordedMatrix, measure
from muon_theory.spectra import blas_threads, log_uniform_spectrum, prescribed_matrix


def _truth(X: torch.Tensor) -> np.ndarray:
    return torch.linalg.svdvals(X.double()).numpy()


def _counted(monkeypatch) -> list[tuple[int, ...]]:
    computed: list[tuple[int, ...]] = []

    def count(X: torch.Tensor) -> np.ndarray:
        computed.append(tuple(X.shape))
        return exact_spectrum(X)

    monkeypatch.setattr(module, "exact_spectrum", count)
    return computed


@pytest.mark.parametrize("shape", [(160, 640), (640, 160), (200, 200)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1 / 3e-6, 1e12])
def test_large_spectra_keep_the_accuracy_that_is_promised(shape, dtype, condition):
    X = prescribed_matrix(log_uniform_spectrum(min(shape), condition), *shape, dtype=torch.float32).to(dtype)
    truth, found = _truth(X), exact_spectrum(X)
    asked = truth >= 3e-6 * truth[0]
    np.testing.assert_allclose(found[asked], truth[asked], rtol=1e-4)
    assert (np.diff(found) <= 0).all()
    assert (found >= 0).all()


def test_a_spectrum_that_the_gram_matrix_cannot_tell_is_taken_by_qr():
    sigma = torch.ones(512, dtype=torch.float64)
    sigma[256:] = 3e-6  # the worst case known: half of the spectrum at the top, half at the smallest value asked for
    X = prescribed_matrix(sigma, 512, 520, dtype=torch.float32)
    truth = _truth(X)
    asked = truth >= 3e-6 * truth[0]
    np.testing.assert_allclose(exact_spectrum(X)[asked], truth[asked], rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-35, 1e35])
def test_any_scale_that_the_dtype_holds_is_measured(scale):
    X = torch.randn(160, 300, generator=torch.Generator().manual_seed(0)) * scale
    np.testing.assert_allclose(exact_spectrum(X), _truth(X), rtol=1e-4)


def test_nan_inf_zero_and_strided_matrices():
    X = torch.randn(160, 300, generator=torch.Generator().manual_seed(0))
    for bad in (torch.nan, torch.inf, -torch.inf):
        Y = X.clone()
        Y[3, 5] = bad
        assert np.isnan(exact_spectrum(Y)).all()
    assert not exact_spectrum(torch.zeros(150, 200)).any()
    np.testing.assert_allclose(exact_spectrum(X.T[::2]), _truth(X.T[::2]), rtol=1e-4)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 40), (50, 0), (60, 250), (159, 299), (160, 300)])
def test_rows_and_columns_of_zeros_give_zeros_and_change_nothing_else(rows, columns):
    X = torch.randn(160, 300, generator=torch.Generator().manual_seed(0))
    X[torch.randperm(160, generator=torch.Generator().manual_seed(1))[:rows]] = 0.0
    X[:, torch.randperm(300, generator=torch.Generator().manual_seed(2))[:columns]] = -0.0
    for matrix in (X, X.T):
        found = exact_spectrum(matrix)
        left = min(160 - rows, 300 - columns)
        assert found.shape == (160,)
        np.testing.assert_allclose(found[:left], _truth(X)[:left], rtol=1e-6)
        assert not found[left:].any()


@pytest.mark.parametrize(
    ("blas", "torchs", "modest", "expected"),
    [(4, 1, 1000, [1]), (4, 3, 1000, [1]), (1, 2, 1000, []), (4, 3, 10, [3]), (2, 2, 10, []), (2, 1, 10, [1])],
)
def test_a_modest_product_takes_one_thread_and_a_large_one_no_more_than_torch(
    monkeypatch, blas, torchs, modest, expected
):
    asked: list[int] = []

    class Library:
        num_threads = blas

    class Libraries:
        lib_controllers = (Library(),)

        def limit(self, limits: int):
            asked.append(limits)
            return contextlib.nullcontext()

    monkeypatch.setattr(blas_threads, "_blas", Libraries)
    monkeypatch.setattr(module, "_MODEST", modest)
    monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
    exact_spectrum(torch.eye(3))
    assert asked == expected


def test_equal_matrices_of_a_layer_are_measured_once(monkeypatch):
    computed = _counted(monkeypatch)
    X = torch.randn(160, 300, generator=torch.Generator().manual_seed(0))
    spectra = LayerSpectra()
    first = spectra.spectrum("a", X)
    assert spectra.spectrum("a", X.clone()) is first
    assert len(computed) == 1
    spectra.spectrum("a", X * 2)  # a multiple is not the same matrix: only an update may be one
    spectra.spectrum("b", X)
    assert len(computed) == 3


def test_an_update_that_is_a_multiple_is_not_measured_again(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    X, before = (torch.randn(160, 300, generator=generator) for _ in range(2))
    computed = _counted(monkeypatch)
    for factor in (-0.3, -1e-3, 2.0):
        weight = before + factor * X
        update = weight - before
        spectra = LayerSpectra()
        spectra.spectrum("w", X)
        found = spectra.spectrum("w", update, weight)
        rows = measure([RecordedMatrix(MatrixKey(0, "w", "update"), update, weight)])
        assert np.abs(found - _truth(update)).max() <= 2 * rows[0].noise_floor  # Weyl: the remainder's spectral norm
    assert len(computed) == 6  # X and, in `measure`, the update alone


def test_an_update_that_is_no_multiple_is_measured(monkeypatch):
    computed = _counted(monkeypatch)
    generator = torch.Generator().manual_seed(0)
    X, before, other = (torch.randn(160, 300, generator=generator) for _ in range(3))
    weight = before - 1e-3 * (X + 1e-2 * other)  # with weight decay, or another direction
    spectra = LayerSpectra()
    spectra.spectrum("w", X)
    update = weight - before
    np.testing.assert_allclose(spectra.spectrum("w", update, weight), _truth(update), rtol=1e-4)
    assert len(computed) == 2
    for matrix in (torch.zeros_like(X), X * torch.nan):  # nothing to be a multiple of
        spectra = LayerSpectra()
        spectra.spectrum("w", matrix)
        np.testing.assert_allclose(spectra.spectrum("w", update, weight), _truth(update), rtol=1e-4)


def test_steps_of_sgd_share_spectra_and_those_of_muon_do_not(tmp_path, monkeypatch):
    from muon_theory.recorder import SpectrumRecorder, every, read_spectra

    computed = _counted(monkeypatch)
    counts = {}
    for name, make in {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "muon": lambda p: torch.optim.Muon(p, lr=0.1, nesterov=False),
    }.items():
        torch.manual_seed(0)
        model = torch.nn.Linear(200, 150, bias=False)
        optimizer = make(model.parameters())
        with SpectrumRecorder(optimizer, model, tmp_path / name, schedule=every(1)):
            for _ in range(2):
                computed.clear()
                model.weight.grad = torch.randn(150, 200)
                optimizer.step()
        counts[name] = len(computed)
        table = read_spectra(tmp_path / name)
        assert not table.duplicated(["step", "kind"]).any()
    # sgd: gradient = lmo_input, the update a multiple, weight; with momentum: gradient, momentum = lmo_input, weight
    assert counts == {"sgd": 2, "momentum": 3, "muon": 4}


def test_double_precision_takes_the_accurate_route(monkeypatch):
    monkeypatch.setattr(measuring, "LayerSpectra", lambda: None)
    X = torch.randn(140, 150, dtype=torch.float64)
    row = measure([RecordedMatrix(MatrixKey(0, "w", "weight"), X)])[0]
    np.testing.assert_allclose(row.sigma, _truth(X), rtol=1e-12)
