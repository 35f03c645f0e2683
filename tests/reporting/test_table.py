import gzip

import numpy as np
import pandas as pd
import pytest

from muon_theory.reporting.atomic import atomic_path, write_text
from muon_theory.reporting.table import read_table, write_table


def test_a_table_survives_the_round_trip_to_six_digits(tmp_path):
    table = pd.DataFrame({
        "method": ["taylor_3", "None"], "q": [1, 2], "error": [np.pi * 1e-9, np.inf], "time_s": [np.nan, 2.0],
        "sigma": [np.array([1.0, 1 / 3]), np.array([0.5])], "diverged": [True, False],
    })  # fmt: skip
    assert write_table(table, tmp_path).name == "table.csv"
    back = read_table(tmp_path)
    assert back["method"].tolist() == ["taylor_3", "None"]
    assert back["error"].tolist() == [3.14159e-09, np.inf]
    assert back["sigma"][0].tolist() == [1.0, 0.333333]
    assert back["diverged"].tolist() == [True, False]
    assert np.isnan(back["time_s"][0])


def test_a_long_table_is_compressed_and_replaces_the_plain_one(tmp_path):
    write_table(pd.DataFrame({"x": [1.0]}), tmp_path)
    path = write_table(pd.DataFrame({"x": np.random.default_rng(0).random(40_000)}), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv.gz"]
    first = path.read_bytes()
    assert gzip.decompress(first).count(b"\n") == 40_001
    write_table(pd.DataFrame({"x": np.random.default_rng(0).random(40_000)}), tmp_path)
    assert path.read_bytes() == first
    assert len(read_table(tmp_path)) == 40_000


def test_a_folder_without_a_table_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the study first"):
        read_table(tmp_path)


def test_an_interrupted_write_leaves_the_old_file_and_no_debris(tmp_path):
    path = tmp_path / "run.json"
    write_text(path, "old")
    writing = atomic_path(path)
    writing.__enter__().write_text("ne")
    assert writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is False
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
