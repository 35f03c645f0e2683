from fractions import Fraction

import pytest

from muon_theory.rooms.scale.memory import SIZES, ModelSize, memory, tokens


def llama(size):
    """The shapes of all tensors, layer by layer."""
    d, f = size.width, size.hidden
    layer = [(d, d)] * 4 + [(f, d), (f, d), (d, f)] + [(d,), (d,)]
    return [(size.vocabulary, d), *layer * size.layers, (d,), (size.vocabulary, d)]


def entries(shapes):
    total = 0
    for shape in shapes:
        product = 1
        for side in shape:
            product *= side
        total += product
    return total


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_counted_tensor_by_tensor(name):
    size, shapes = SIZES[name], llama(SIZES[name])
    assert size.parameters == entries(shapes)
    assert size.vectors == entries([shape for shape in shapes if len(shape) == 1])
    assert size.hidden_entries == entries([shape for shape in shapes[1:-1] if len(shape) == 2])


@pytest.mark.parametrize("name", SIZES)
def test_scale_stores_momentum_for_the_head_and_adam_for_vectors(name):
    size, shapes = SIZES[name], llama(SIZES[name])
    state = entries([shapes[-1]]) + 2 * entries([shape for shape in shapes if len(shape) == 1])
    assert memory("scale", size) == Fraction(2 * (entries(shapes) + state), 10**9)


def test_galore_stores_two_projected_moments_and_a_projection_of_the_smaller_side():
    size = ModelSize(width=8, hidden=20, layers=1, vocabulary=16)
    state = 0
    for shape in llama(size)[1:-1]:
        if len(shape) == 2:
            state += 2 * 2 * max(shape) + 2 * min(shape)
    expected = size.parameters + 2 * 2 * 8 * 16 + state
    assert memory("galore", size, rank=2) == Fraction(2 * expected, 10**9)


def test_the_share_of_adam_tends_to_a_third():
    huge = ModelSize(width=10**6, hidden=10**6, layers=10)
    assert 3 * huge.parameters < 3 * (huge.parameters + huge.embedding)
    assert float(memory("scale", huge) / memory("adam", huge)) == pytest.approx(1 / 3, rel=1e-2)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method is 'sgd'; choose one of adam, "):
        memory("sgd", SIZES["60M"])


def test_tokens_are_steps_times_batch():
    assert tokens(3, sequences=4, length=5) == 60
