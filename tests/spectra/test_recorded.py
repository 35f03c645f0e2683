"""The reader of the recorded test set, on a small file of its own."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from muon_theory.spectra import recorded_matrix, recorded_spectra
from muon_theory.spectra.recorded import COLUMNS, name_seed


def frame(**changes):
    table = {
        "name": ["digits/muon/fc1/gradient/10", "digits/sgd/fc2/momentum/0"],
        "dataset": ["digits"] * 2,
        "optimizer": ["muon", "sgd"],
        "layer": ["0.weight", "2.weight"],
        "kind": ["gradient", "momentum"],
        "step": [10, 0],
        "rows": [3, 5],
        "columns": [4, 2],
        "sigma": [[2.0, 1.0, 1e-7], [3.0, 0.5]],
    }
    return {**table, **changes}


def write(folder, table, metadata=None):
    path = folder / "spectra.parquet"
    stored = pa.table(table)
    pq.write_table(stored.replace_schema_metadata(metadata) if metadata else stored, path)
    return path


def test_the_table_comes_back_with_float64_spectra(tmp_path):
    table = recorded_spectra(write(tmp_path, frame(), {"format_version": "1"}))
    assert isinstance(table, pd.DataFrame)
    assert tuple(table.columns) == COLUMNS
    assert table["sigma"][0].dtype == np.float64
    assert table["sigma"][0].tolist() == [2.0, 1.0, 1e-7]
    assert table["step"].tolist() == [10, 0]


def test_a_matrix_is_rebuilt_from_its_name_or_its_row(tmp_path):
    path = write(tmp_path, frame())
    table = recorded_spectra(str(path))
    for index, shape in ((0, (3, 4)), (1, (5, 2))):
        row = table.iloc[index]
        X = recorded_matrix(row["name"], dtype=torch.float64, path=path)
        assert X.shape == shape
        assert torch.linalg.svdvals(X).numpy() == pytest.approx(row["sigma"], rel=1e-8)
        assert torch.equal(recorded_matrix(row, dtype=torch.float64), X)
        assert torch.equal(recorded_matrix(row), X.float())
        assert torch.equal(recorded_matrix(dict(row), dtype=torch.float64), X)


def test_the_factors_depend_on_the_name_alone(tmp_path):
    table = recorded_spectra(write(tmp_path, frame()))
    row = dict(table.iloc[0])
    doubled = recorded_matrix({**row, "sigma": 2 * row["sigma"]}, dtype=torch.float64)
    torch.testing.assert_close(doubled, 2 * recorded_matrix(row, dtype=torch.float64), rtol=1e-12, atol=1e-15)
    assert not torch.allclose(recorded_matrix({**row, "name": "other"}), recorded_matrix(row), atol=1e-3)


def test_the_seed_of_a_name_is_the_same_in_every_process():
    assert name_seed("abc") == int(hashlib.sha256(b"abc").hexdigest()[:16], 16) == 0xBA7816BF8F01CFEA


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.parquet"):
        recorded_spectra(tmp_path / "absent.parquet")


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path, frame())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        recorded_spectra(path)


def test_another_layout_and_a_newer_format_are_refused(tmp_path):
    table = frame()
    del table["sigma"]
    with pytest.raises(ValueError, match=r"lacks the columns \['sigma'\]"):
        recorded_spectra(write(tmp_path, table))
    with pytest.raises(ValueError, match="format_version 2"):
        recorded_spectra(write(tmp_path, frame(), {"format_version": "2"}))
    with pytest.raises(ValueError, match="more than once"):
        recorded_spectra(write(tmp_path, frame(name=["twice", "twice"])))


def test_what_is_neither_a_name_nor_a_row_is_refused(tmp_path):
    path = write(tmp_path, frame())
    with pytest.raises(KeyError, match="no recorded matrix is called 'absent'"):
        recorded_matrix("absent", path=path)
    for wrong in (3, {"name": "x"}, None):
        with pytest.raises(TypeError, match="pass a name or a row"):
            recorded_matrix(wrong)
