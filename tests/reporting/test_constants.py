"""The table of constants: printed, provable, attained, observed."""

import math
from io import StringIO

from rich.console import Console

from muon_theory.reporting.claim_check import claim_row
from muon_theory.reporting.constants import ORDER, constants, constants_markdown, constants_table
from muon_theory.rooms.newton_schulz_convergence.claims import four_numbers


def _row(name, **values):
    row = {"id": name, "statement": f"bound | {name}", "source": "a paper", "verdict": "holds"}
    return row | dict.fromkeys(("printed", "provable", "attained", "observed")) | values


THEOREM = _row("T-1", printed=4.0, provable=3.0, attained=2.7)


def test_only_rows_with_all_three_constants_belong_to_the_table():
    rows = [THEOREM, *(_row("T-2", **{name: 1.0}) for name in ("printed", "provable", "attained"))]
    (row,) = constants(rows)
    assert (row["id"], row["printed"], row["provable"], row["attained"]) == ("T-1", 4.0, 3.0, 2.7)
    assert abs(row["ratio"] - 0.9) < 1e-15
    assert row["observed"] is None


def test_what_training_shows_comes_from_the_claim_of_the_study_that_names_the_theorem():
    (row,) = constants([_row("OBS-T-1", observed=0.25), _row("OBS-T-2", observed=0.5), THEOREM])
    assert row["observed"] == 0.25


def test_the_terminal_table_keeps_its_numbers_whole_at_eighty_columns():
    screen = Console(file=StringIO(), width=80)
    screen.print(constants_table(constants([THEOREM]), 80))
    lines = screen.file.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].split()[-6:] == ["4", "3", "2.7", "0.9", "-", "holds"]


def test_the_markdown_table_escapes_bars():
    lines = constants_markdown(constants([THEOREM])).splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert lines[2].endswith("| 4 | 3 | 2.7 | 0.9 | - | holds |")


def test_an_order_that_fails_is_marked_unless_it_refutes_the_printed_constant():
    kept = {"T-1": (4.0, 3.0, 2.7), "T-2": (2.0, 5.0, 2.4), "T-3": (math.inf, 0.7, 0.6), "T-4": (1.0, 1.0, 1.0 + 1e-9)}
    broken = {"T-5": (4.0, 3.0, 3.1), "T-6": (2.0, 3.0, 1.5)}
    rows = [
        _row(name, printed=a, provable=b, attained=c) for name, (a, b, c) in (kept | broken).items()
    ]  # fmt: skip
    found = {row["id"]: row["sound"] for row in constants(rows)}
    assert found == dict.fromkeys(kept, True) | dict.fromkeys(broken, False)
    assert constants_markdown(constants(rows[-1:])).endswith("| holds (!) |")


def test_of_the_table_s_own_rows_only_the_theorem_is_shown():
    row = THEOREM | {"statement": f"Theorem 4, b = 0: {ORDER}, and at least .5 of the provable is attained"}
    assert constants([row])[0]["statement"] == "Theorem 4, b = 0"


def test_the_table_of_the_convergence_room_is_complete_sound_and_half_attained():
    rows = [claim_row("newton_schulz_convergence", claim, mutate=False) for claim in four_numbers.claims()]
    found = constants(rows)
    assert len(found) == len(rows) >= 12
    assert all(row["sound"] for row in found)
    assert sum(row["ratio"] >= 0.5 for row in found) >= 8
