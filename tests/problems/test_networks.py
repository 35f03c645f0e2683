import pytest
import torch

from muon_theory.problems import first_convolution_net, mlp, width_mlp


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: mlp(64, seed=seed),
        lambda seed: mlp(64, (), seed=seed),
        lambda seed: first_convolution_net(16, seed=seed),
        lambda seed: width_mlp(16, seed=seed),
    ],
)
def test_networks_depend_on_their_seed_alone(build):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = build(1), build(1), build(2)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one(torch.rand(5, 64)).shape == (5, 10)


@pytest.mark.parametrize("width", [16, 32, 64, 128, 216])
@pytest.mark.parametrize("image_shape", [(8, 8), (28, 28)])
def test_the_studied_convolution_is_width_by_216(width, image_shape):
    network = first_convolution_net(width, image_shape, seed=0)
    assert network.get_parameter("first.weight").flatten(1).shape == (width, 216)
    assert network(torch.rand(2, image_shape[0] * image_shape[1])).shape == (2, 10)
    assert not network.get_parameter("stem.weight").requires_grad
    assert width_mlp(width, seed=0).get_parameter("layer2.weight").shape == (width, 216)


def test_sizes_that_are_not_positive_integers_are_rejected():
    with pytest.raises(ValueError, match="widths holds 0"):
        mlp(64, (0,), seed=0)
    with pytest.raises(ValueError, match=r"widths holds 2.0"):
        mlp(64, (2.0,), seed=0)
    with pytest.raises(ValueError, match="width holds -1"):
        first_convolution_net(-1, seed=0)
