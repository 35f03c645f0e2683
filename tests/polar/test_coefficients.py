import math
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from muon_theory.polar import (
    COEFFICIENTS,
    certified_range,
    certified_worst_error,
    coefficient_set,
    exact_scalar_map,
    method_steps,
    scalar_map,
    taylor_coefficients,
)

NAMES = tuple(COEFFICIENTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_stated_worst_error_is_certified_and_tight(name):
    chosen = COEFFICIENTS[name]
    proven = certified_worst_error(name, chosen.natural_steps, *chosen.interval)
    assert proven <= chosen.worst_error <= proven * (1 + 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_stated_interval_is_the_widest_to_three_digits(name):
    chosen = COEFFICIENTS[name]
    plateau = certified_worst_error(name, chosen.natural_steps, 0.1)
    assert chosen.worst_error >= plateau
    assert certified_worst_error(name, chosen.natural_steps, 0.99 * chosen.interval[0]) > plateau


@pytest.mark.parametrize("name", NAMES)
def test_every_set_says_where_it_was_read_and_how_it_normalises(name):
    chosen = COEFFICIENTS[name]
    assert chosen.name == name
    assert len(chosen.source) > 20
    assert chosen.norm_safety >= 1
    assert chosen.degree in {3, 5}
    assert chosen.matmuls == chosen.natural_steps * (2 if chosen.degree == 3 else 3)
    assert chosen.steps == chosen.coefficients(len(chosen.steps))


@pytest.mark.parametrize("name", NAMES)
def test_no_set_turns_a_singular_value_of_its_normalised_input_negative(name):
    chosen = COEFFICIENTS[name]
    for steps in range(1, 11):
        assert certified_range(name, steps, 0)[0] >= 0
        assert certified_range(name, steps, 0.5)[0] > 0
    assert chosen.interval[1] == 1


def test_without_its_own_safety_the_aol_set_turns_large_singular_values_negative():
    # The printed rows are negative at sigma = 1, which the preconditioner does reach: every orthonormal or rank-one
    # input. This is why the set divides by 1.18 here.
    bare = replace(COEFFICIENTS["boissin_2025"], norm_safety=Fraction(1))
    assert exact_scalar_map(bare, 1)(1) == Fraction("-0.5852")
    assert float(scalar_map(bare, 4)(1.0)) < -0.9
    assert float(scalar_map("boissin_2025", 4)(1.0)) > 0.95


@pytest.mark.parametrize("degree", [3, 5, 7, 9, 11])
def test_taylor_coefficients_match_the_printed_fractions(degree):
    printed = {
        3: "3/2 -1/2",
        5: "15/8 -5/4 3/8",
        7: "35/16 -35/16 21/16 -5/16",
        9: "315/128 -105/32 189/64 -45/32 35/128",
        11: "693/256 -1155/256 693/128 -495/128 385/256 -63/256",
    }
    assert taylor_coefficients(degree) == tuple(map(Fraction, printed[degree].split()))


@pytest.mark.parametrize("degree", [3, 5, 7, 9, 11, 13, 25])
def test_a_taylor_step_fixes_one_to_the_order_of_its_degree(degree):
    row = taylor_coefficients(degree)
    order = (degree - 1) // 2
    for j in range(order + 2):
        derivative = sum(c * math.perm(2 * i + 1, j) for i, c in enumerate(row))
        assert derivative == (1 if j == 0 else 0) or j == order + 1
    assert sum(c * math.perm(2 * i + 1, order + 1) for i, c in enumerate(row)) != 0


def test_steps_beyond_the_table_repeat_cycle_or_go_on_as_taylor():
    last = COEFFICIENTS["grishina_2025"].steps[-1]
    assert method_steps("grishina_2025", 7)[5:] == (last, last)
    you = COEFFICIENTS["you_2024"].steps
    assert method_steps("you_2024", 12) == you + you + you[:2]
    assert method_steps("amsel_2025_nanogpt", 6)[5] == (1.875, -1.25, 0.375)
    assert method_steps("cubic5_2026", 6)[5] == (1.5, -0.5)
    assert method_steps("jordan_2024", 0) == ()
    assert method_steps("amsel_2025", 9)[7:] == ((1.875, -1.25, 0.375),) * 2


def test_a_sixth_step_of_the_cycling_set_throws_a_converged_value_away():
    # The trap of a schedule that starts anew: .032 after five steps, .94 after six; repeating the last row: .05.
    assert certified_worst_error("you_2024", 5, 0.01) < 0.032
    assert certified_worst_error("you_2024", 6, 0.01) > 0.9
    assert float(scalar_map("you_2024", 6)(1.0)) == pytest.approx(0.164, abs=1e-3)
    repeated = replace(COEFFICIENTS["you_2024"], extension="repeat")
    assert certified_worst_error(repeated, 6, 0.01) < 0.05


def test_dividing_the_rows_by_the_safety_is_dividing_the_argument():
    plain = replace(COEFFICIENTS["amsel_2025"], norm_safety=Fraction(1))
    printed = (Fraction("8.28721201814563"), Fraction("-23.595886519098837"), Fraction("17.300387312530933"))
    x = Fraction(3, 10)
    y = x / Fraction("1.01")
    assert exact_scalar_map(plain, 1)(x) == printed[0] * y + printed[1] * y**3 + printed[2] * y**5


@pytest.mark.parametrize("name", [*NAMES, "taylor_3", "taylor_7", "taylor_11"])
def test_the_float_map_follows_the_exact_map(name):
    for sigma in (Fraction(1), Fraction(1, 3), Fraction(1, 1000), Fraction(0)):
        exact = float(exact_scalar_map(name, 3)(sigma))
        # The slopes of three steps multiply to less than 1e3, and each step rounds about ten times.
        assert float(scalar_map(name, 3)(float(sigma))) == pytest.approx(exact, rel=1e4 * 2.0**-53, abs=1e-15)


def test_the_scalar_map_takes_any_shape_and_leaves_its_argument_alone():
    sigma = np.array([[0.1, 0.5], [1.0, 0.0]])
    before = sigma.copy()
    image = scalar_map("taylor_5", 2)(sigma)
    assert image.shape == (2, 2)
    assert image[1, 1] == 0
    assert np.array_equal(sigma, before)
    assert np.array_equal(scalar_map("amsel_2025", 0)(sigma), sigma)


def test_an_unknown_method_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match="jordan_2024.*taylor_3"):
        method_steps("jordon_2024", 5)
    with pytest.raises(ValueError, match="odd"):
        method_steps("taylor_4", 5)
    with pytest.raises(ValueError, match=">= 3"):
        method_steps("taylor_1", 5)
    with pytest.raises(ValueError, match="unknown method"):
        method_steps("taylor_five", 5)
    with pytest.raises(ValueError, match="unknown method"):
        method_steps("taylor_-3", 5)
    with pytest.raises(TypeError, match="method"):
        coefficient_set(5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("steps", [2.0, "5", None, True])
def test_steps_that_are_no_integer_are_refused(steps):
    with pytest.raises(TypeError, match="steps must be an integer"):
        method_steps("jordan_2024", steps)


def test_integers_of_numpy_are_integers():
    assert method_steps("you_2024", np.int64(6)) == method_steps("you_2024", 6)  # pyright: ignore[reportArgumentType]
    assert taylor_coefficients(np.int32(5)) == taylor_coefficients(5)  # pyright: ignore[reportArgumentType]


def test_sets_survive_pickling_and_comparison():
    for name in NAMES:
        copy = pickle.loads(pickle.dumps(COEFFICIENTS[name]))
        assert copy == COEFFICIENTS[name]
        assert copy.steps == COEFFICIENTS[name].steps


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="got -1"):
        scalar_map("jordan_2024", -1)


def test_the_exact_map_refuses_floats():
    with pytest.raises(TypeError, match="Fraction"):
        exact_scalar_map("jordan_2024", 1)(0.5)  # pyright: ignore[reportArgumentType]


def test_the_mapping_of_sets_cannot_be_changed():
    with pytest.raises(TypeError):
        COEFFICIENTS["mine"] = COEFFICIENTS["jordan_2024"]  # pyright: ignore[reportIndexIssue]
