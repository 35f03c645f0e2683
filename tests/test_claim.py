"""A claim's verdict, its mutations and its bad input."""

from fractions import Fraction

import pytest

from muon_theory.claim import Claim, Enclosure, Estimate, Finding, Mutation, as_float


def evaluate(measured=1, predicted=1):
    return Finding(predicted=predicted, measured=measured)


def make(relation="==", **changes) -> Claim:
    fields = {
        "id": "X-1",
        "statement": "one is one",
        "source": "elementary",
        "relation": relation,
        "method": "exact rational",
        "evaluate": evaluate,
        "mutations": (Mutation("two", {"measured": 2}),),
        "expected": "holds",
        "attribution": "ours",
    }
    return Claim(**{**fields, **changes})


@pytest.mark.parametrize(
    ("relation", "measured", "predicted", "verdict"),
    [
        ("==", 1, 1, "holds"),
        ("==", Fraction(1, 3), Fraction(1, 3), "holds"),
        ("==", 1 / 3, Fraction(1, 3), "refuted"),
        ("<=", 1, 1, "holds"),
        ("<", 1, 1, "refuted"),
        (">=", 1, 1, "holds"),
        (">", 1, 1, "refuted"),
        ("<=", [0, 2], [1, 1], "refuted"),
        ("<=", [0, 1], 1, "holds"),
        ("==", float("nan"), 1, "refuted"),
        ("<=", float("nan"), 1, "refuted"),
        (">=", 1, float("nan"), "refuted"),
        ("<=", Enclosure(0, 1), 1, "holds"),
        ("<=", Enclosure(0, 2), 1, "undecided"),
        ("<=", Enclosure(2, 3), 1, "refuted"),
        (">=", Enclosure(2, 3), 1, "holds"),
        ("<", Enclosure(1, 2), 1, "refuted"),
        ("==", Enclosure(0, 2), 1, "undecided"),
        ("==", Enclosure(2, 3), 1, "refuted"),
        ("==", Estimate(1.1, 0.9, 1.3), 1, "holds"),
        ("==", Estimate(1.2, 1.1, 1.3), 1, "refuted"),
        ("<=", Estimate(0.9, 0.8, 1.1), 1, "undecided"),
        ("<=", float("-inf"), 1, "holds"),
        (">=", float("inf"), 1, "holds"),
        ("<=", Fraction(10**400), 1, "refuted"),
    ],
)
def test_the_verdict_follows_the_relation(relation, measured, predicted, verdict):
    assert make(relation).verdict_of(Finding(predicted=predicted, measured=measured)) == verdict


def test_a_tolerance_widens_the_right_way():
    cases = [("<=", 1.05, 1.2), (">=", 0.95, 0.8), ("==", 0.95, 1.2)]
    for relation, inside, outside in cases:
        claim = make(relation, tolerance=0.1, tolerance_reason="a test")
        assert claim.verdict_of(Finding(predicted=1, measured=inside)) == "holds"
        assert claim.verdict_of(Finding(predicted=1, measured=outside)) == "refuted"


def test_a_relative_tolerance_scales_with_the_prediction():
    claim = make("==", relative_tolerance=0.01, tolerance_reason="a test")
    assert claim.verdict_of(Finding(predicted=-100, measured=-100.5)) == "holds"
    assert claim.verdict_of(Finding(predicted=-100, measured=-102)) == "refuted"


def test_a_wide_enclosure_within_the_tolerance_holds_and_one_beyond_it_is_undecided():
    claim = make("==", tolerance=0.1, tolerance_reason="a test")
    assert claim.verdict_of(Finding(predicted=1, measured=Enclosure(0.95, 1.05))) == "holds"
    assert claim.verdict_of(Finding(predicted=1, measured=Enclosure(0.95, 1.2))) == "undecided"


def test_every_mutation_must_flip():
    claim = make(mutations=(Mutation("two", {"measured": 2}), Mutation("nothing", {})))
    result = claim.check()
    assert result.verdict == "holds"
    assert result.mutation_verdicts == ("refuted", "holds")
    assert not claim.as_expected(result)
    assert make().as_expected(make().check())


def test_a_refuted_claim_is_as_expected_when_its_mutation_holds():
    claim = make(expected="refuted", parameters={"measured": 3}, mutations=(Mutation("one", {"measured": 1}),))
    assert claim.as_expected(claim.check())


def test_an_undecided_verdict_never_counts_as_flipped():
    claim = make("<=", mutations=(Mutation("wide", {"measured": Enclosure(0, 2)}),))
    assert claim.check().mutation_verdicts == ("undecided",)
    assert not claim.as_expected(claim.check())


def test_an_exception_becomes_a_row_that_is_not_as_expected():
    def fails():
        raise ZeroDivisionError("no")

    claim = make(evaluate=fails)
    result = claim.check()
    assert result.verdict == "not_run"
    assert result.error == "ZeroDivisionError: no"
    assert not claim.as_expected(result)


@pytest.mark.parametrize(
    "changes",
    [
        {"mutations": ()},
        {"id": " "},
        {"statement": ""},
        {"source": ""},
        {"tolerance": 1e-3},
        {"relative_tolerance": 1e-3},
        {"expected": "true"},
        {"attribution": "me"},
        {"tier": "quick"},
        {"relation": "~"},
        {"method": "belief"},
    ],
)
def test_a_claim_that_could_not_be_checked_is_refused(changes):
    with pytest.raises(ValueError, match="claim"):
        make(**changes)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 measured values against 3 predicted"):
        make().verdict_of(Finding(predicted=[1, 2, 3], measured=[1, 2]))
    with pytest.raises(ValueError, match="0 measured"):
        make().verdict_of(Finding(predicted=[], measured=[]))


def test_numbers_print_as_floats():
    assert [as_float(x) for x in (Fraction(1, 2), Enclosure(0, 1), Estimate(0.25, 0, 1), 3)] == [0.5, 0.5, 0.25, 3.0]
