import importlib
import sys

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


PARTS = {
    "__init__.py": "from hashed_parts.muon import Muon\nfrom hashed_parts.other import Other\n__all__ = ['Muon']\n",
    "muon.py": (
        "from typing import TYPE_CHECKING\nfrom hashed_parts.steps import step\nfrom hashed_parts import tables\n"
        "if TYPE_CHECKING:\n    from hashed_parts.other import Other\n"
        "RATES = {'a': 1}\nRATES['b'] = 2\nUNUSED = 3\n"
        "class Muon:\n    def run(self, x):\n        from hashed_parts.lazy import late\n"
        "        return late(step(x) * RATES['a'] * tables.SCALE)\n\ndef beside(): ...\n"
    ),
    "other.py": "class Other:\n    rate = 1\n",
    "steps.py": "import math\n\ndef step(x):\n    return math.sqrt(x)\n\ndef unrelated(x): ...\n",
    "lazy.py": "def late(x):\n    return x\n",
    "tables.py": "SCALE = 1.0\n",
    "registry.py": "KNOWN = []\ndef known(f):\n    KNOWN.append(f)\n    return f\n\n@known\ndef first(): return 1\n",
}
CELL = """
from hashed_parts import Muon
from hashed_parts.registry import KNOWN

def cell(x):
    return Muon().run(x) + len(KNOWN)
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("__init__.py", "__all__", "from hashed_parts.lazy import late\n__all__", False),
        ("other.py", "rate = 1", "rate = 2", False),
        ("muon.py", "UNUSED = 3", "UNUSED = 4", False),
        ("muon.py", "def beside(): ...", "def beside(): return 1", False),
        ("muon.py", "class Muon:\n", 'class Muon:\n    """Say what."""\n', False),
        ("muon.py", "if TYPE_CHECKING:\n", "if TYPE_CHECKING:\n    import collections\n", False),
        ("steps.py", "def unrelated(x): ...", "def unrelated(x): return 2", False),
        ("steps.py", "import math\n", '"""A docstring."""\n\nimport math  # and a comment\n', False),
        ("muon.py", "RATES['b'] = 2", "RATES['b'] = 3", True),
        ("muon.py", "step(x) *", "2 * step(x) *", True),
        ("steps.py", "math.sqrt", "math.exp", True),
        ("steps.py", "import math", "import cmath as math", True),
        ("lazy.py", "return x", "return -x", True),
        ("tables.py", "1.0", "2.0", True),
        ("registry.py", "return 1", "return 2", True),
        ("registry.py", "KNOWN.append(f)", "KNOWN.insert(0, f)", True),
        ("__init__.py", "hashed_parts.muon", "hashed_parts.steps", True),
    ],
)
def test_names_are_followed_through_imports_from_definition_to_definition(
    file, old, new, changes, tmp_path, monkeypatch
):
    package = tmp_path / "hashed_parts"
    package.mkdir()
    for name, text in PARTS.items():
        (package / name).write_text(text)
    (package / "question.py").write_text(CELL)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    cell = importlib.import_module("hashed_parts.question").cell
    before = function_hash(cell)
    assert old in PARTS[file]
    (package / file).write_text(PARTS[file].replace(old, new))
    assert (function_hash(cell) != before) is changes
    for name in [name for name in sys.modules if name.startswith("hashed_parts")]:
        del sys.modules[name]


def test_a_studys_cell_depends_on_the_definitions_it_reaches_and_on_no_others():
    from studies.newton_schulz_convergence import recorded_gradients
    from studies.polar import q_and_degree

    reached = [
        source_hash._reached({(study.__name__, "cell")}, {"muon_theory", "studies"})[0]
        for study in (q_and_degree, recorded_gradients)
    ]
    assert not any(name.startswith("muon_theory.reporting") for names in reached for name in names)
    assert "muon_theory.training.run" in reached[1]
    assert not any(name.startswith("muon_theory.training") for name in reached[0])
    assert "muon_theory.optimizers.dion" not in reached[1]
    assert function_hash(q_and_degree.cell) != function_hash(recorded_gradients.cell)
