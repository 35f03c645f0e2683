"""Facts in the tables of the polar studies and of inexactness_constants, against references computed independently."""

import math
from functools import cache

import numpy as np
import pytest

from muon_theory.polar import certified_worst_error, spectral_inexactness
from studies.newton_schulz_convergence import inexactness_constants
from studies.polar import certified_range, precision_floor, q_and_degree


@cache
def quick(study):
    return study.compute(quick=True)


# Largest |sigma - 1| over [1e-3, 1] after five and after ten steps, from an independent evaluation on 20,001 points.
WORST_AT_A_THOUSAND = {
    "jordan_2024": (0.5295, 0.3182),
    "you_2024": (0.525, 0.03177),
    "grishina_2025": (0.1198, 0.03833),
    "boissin_2025_snapshot": (0.729, 8.9e-14),
    "deepseek_2026": (0.5295, 0.0005381),
    "cubic5_2026": (0.8809, 0.2569),
    "taylor_3": (0.9924, 0.9424),
    "taylor_5": (0.9768, 0.5013),
}


@pytest.mark.parametrize("method", WORST_AT_A_THOUSAND)
def test_worst_errors_match_an_independent_evaluation(method):
    certified, against_q = quick(certified_range), quick(q_and_degree)
    for q, reference in zip((5, 10), WORST_AT_A_THOUSAND[method], strict=True):
        row = certified.query(f"method == {method!r} and lower == 1e-3 and steps == {q}")
        point = against_q.query(f"method == {method!r} and quantity == 'worst error' and at == 1e-3 and steps == {q}")
        assert row["worst_error"].item() == pytest.approx(reference, rel=2e-3, abs=1e-12)
        assert point["value"].item() == row["worst_error"].item()


def test_polar_express_matches_an_independent_evaluation_without_its_norm_safety():
    # The reference divides the coefficients by 1.01^degree but not the input by 1.01.
    assert certified_worst_error("amsel_2025", 5, 1.01e-3, 1.01) == pytest.approx(0.1538, abs=5e-5)
    row = quick(certified_range).query("method == 'amsel_2025' and lower == 1e-3 and steps == 5")
    assert row["worst_error"].item() == pytest.approx(0.15989, abs=5e-5)


def test_jordan_never_gets_below_its_stall():
    jordan = quick(certified_range).query("method == 'jordan_2024' and steps >= 1")
    assert jordan["worst_error"].min() == pytest.approx(0.3181685, abs=1e-7)


def test_designed_schedules_reach_smaller_singular_values_than_taylor_steps_of_their_degree():
    reach = quick(certified_range).groupby("method")["smallest_input"].first()
    for method in ("jordan_2024", "you_2024", "amsel_2025", "grishina_2025"):
        assert reach[method] < reach["taylor_5"] / 20


def test_the_cubic_step_is_valid_up_to_the_root_of_three():
    largest = quick(certified_range).groupby("method")["largest_input"].first()
    assert math.sqrt(3) - 2e-3 < largest["taylor_3"] < math.sqrt(3)
    assert math.sqrt(7 / 3) - 2e-3 < largest["taylor_5"]  # 15/8 - 5/4 x^2 + 3/8 x^4 = 1 at x^2 = 7/3


def test_five_designed_steps_beat_nine_taylor_steps_on_small_singular_values_and_lose_to_five_on_large_ones():
    worst = quick(q_and_degree).query("quantity == 'worst error'").set_index(["method", "at", "steps"])["value"]
    for method in q_and_degree.DEPLOYED:
        assert worst[method, 1e-3, 5] < worst["taylor_5", 1e-3, 9]
        assert worst[method, 1e-1, 5] > 7 * worst["taylor_5", 1e-1, 5]


def test_jordan_aligns_less_well_than_five_taylor_steps_of_its_degree():
    deficit = quick(q_and_degree).query("quantity == 'alignment deficit'").set_index(["method", "steps"])["value"]
    assert deficit["jordan_2024", 5] > 1.5 * deficit["taylor_5", 5]


