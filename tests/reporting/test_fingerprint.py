import importlib
import sys

import numpy as np
import pytest

from muon_theory.reporting import fingerprint
from muon_theory.reporting.fingerprint import canonical_json, cell_key, module_hash, package_hash


def test_equal_parameters_give_equal_text_whatever_their_order_and_numpy_scalars_are_numbers():
    assert canonical_json({"b": np.float64(0.5), "a": np.int64(3)}) == canonical_json({"a": 3, "b": 0.5})
    assert canonical_json({"a": float("inf")}) == '{"a":Infinity}'


@pytest.mark.parametrize("value", [object(), {1, 2}, np.zeros(3), 1j])
def test_what_is_no_json_value_is_named(value):
    with pytest.raises(TypeError, match="parameter spectrum = "):
        canonical_json({"q": 1, "spectrum": value})


def test_one_and_one_point_zero_are_different_cells():
    assert cell_key(canonical_json, {"q": 1}, "code") != cell_key(canonical_json, {"q": 1.0}, "code")
    assert cell_key(canonical_json, {"q": 1}, "code") != cell_key(canonical_json, {"q": 1}, "code", "context")


def test_the_package_hash_sees_code_and_shipped_data_but_not_the_reporting_floor(tmp_path, monkeypatch):
    for name in ("polar/exact.py", "spectra/set.parquet", "reporting/style.py", "cli/run.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    before = package_hash()
    (tmp_path / "reporting/style.py").write_text("2")
    (tmp_path / "cli/run.py").write_text("2")
    assert package_hash() == before
    (tmp_path / "spectra/set.parquet").write_text("2")
    after = package_hash()
    assert after != before
    (tmp_path / "polar/exact.py").write_text("2")
    assert package_hash() not in (before, after)


def test_a_modules_hash_follows_its_imports_inside_its_own_package(tmp_path, monkeypatch):
    package = tmp_path / "hashed_studies"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "question.py").write_text("import json\nfrom . import shared\nfrom hashed_studies.other import x\n")
    (package / "shared.py").write_text("y = 1\n")
    (package / "other.py").write_text("x = 1\n")
    (package / "stranger.py").write_text("z = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    hashes = [module_hash("hashed_studies.question")]
    (package / "stranger.py").write_text("z = 2\n")
    assert module_hash("hashed_studies.question") == hashes[0]
    for name in ("shared", "other"):
        (package / f"{name}.py").write_text("x = 2\n")
        hashes.append(module_hash("hashed_studies.question"))
    assert len(set(hashes)) == 3
    for name in [name for name in sys.modules if name.startswith("hashed_studies")]:
        del sys.modules[name]


def test_a_module_without_source_cannot_be_hashed():
    with pytest.raises(ValueError, match="has no source file"):
        module_hash("no_such_notebook")
