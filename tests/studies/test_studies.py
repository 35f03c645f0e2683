"""Every study, found as the command line finds it: docstring, signature, one quick run, figure, claims."""

import inspect

import pytest
from pandas.testing import assert_frame_equal

from muon_theory.claim import Claim
from muon_theory.reporting.engine import Engine, serially
from muon_theory.reporting.study import find_studies
from muon_theory.reporting.style import draw

STUDIES = find_studies(private=True)


class Watched:
    """An engine that remembers the first cell of each call."""

    def __init__(self):
        self.engine = Engine(workers=1, progress=False)
        self.first = []

    def map_cells(self, function, cells):
        self.first.append((function, cells[0]))
        return self.engine.map_cells(function, cells)


def test_the_studies_are_found():
    assert {"polar/q_and_degree", "newton_schulz_convergence/recorded_gradients", "_template"} <= set(STUDIES)
    assert [name for name in STUDIES if name.rpartition("/")[2].startswith("_")] == ["_template"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_states_its_question_claim_source_and_cost(name):
    for section in ("Question", "Claim", "Source", "Cost"):
        assert STUDIES[name].section(section), f"{name} lacks {section}"
    assert "?" in STUDIES[name].section("Question")
    assert "quick" in STUDIES[name].section("Cost")


@pytest.mark.parametrize("name", STUDIES)
def test_compute_has_the_standard_keywords_and_every_option_a_default(name):
    parameters = inspect.signature(STUDIES[name].load().compute).parameters
    assert {"seed", "quick", "map_cells"} <= set(parameters)
    assert (parameters["seed"].default, parameters["quick"].default) == (0, False)
    assert parameters["map_cells"].default is serially
    for parameter in parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty


# One test a study, so that no two processes of a parallel test run compute the same table.
@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_run_is_free_of_errors_reproducible_and_drawable(name, tmp_path):
    study, watched = STUDIES[name].load(), Watched()
    table = study.compute(seed=0, quick=True, map_cells=watched.map_cells)
    assert len(table) > 0
    assert "error" not in table, table["error"].dropna().tolist()
    _same_seed_gives_the_same_rows_but_for_seconds(*watched.first[0])
    _figure_is_drawn_from_the_table_alone(study, table, tmp_path)
    _claims_can_be_checked(study, table)


def _same_seed_gives_the_same_rows_but_for_seconds(function, cell):
    first, second = (serially(function, [cell]).filter(regex="^(?!.*_s$)") for _ in range(2))
    assert_frame_equal(first, second)


def _figure_is_drawn_from_the_table_alone(study, table, folder):
    before, drawn = table.copy(deep=True), []

    def figure(rows):
        drawn.append(study.figure(rows))
        return drawn[0]

    draw(figure, table, folder)
    assert_frame_equal(table, before)
    assert 5_000 < (folder / "figure.png").stat().st_size <= 200_000
    assert (folder / "figure.pdf").stat().st_size <= 500_000
    axes = drawn[0].axes
    assert drawn[0].get_supxlabel() or any(axis.get_xlabel() for axis in axes)
    assert drawn[0].get_supylabel() or any(axis.get_ylabel() for axis in axes)
    assert any(len(text.get_text()) > 15 for text in drawn[0].texts), "no small print with the scale of evidence"


def _claims_can_be_checked(study, table):
    for claim in study.claims(table) if hasattr(study, "claims") else []:
        assert isinstance(claim, Claim)
        assert claim.check().error is None