def test_products_of_five_steps_are_as_documented():
    rows = quick(q_and_degree).query("quantity == 'alignment deficit' and steps == 5").set_index("method")["products"]
    assert [rows[f"taylor_{degree}"] for degree in (3, 5, 7, 9, 11)] == [10, 15, 20, 20, 25]
    assert rows["cubic5_2026"] == 10


def test_half_precision_errors_match_an_independent_measurement():
    # One draw each of 128 x 128 matrices with log-uniform spectrum; "compare to about 10 %, above the dtype's floor".
    table = quick(precision_floor).query("route == 'amsel_2025'")
    medians = table.groupby(["dtype", "condition_number", "steps"])["polar_error"].median()
    for key, reference in {
        ("bfloat16", 10.0, 5.0): 0.08813,
        ("bfloat16", 1e3, 5.0): 0.2216,
        ("bfloat16", 1e5, 5.0): 0.6046,
        ("bfloat16", 10.0, 10.0): 0.005459,
        ("bfloat16", 1e3, 10.0): 0.05466,
        ("bfloat16", 1e5, 10.0): 0.6373,
        ("float16", 1e3, 10.0): 0.00727,
        ("float32", 1e5, 10.0): 0.3218,
    }.items():
        assert medians[key] == pytest.approx(reference, rel=0.1), key


def test_rounding_before_normalising_costs_a_second_rounding():
    table = quick(precision_floor).query("dtype == 'bfloat16' and condition_number == 1e3 and steps == 10")
    errors = table.groupby("route")["direction_error"].median()
    assert 1.15 < errors["cast first"] / errors["amsel_2025"] < 1.5  # sqrt(2) were there no other rounding


def test_exact_routes_are_limited_by_the_rounding_of_the_input_alone():
    for _, row in quick(precision_floor).query("dtype == 'float32' and route in ('gram', 'qdwh')").iterrows():
        assert row["polar_error"] <= row["input_error"] + 2 * np.finfo(np.float32).eps


@pytest.mark.parametrize("study", [certified_range, precision_floor], ids=lambda study: study.__name__)
def test_every_claim_of_the_study_is_as_expected_and_can_fail(study):
    for claim in study.claims(quick(study)):
        result = claim.check()
        assert claim.as_expected(result), (claim.id, result)


def test_constants_are_ordered_as_the_theory_says():
    table = quick(inexactness_constants)
    taylor = table[table["method"].str.startswith("taylor")]
    assert (taylor["chi_theorem_2"] >= taylor["chi"] * (1 - 1e-9)).all()
    assert (taylor["chi"] >= taylor["alignment"] * (1 - 1e-12)).all()
    assert (taylor["universal"] >= taylor["alignment"] * (1 - 1e-12)).all()
    assert taylor["overshoot"].max() < 1e-12


def test_the_alignment_of_a_gaussian_matrix_is_as_computed_elsewhere():
    # Claim KO-GAP-B: 1 - ehat = .727 +- .003 and .9725 +- .001 for n = 64, degree 5, q = 3 and 5.
    rows = quick(inexactness_constants).query("spectrum == 'Gaussian' and n == 64 and method == 'taylor_5'")
    alignment = 1 / rows.groupby("steps")["alignment"].median()
    assert alignment[3] == pytest.approx(0.727, abs=0.006)
    assert alignment[5] == pytest.approx(0.9725, abs=0.002)


def test_a_flat_spectrum_makes_the_worst_case_constant_exact():
    flat = quick(inexactness_constants).query("spectrum == 'flat' and method == 'taylor_5'")
    assert np.allclose(flat["chi"], flat["alignment"], rtol=1e-12)


@pytest.mark.parametrize("spectrum", inexactness_constants.SPECTRA)
def test_designed_spectra_are_descending_with_unit_norm(spectrum):
    sigma = inexactness_constants.designed_spectrum(spectrum, 48, 3)
    assert (np.diff(sigma) <= 0).all()
    assert sigma.min() > 0
    assert np.linalg.norm(sigma) == pytest.approx(1)
    assert spectral_inexactness(sigma, sigma / sigma[0]).overshoot == 0
