import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from muon_theory.reporting import source_hash
from muon_theory.reporting.fingerprint import canonical_json, cell_key
from muon_theory.reporting.source_hash import function_hash, module_hash, package_hash


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
    monkeypatch.setattr(source_hash, "ROOT", tmp_path)
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


QUESTION = """
import math
from hashed_question_parts import constants, drawing
SCALE = 2.0
TITLE = "a title"
CALLS = []
CALLS.append(1)

def helped(x):
    return math.sqrt(x) * SCALE * constants.C

def cell(x):
    return {"x": helped(x)}

def figure(table):
    return drawing.plot(TITLE)
"""


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("a title", "another title", False),
        ("return drawing", "return 2 * drawing", False),
        ("def helped(x):\n", 'def helped(x):\n    """Say what."""\n    # and why\n\n', False),
        ("SCALE = 2.0", "SCALE = 3.0", True),
        ("math.sqrt(x)", "math.exp(x)", True),
        ("CALLS.append(1)", "CALLS.append(2)", True),
        ('{"x": helped(x)}', '{"y": helped(x)}', True),
    ],
)
def test_only_what_a_cell_can_reach_counts_so_restyling_a_figure_recomputes_nothing(
    old, new, changes, tmp_path, monkeypatch
):
    package = tmp_path / "hashed_question_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "constants.py").write_text("C = 1")
    (package / "drawing.py").write_text("def plot(title): ...")
    (tmp_path / "hashed_question.py").write_text(QUESTION)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    module = importlib.import_module("hashed_question")
    before = function_hash(module.cell)
    assert old in QUESTION
    (tmp_path / "hashed_question.py").write_text(QUESTION.replace(old, new))
    assert (function_hash(module.cell) != before) is changes
    for name in [name for name in sys.modules if name.startswith("hashed_question")]:
        del sys.modules[name]


def test_a_studys_cell_depends_on_the_floors_it_imports_and_on_no_other():
    from studies.newton_schulz_convergence import recorded_gradients
    from studies.polar import q_and_degree

    modules = {
        study.__name__: source_hash._imported(ast.parse(Path(study.__file__).read_text()), study.__name__, "studies")
        for study in (q_and_degree, recorded_gradients)
    }
    assert not any(name.startswith("muon_theory.reporting") for names in modules.values() for name in names)
    assert "muon_theory.training" in modules["studies.newton_schulz_convergence.recorded_gradients"]
    assert "muon_theory.training" not in modules["studies.polar.q_and_degree"]
    assert function_hash(q_and_degree.cell) != function_hash(recorded_gradients.cell)
