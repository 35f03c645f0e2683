import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from muon_theory.problems import data_folder, load_images
from muon_theory.spectra import recorded_matrix, recorded_spectra
from muon_theory.spectra.recorded import RECORDED_FILE
from muon_theory.training.recorded_set import KINDS, LEARNING_RATES, RECORDED_STEPS, build_recorded_set, exact_spectrum


@pytest.fixture(scope="module")
def committed():
    return recorded_spectra()


def assert_same_spectra(built, committed):
    # early spectra depend on the machine's rounding only, which enters relative to sigma_1
    stored = committed.set_index("name")["sigma"]
    for name, sigma in zip(built["name"], built["sigma"], strict=True):
        np.testing.assert_allclose(sigma, stored[name], rtol=1e-3, atol=1e-4 * sigma[0])


def test_the_committed_set_is_small_complete_and_exact(committed):
    assert RECORDED_FILE.stat().st_size < 200_000
    assert len(committed) == 2 * 3 * 6 * 3 * 2
    for dataset, steps in RECORDED_STEPS.items():
        for optimizer in LEARNING_RATES:
            rows = committed[(committed.dataset == dataset) & (committed.optimizer == optimizer)]
            assert set(rows.step) == set(steps)
            assert set(rows.kind) == set(KINDS)
            assert set(rows.layer) == {"layer1.weight", "layer2.weight", "head.weight"}
    for row in committed.itertuples():
        assert row.sigma.shape == (min(row.rows, row.columns),)
        assert row.sigma[0] > 0
        assert np.all(np.diff(row.sigma) <= 0)
        assert np.all(row.sigma >= 0)


def test_the_committed_set_is_what_the_builder_makes(committed, tmp_path):
    out, originals = tmp_path / "set.parquet", tmp_path / "originals.safetensors"
    built = build_recorded_set(out, steps={"digits": (10, 1)}, matrices_to=originals)
    assert_same_spectra(built, committed)
    reread = recorded_spectra(out)
    assert reread.drop(columns="sigma").equals(built.drop(columns="sigma"))
    assert all(np.array_equal(one, two) for one, two in zip(reread.sigma, built.sigma, strict=True))
    matrices = load_file(originals)
    assert list(built["name"]) == sorted(matrices, key=list(built["name"]).index)
    for row in built.itertuples():
        np.testing.assert_array_equal(exact_spectrum(matrices[row.name]), row.sigma)
    assert pq.read_schema(out).metadata[b"format_version"] == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["originals.safetensors", "set.parquet"]


@pytest.mark.data
def test_the_committed_mnist_spectra_are_what_the_builder_makes(committed, tmp_path):
    if not (data_folder() / "mnist").is_dir():
        pytest.skip("needs MNIST in the data folder: set MUON_THEORY_DATA, or run `muon-theory fetch mnist`")
    assert_same_spectra(build_recorded_set(tmp_path / "set.parquet", steps={"mnist": (1, 10)}), committed)


def test_a_rebuilt_matrix_has_the_recorded_spectrum(committed):
    for row in committed.iloc[::40].itertuples():
        sigma = exact_spectrum(recorded_matrix(row.name, dtype=torch.float64))
        np.testing.assert_allclose(sigma, row.sigma, rtol=0, atol=1e-13 * row.sigma[0])


def test_a_diverging_run_builds_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("muon_theory.training.recorded_set.LEARNING_RATES", {"sgd": 1e30})
    with pytest.raises(ValueError, match="sgd on digits diverged at step"):
        build_recorded_set(tmp_path / "set.parquet", steps={"digits": (50,)})
    assert list(tmp_path.iterdir()) == []


def test_gradients_of_a_batch_have_at_most_its_rank_but_for_rounding(committed):
    # 64 samples: beyond the 64th, a gradient's singular values are float32 rounding
    gradients = committed[(committed.kind == "gradient") & (committed[["rows", "columns"]].min(axis=1) > 64)]
    assert load_images("digits").features == 64
    for sigma in gradients.sigma:
        assert sigma[64] < 1e-6 * sigma[0]
