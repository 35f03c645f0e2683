"""The manuscript types no result by hand, refers to what exists, and shows figures that studies make."""

import importlib.util
import re
from pathlib import Path

import pytest

from muon_theory.reporting.study import find_studies

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "paper"
FILES = [PAPER / "main.tex", *sorted((PAPER / "sections").glob("*.tex"))]
TEXTS = {path.name: re.sub(r"(?<!\\)%.*", "", path.read_text(encoding="utf-8")) for path in FILES}
ALL = "\n".join(TEXTS.values())
SECTIONS = {name: text for name, text in TEXTS.items() if name != "main.tex"}
COMMANDS = re.compile(
    r"\\(?:result|cite|ref|label|input|includegraphics|begin|hspace)(?:\[[^]]*\])?\{[^}]*\}(?:\{[^}]*\})?"
)
TYPED = re.compile(r"\d*\.\d+|\d{2,}|\d\s*\\%")


def _typed(text: str) -> list[str]:
    """Numbers of a section that look like results: decimals, percentages, integers of two digits or more."""
    lengths = re.sub(r"[\d.]+\\(?:linewidth|textwidth)", " ", text.replace("CIFAR-10", ""))
    return TYPED.findall(COMMANDS.sub(" ", lengths))


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("paper_results", PAPER / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SECTIONS)
def test_no_result_is_typed_by_hand(name):
    assert _typed(SECTIONS[name]) == []


@pytest.mark.parametrize("typed", ["falls to .31 nats", "by 12 %", "at 7\\% of", "$\\chi = 130$", "216 matrices"])
def test_a_typed_result_would_be_found(typed):
    assert _typed(typed)


def test_formulas_and_named_results_are_no_typed_results():
    assert (
        _typed("$1 - x^2/4$ is \\result{loss.gap.5} in \\cite{kim_2026}, \\includegraphics[width=.5\\linewidth]{a/b}")
        == []
    )


def test_every_reference_has_its_label_and_every_citation_its_entry():
    labels = set(re.findall(r"\\label\{([^}]+)\}", ALL))
    assert set(re.findall(r"\\ref\{([^}]+)\}", ALL)) <= labels
    cited = {key.strip() for keys in re.findall(r"\\cite\{([^}]+)\}", ALL) for key in keys.split(",")}
    entries = set(re.findall(r"@\w+\{([^,]+),", (PAPER / "references.bib").read_text(encoding="utf-8")))
    assert cited == entries


def test_every_included_section_exists_and_every_section_is_included():
    included = set(re.findall(r"\\input\{sections/([^}]+)\}", TEXTS["main.tex"]))
    assert included == {Path(name).stem for name in SECTIONS}


def test_every_figure_is_made_by_a_study():
    figures = re.findall(r"\\includegraphics(?:\[[^]]*\])?\{([^}]+)\}", ALL)
    assert figures
    for figure in figures:
        assert (ROOT / "figures" / figure).is_file(), figure
        assert str(Path(figure).parent) in find_studies(), figure


def test_every_named_result_can_be_computed(results):
    figures = results.Figures(ROOT / "figures")
    named = set(re.findall(r"\\result\{([^}]+)\}", ALL))
    counted = {name for name in named if name.startswith("count.")}
    assert named - counted <= set(results.RESULTS)
    for name in sorted(named - counted):
        assert re.search(r"\d|better|worse|undecided", results.RESULTS[name](figures)), name
