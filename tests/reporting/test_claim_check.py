import io
import json
import math
import os
import signal
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from muon_theory.claim import Claim, Enclosure, Estimate, Finding, Mutation
from muon_theory.reporting.claim_check import check_claims, claim_row
from muon_theory.reporting.claim_table import claims_table, details, markdown, summary, tightest

KEYS = [
    "id", "room", "statement", "source", "attribution", "relation", "predicted", "measured", "printed", "provable",
    "attained", "observed", "unit", "method", "tier", "expected", "verdict", "mutation_verdict", "seconds",
]  # fmt: skip


def _finding(*, predicted=1, measured=1, note=None, **other):
    if note is not None:
        with Path(note).open("a") as file:
            file.write("x")
    return Finding(predicted=predicted, measured=measured, **other)


def _raises(**_):
    raise ArithmeticError("no\nluck")


def _dies(**_):
    os.kill(os.getpid(), signal.SIGKILL)


def _claim(name="A-1", evaluate=_finding, *, relation="==", expected="holds", tier="fast", tag=None, **parameters):
    return Claim(
        id=name, statement="one | is\none, a statement that is far too long for the width of a small terminal",
        source="elementary", relation=relation, method="exact rational", evaluate=evaluate,
        mutations=(Mutation("two", {"measured": 2}),), expected=expected, attribution="ours", parameters=parameters,
        tier=tier, tag=tag,
    )  # fmt: skip


def test_a_row_has_every_key_and_is_valid_json():
    row = claim_row("room", _claim())
    assert [key for key in KEYS if key not in row] == []
    assert (row["verdict"], row["mutation_verdict"], row["as_expected"]) == ("holds", "flips", True)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


@pytest.mark.parametrize(
    ("measured", "told", "interval"),
    [
        (Fraction(3, 2), 1.5, None),
        (math.nan, "NaN", None),
        (-math.inf, "-Infinity", None),
        ([1, Fraction(1, 4), math.inf], [1, 0.25, "Infinity"], None),
        (Enclosure(Fraction(1, 2), 1.5), 1.0, [0.5, 1.5]),
        ((Estimate(2.0, 1.0, 3.5), 4), [2.0, 4], [[1.0, 3.5], [4, 4]]),
        (Fraction(10) ** 400, "Infinity", None),
    ],
)
def test_every_kind_of_number_becomes_a_json_value(measured, told, interval):
    row = claim_row("room", _claim(measured=measured), mutate=False)
    assert row["measured"] == told
    assert row["measured_interval"] == interval
    json.dumps(row, allow_nan=False)


def test_a_claim_that_raises_is_not_run_and_says_why():
    row = claim_row("room", _claim(evaluate=_raises))
    assert (row["verdict"], row["as_expected"], row["measured"]) == ("not_run", False, [])
    assert "ArithmeticError: no" in details(row)


def test_a_mutation_that_flips_nothing_is_not_as_expected():
    claim = _claim(relation="<=", measured=1, predicted=5)
    row = claim_row("room", claim)
    assert (row["verdict"], row["mutation_verdict"], row["as_expected"]) == ("holds", "stays", False)
    assert "the mutation 'two' gives holds; it must flip the verdict" in details(row)
    assert claim_row("room", claim, mutate=False)["as_expected"]


def test_verdicts_are_cached_by_content_and_failures_are_not(tmp_path):
    calls = tmp_path / "calls"
    claims = [("room", _claim(note=str(calls))), ("room", _claim("A-2", _raises))]
    first = check_claims(claims, workers=1, cache=tmp_path / "cache", show_progress=False)
    again = check_claims(claims, workers=1, cache=tmp_path / "cache", show_progress=False)
    assert calls.read_text() == "xx"  # the claim and its mutation, once
    assert first[0] == again[0]
    assert len(list((tmp_path / "cache" / "claims").iterdir())) == 1
    check_claims(claims, workers=1, cache=tmp_path / "cache", show_progress=False, mutate=False)
    assert calls.read_text() == "xxx"
    other = [("room", _claim(note=str(calls), predicted=1.0))]
    check_claims(other, workers=1, cache=tmp_path / "cache", show_progress=False)
    assert calls.read_text() == "xxxxx"
    check_claims(claims[:1], workers=1, cache=None, show_progress=False)
    assert calls.read_text() == "xxxxxxx"


def test_order_is_kept_though_the_long_ones_start_first(tmp_path):
    claims = [("room", _claim(f"A-{i}", tier=tier)) for i, tier in enumerate(("fast", "slow", "medium"))]
    assert [row["id"] for row in check_claims(claims, workers=1, show_progress=False)] == ["A-0", "A-1", "A-2"]


def test_a_claim_that_kills_its_process_takes_no_other_along():
    # Workers cannot import this test module by name, so the functions travel by value.
    import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        claims = [("room", _claim("A-1")), ("room", _claim("A-2", _dies)), ("room", _claim("A-3"))]
        rows = check_claims(claims, workers=2, show_progress=False)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert [row["verdict"] for row in rows] == ["holds", "not_run", "holds"]
    assert "SIGKILL" in rows[1]["error"]


def test_the_table_fits_eighty_columns_and_a_wide_one_has_the_expected_verdict():
    rows = [
        claim_row("room", _claim("NS-22-K1", measured=1 / 3, predicted=1e-300)),
        claim_row("room", _claim("A-2", _raises)),
        claim_row("room", _claim("A-3", relation="<=", measured=[1, 7], predicted=[2, 5], expected="refuted")),
    ]
    for width, heads in ((80, "mut."), (120, "expected")):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(claims_table(rows, width))
        lines = console.export_text().splitlines()
        assert len(lines) == 4
        assert heads in lines[0]
        assert max(map(len, lines)) <= width
        assert "…" in lines[1]
        assert "✗ refuted" in lines[1]
        assert "✗ not run" in lines[2]
        assert "7 <= 5" in lines[3]


def test_the_tightest_pair_decides():
    assert tightest({"measured": [5, 1], "predicted": [1, 0.5], "relation": ">="}) == (1, 0.5)
    assert tightest({"measured": [1, "NaN"], "predicted": 1, "relation": "=="}) == ("NaN", 1)
    assert tightest({"measured": [], "predicted": [], "relation": "=="}) == (None, None)


def test_markdown_keeps_a_row_on_one_line_and_the_summary_counts():
    rows = [claim_row("room", _claim()), claim_row("room", _claim("A-2", measured=3))]
    lines = markdown(rows).splitlines()
    assert lines[2].startswith("| A-1 | one \\| is one, a statement")
    assert lines[-1] == "2 claims: 1 hold, 1 refuted; 1 NOT as expected; 1 flipped by every mutation"
    assert summary(rows[:1]) == "1 claim: 1 hold; all as expected; 1 flipped by every mutation"
