"""The table of four numbers, from the claims that state them."""

import pytest

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.reporting.bound_table import bound_markdown, bound_table
from muon_theory.reporting.claim_check import claim_row
from muon_theory.rooms.newton_schulz_convergence.claims import four_numbers


def _claim(printed, provable, attained):
    return Claim(
        id="A-1", statement="a bound: some words", source="derived here", relation="<=", method="linear program",
        evaluate=lambda: Finding(printed, provable, provable=provable, attained=attained), printed=printed,
        mutations=(Mutation("none", {}),), expected="holds", attribution="ours",
    )  # fmt: skip


def _lines(*numbers, observed=None):
    return bound_table([claim_row("room", _claim(*numbers), mutate=False)], observed)


def test_a_line_has_its_numbers_and_ratio():
    (line,) = _lines(4.0, 2.0, 1.0, observed={"A-1": 0.5})
    assert (line["printed"], line["provable"], line["attained"], line["observed"]) == (4.0, 2.0, 1.0, 0.5)
    assert line["ratio"] == 0.5
    assert line["sound"]
    assert line["statement"] == "a bound"


def test_claims_without_the_numbers_are_left_out():
    assert _lines(4.0, 2.0, None) == []


def test_an_infinite_printed_bound_is_one():
    (line,) = _lines(float("inf"), 2.0, 1.0)
    assert line["sound"]
    assert "| inf | 2 | 1 | - | 0.500 |" in bound_markdown([line])


@pytest.mark.parametrize("numbers", [(1.0, 2.0, 0.9), (4.0, 2.0, 2.1)])
def test_what_is_not_sound_is_marked(numbers):
    (line,) = _lines(*numbers)
    assert not line["sound"]
    assert "(!)" in bound_markdown([line])


def test_a_refuted_printed_constant_is_said():
    (line,) = _lines(1.0, 2.0, 1.5)
    assert line["refuted"]
    assert line["sound"]
    assert "printed refuted" in bound_markdown([line])


def test_the_room_s_table_is_complete_sound_and_half_attained():
    rows = [claim_row("newton_schulz_convergence", claim, mutate=False) for claim in four_numbers.claims()]
    lines = bound_table(rows)
    assert len(lines) == len(rows) >= 12
    assert all(line["sound"] for line in lines)
    assert sum(line["ratio"] >= 0.5 for line in lines) >= 8
