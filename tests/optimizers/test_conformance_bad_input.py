"""What every optimizer of the package refuses, and that it has changed nothing then (conftest.py lists them)."""

import io

import numpy as np
import pytest
import torch
from torch import nn


def test_gradients_that_are_not_finite_are_rejected_before_anything_changes(case):
    params = case.parameters()
    optimizer = case.build([(f"layer{index}", parameter) for index, parameter in enumerate(params)])
    case.train(optimizer, params, 1)
    before = case.everything(optimizer, params)
    for value in (float("nan"), float("inf"), float("-inf")):
        case.set_gradients(params, 1)
        params[2].grad.view(-1)[3] = value
        with pytest.raises(ValueError, match="layer2.*NaN or inf"):
            optimizer.step()
        assert case.same(before, case.everything(optimizer, params))


def test_sparse_gradients_are_rejected_before_anything_changes(case):
    params = case.parameters()
    optimizer = case.build(params)
    case.set_gradients(params, 0)
    params[3].grad = params[3].grad.to_sparse()
    before = case.everything(optimizer, params)
    with pytest.raises(TypeError, match="dense"):
        optimizer.step()
    assert case.same(before, case.everything(optimizer, params))


def test_parameters_that_are_not_real_floating_point_are_rejected(case):
    for dtype in (torch.complex64, torch.int64, torch.bool, torch.float8_e4m3fn):
        with pytest.raises(TypeError, match="real floating-point"):
            case.build([torch.zeros(3, 3, dtype=dtype)])


def test_options_out_of_range_are_rejected_by_name(case):
    optimizer = case.build(case.parameters())
    for name, value in (
        ("lr", -0.1),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", torch.ones(2)),
        ("weight_decay", -0.1),
        ("momentum", 1.0),
        ("momentum", -0.5),
        ("momentum", float("nan")),
    ):
        with pytest.raises(ValueError, match=name):
            case.build(case.parameters(), **{name: value})
        with pytest.raises(ValueError, match=name):
            case.add_group(optimizer, {"params": case.parameters(), name: value})
    assert len(optimizer.param_groups) == 1


def test_options_that_are_no_numbers_are_rejected_by_name(case):
    for name in ("lr", "weight_decay", "momentum"):
        for value in ("1e-3", None, True, [0.1]):  # 1e-3 is a string to YAML
            with pytest.raises(TypeError, match=f"{name} is .*must be a number"):
                case.build(case.parameters(), **{name: value})
    with pytest.raises(TypeError, match="maximize is 'no'"):
        case.build(case.parameters(), maximize="no")
    optimizer = case.build(case.parameters(), lr=np.float32(0.5), weight_decay=np.float64(0.1))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["param_groups"][0]["lr"] == 0.5


def test_a_learning_rate_that_a_scheduler_made_nan_changes_nothing(case):
    params = case.parameters()
    optimizer = case.build(params)
    case.train(optimizer, params, 1)
    before = case.everything(optimizer, params)
    optimizer.param_groups[0]["lr"] = float("nan")
    case.set_gradients(params, 1)
    with pytest.raises(ValueError, match="lr of group 0 is nan"):
        optimizer.step()
    assert case.same(before, case.everything(optimizer, params))


def test_a_state_unlike_its_parameter_changes_nothing(case):
    if case.average is None and "Dion" not in case.name:
        pytest.skip("keeps no state")
    params = case.parameters()
    optimizer = case.build([(f"layer{index}", parameter) for index, parameter in enumerate(params)])
    case.train(optimizer, params, 1)
    saved = optimizer.state_dict()
    params[1].data = params[1].data.double()  # as model.double() does
    before = case.everything(optimizer, params)
    case.set_gradients(params, 1)
    with pytest.raises(ValueError, match=r"layer1.*is torch.float32 .*the parameter torch.float64"):
        optimizer.step()
    assert case.same(before, case.everything(optimizer, params))
    other = case.parameters(((4, 4), *case.shapes[1:]))
    second = case.build([(f"layer{index}", parameter) for index, parameter in enumerate(other)])
    second.load_state_dict(saved)
    case.set_gradients(other, 1)
    with pytest.raises(ValueError, match=r"layer0.*of shape \(6, 4\)"):
        second.step()


def test_a_state_of_another_kind_of_optimizer_is_refused(case):
    params, twins = case.parameters(), case.parameters()
    adam = torch.optim.AdamW(params)
    case.train(adam, params, 1)
    optimizer = case.build(twins)
    with pytest.raises(ValueError, match="exp_avg.*another kind of optimizer"):
        optimizer.load_state_dict(adam.state_dict())


def test_parameters_without_a_shape_yet_are_rejected(case):
    lazy = nn.LazyLinear(3, bias=False)
    with pytest.raises(ValueError, match="no shape yet"):
        case.build(lazy.named_parameters())


def test_lists_of_parameters_that_make_no_sense_are_rejected(case):
    one, two = case.parameters(((4, 4), (4, 4)))
    with pytest.raises(ValueError, match="empty"):
        case.build([])
    with pytest.raises(ValueError, match="given twice"):
        case.build([{"params": [one]}, {"params": [one]}])
    with pytest.raises(ValueError, match="given twice"):  # torch warns
        case.build([one, one])
    with pytest.raises(ValueError, match="group is empty"):  # torch takes it
        case.build([{"params": [one]}, {"params": []}])
    optimizer = case.build([one])
    with pytest.raises(ValueError, match="given twice|already"):
        case.add_group(optimizer, {"params": [two, one]})
    assert len(optimizer.param_groups) == 1
    with pytest.raises(TypeError, match="set"):
        case.build([{"params": {one, two}}])
    with pytest.raises(ValueError, match=r"shape \(0, 3\)"):
        case.build([torch.zeros(0, 3)])
    with pytest.raises(TypeError):
        case.build([one, "two"])


def test_vectors_go_where_the_rule_means_something_for_them(case):
    vector = nn.Parameter(torch.ones(5))
    if not case.vectors:
        with pytest.raises(ValueError, match=r"shape \(5,\).*AdamW"):
            case.build([vector])
        return
    vector.grad = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0])
    case.build([vector]).step()
    assert float(((vector.detach() - 1) * vector.grad).sum()) < 0
