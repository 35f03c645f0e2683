"""The manners of the house that a script can see."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "muon_theory").rglob("*.py"))
STUDIES = sorted((ROOT / "studies").rglob("*.py"))
PYTHON = PACKAGE + STUDIES + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))
TEXT = [*PYTHON, ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.yml")]
DRAWERS = {"utils", "util", "misc", "helpers", "helper", "common", "tools", "base", "new", "old", "tmp"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _public_definitions(path: Path):
    """Public functions, classes and public methods of public classes."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        yield f"{node.name}.{member.name}", member


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_no_file_is_longer_than_four_hundred_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_a_study_has_at_most_150_lines():
    assert {_name(p): n for p in STUDIES if (n := len(p.read_text().splitlines())) > 150} == {}


def test_no_file_name_says_nothing():
    assert [_name(p) for p in PYTHON if p.stem.strip("_") in DRAWERS] == []


def test_a_room_has_at_most_six_formula_files():
    for room in (p for p in (ROOT / "muon_theory" / "rooms").iterdir() if p.is_dir() and p.name != "__pycache__"):
        assert len([p for p in room.glob("*.py") if p.name != "__init__.py"]) <= 6, room.name


def test_a_rooms_opening_page_holds_no_code():
    for room in (ROOT / "muon_theory" / "rooms").glob("*/__init__.py"):
        body = ast.parse(room.read_text()).body
        assert len(body) == 1, room
        assert isinstance(body[0], ast.Expr)


def test_every_public_function_and_class_names_its_source():
    missing = [
        f"{_name(path)}: {name}"
        for path in PACKAGE
        for name, node in _public_definitions(path)
        if "Source:" not in (ast.get_docstring(node) or "") and not _is_override(node)
    ]
    assert missing == []


def _is_override(node: ast.AST) -> bool:
    """Methods whose meaning is the superclass's, and properties with a one-line docstring."""
    decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
    return any(d.split(".")[-1] in ("override", "property", "cached_property", "overload") for d in decorators)


def test_the_package_does_not_print():
    printing = [
        f"{_name(path)}:{node.lineno}"
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_schulz_is_spelled_schulz():
    wrong = re.compile(r"s(?:hultz|hulz|chultz|hulze)\b", re.IGNORECASE)
    assert [_name(p) for p in TEXT if p != Path(__file__).resolve() and wrong.search(p.read_text())] == []


def test_no_path_of_a_machine_stands_in_a_tracked_file():
    pattern = re.compile(r"(?<![\w.~-])/(?:work|farm|root|home)/")
    here = Path(__file__).resolve()
    assert [_name(p) for p in TEXT if p != here and pattern.search(p.read_text())] == []


def test_single_capital_letters_used_as_names_stand_in_the_notation():
    listed = set(re.findall(r"`([A-Za-z]\w*)`", (ROOT / "NOTATION.md").read_text()))
    used: dict[str, str] = {}
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else ""
            if re.fullmatch(r"[A-Z]", name):
                used.setdefault(name, _name(path))
    assert {name: where for name, where in used.items() if name not in listed} == {}


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_recorder_imports_without_sklearn_matplotlib_or_sympy():
    assert _modules_after("import muon_theory.recorder") & {"sklearn", "matplotlib", "sympy", "seaborn"} == set()


def test_the_command_line_imports_without_torch():
    assert _modules_after("import muon_theory.cli") & {"torch", "matplotlib", "sympy", "sklearn"} == set()


def test_every_module_imports_in_a_fresh_process():
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in PACKAGE if p.name != "__init__.py"]
    # One process imports them in reverse alphabetical order, so that a cycle hidden by the usual order shows.
    code = "import importlib\n" + "\n".join(f"importlib.import_module({n!r})" for n in reversed(names))
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
