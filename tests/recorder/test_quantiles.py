"""Spectra of very large matrices in quantiles: what is exact, how they are marked, and what older folders hold."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from muon_theory.recorder import SpectrumRecorder, every, read_matrices, read_spectra, summarize_spectra
from muon_theory.recorder.layout import METADATA_KEY, Spectrum, recording_files
from muon_theory.recorder.quantiles import QUANTILES, condensed_spectrum
from muon_theory.recorder.store import SpectrumStore
from muon_theory.spectra import nuclear_rank, spectral_entropy, stable_rank

PLAIN = ["run", "step", "layer", "kind", "rows", "columns", "dtype", "noise_floor", "sigma"]
MORE = ["condensed", "frobenius_norm", "nuclear_norm", "entropy"]


def _sigma(count: int, decades: float = 4.0) -> np.ndarray:
    return np.logspace(0.5, 0.5 - decades, count)


def _spectrum(step: int, sigma: np.ndarray, layer: str = "w", floor: float = 1e-2) -> Spectrum:
    return Spectrum(step, layer, "weight", len(sigma), len(sigma) + 5, "float32", floor, sigma)


def _store(folder, above: int | None, run: str = "a", first_step: int = 0, part: int = 100) -> SpectrumStore:
    return SpectrumStore(folder, run, first_step, {"w": (2, 2), "v": (2, 2)}, part, above)


@pytest.mark.parametrize("count", [65, 66, 100, 129, 4097])
def test_the_quantiles_are_those_of_numpy_and_hold_both_ends(count):
    sigma = _sigma(count)
    condensed = condensed_spectrum(sigma)
    np.testing.assert_allclose(condensed.quantiles, np.quantile(sigma, np.linspace(1, 0, QUANTILES)), rtol=1e-12)
    assert condensed.quantiles[0] == sigma[0]
    assert condensed.quantiles[-1] == sigma[-1]
    np.testing.assert_allclose(condensed[1:3], [np.linalg.norm(sigma), sigma.sum()], rtol=1e-14)
    assert condensed.entropy == spectral_entropy(sigma)


def test_tiny_zero_and_nan_spectra_are_condensed_as_they_are():
    tiny = condensed_spectrum(_sigma(100) * 1e-200)
    assert math.isclose(tiny.frobenius_norm, np.linalg.norm(_sigma(100)) * 1e-200, rel_tol=1e-12)
    zero = condensed_spectrum(np.zeros(100))
    assert (zero.frobenius_norm, zero.nuclear_norm, zero.entropy) == (0.0, 0.0, -math.inf)
    assert np.isnan(np.concatenate([np.ravel(part) for part in condensed_spectrum(np.full(100, np.nan))])).all()


@pytest.mark.parametrize("compacted", [True, False])
def test_only_larger_spectra_are_condensed_and_they_are_marked(tmp_path, compacted):
    small, large = _sigma(100), _sigma(300)
    store = _store(tmp_path, 100)
    store.append([_spectrum(0, small, "v"), _spectrum(0, large)])
    if compacted:
        store.close()
    table = read_spectra(tmp_path)
    assert table.columns.tolist() == [*PLAIN[:-1], *MORE, "sigma"]
    assert table["condensed"].tolist() == [False, True]
    assert table["rows"].tolist() == [100, 300]
    np.testing.assert_array_equal(table["sigma"].iloc[0], small)
    np.testing.assert_array_equal(table["sigma"].iloc[1], condensed_spectrum(large).quantiles)
    for row, sigma in zip(table.to_dict("records"), (small, large), strict=True):
        assert math.isclose(row["frobenius_norm"], np.linalg.norm(sigma), rel_tol=1e-14)
        assert math.isclose(row["nuclear_norm"], sigma.sum(), rel_tol=1e-14)
        assert row["entropy"] == spectral_entropy(sigma)


def test_summaries_of_condensed_spectra_are_those_of_the_whole_ones(tmp_path):
    spectra = [_sigma(300), np.ones(200), np.zeros(200), np.full(200, np.nan)]
    store = _store(tmp_path, 100)
    for step, sigma in enumerate(spectra):
        store.append([_spectrum(step, sigma)])
    found = summarize_spectra(read_spectra(tmp_path))
    for row, sigma in zip(found.to_dict("records"), spectra, strict=True):
        if np.isnan(sigma).any():
            assert math.isnan(row["stable_rank"])
            assert math.isnan(row["share_above_floor"])
            continue
        np.testing.assert_allclose(
            [row[name] for name in ("spectral_norm", "stable_rank", "nuclear_rank", "entropy")],
            [sigma[0], stable_rank(sigma), nuclear_rank(sigma), spectral_entropy(sigma)],
            rtol=1e-12,
        )
        assert abs(row["share_above_floor"] - np.mean(sigma > 1e-2)) <= 1 / 64


def test_a_recording_without_condensed_spectra_reads_as_before(tmp_path):
    store = _store(tmp_path / "one", None) if (tmp_path / "one").mkdir() is None else None
    assert store is not None
    store.append([_spectrum(0, _sigma(300))])
    store.close()
    (part,) = (tmp_path / "one").iterdir()
    header = json.loads(pq.read_schema(part).metadata[METADATA_KEY])
    assert header["format_version"] == 1  # releases that know no quantiles read it
    assert read_spectra(tmp_path / "one").columns.tolist() == PLAIN
    (tmp_path / "two").mkdir()
    store = _store(tmp_path / "two", 4096)
    store.append([_spectrum(0, _sigma(300))])  # none is as large as that
    store.close()
    assert read_spectra(tmp_path / "two").columns.tolist() == PLAIN


def test_sessions_of_both_versions_share_a_folder_and_a_run(tmp_path):
    sigma = _sigma(300)
    first = _store(tmp_path, None)
    for step in range(3):
        first.append([_spectrum(step, sigma)])
    first.close()
    second = _store(tmp_path, 100, first_step=2)
    for step in (2, 3):
        second.append([_spectrum(step, sigma)])
    for _ in range(2):
        table = read_spectra(tmp_path)
        assert table["step"].tolist() == [0, 1, 2, 3]
        assert table["condensed"].tolist() == [False, False, True, True]
        np.testing.assert_allclose(table["nuclear_norm"], sigma.sum(), rtol=1e-14)
        assert table["sigma"].map(len).tolist() == [300, 300, QUANTILES, QUANTILES]
        second.close()
    versions = {}
    for file in recording_files(tmp_path):
        versions[file.session] = json.loads(pq.read_schema(file.path).metadata[METADATA_KEY])["format_version"]
    assert versions == {1: 1, 2: 2}


def test_the_recorder_condenses_what_the_option_says_and_nothing_else(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(70, 80, bias=False), nn.Linear(80, 10, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["weight"], quantiles_above=66, store_matrices=True
    ):
        model(torch.ones(2, 70)).square().mean().backward()
        optimizer.step()
        optimizer.step()
    table = read_spectra(tmp_path)
    assert table["condensed"].tolist() == [True, False] * 2
    sigma = torch.linalg.svdvals(model[0].weight.detach().double()).numpy()
    np.testing.assert_allclose(table["sigma"].iloc[2], condensed_spectrum(sigma).quantiles, rtol=1e-4)
    matrices = list(read_matrices(tmp_path))
    assert [tuple(matrix.shape) for _, matrix in matrices] == [(80, 70), (10, 80)] * 2
    assert matrices[0][0]["condensed"]
    for wrong in (64, 0):
        with pytest.raises(ValueError, match="quantiles_above is .*: pass an integer >= 65"):
            SpectrumRecorder(optimizer, model, tmp_path, quantiles_above=wrong)
