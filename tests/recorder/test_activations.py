"""The inputs of layers: their matrices, which forward passes count, and that silent steps know nothing of it."""

from __future__ import annotations

import contextlib
import logging
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from muon_theory.recorder import SpectrumRecorder, at, every, read_matrices, read_spectra
from muon_theory.recorder.activations import InputMatrix, input_rows

KINDS = ["activation"]


def _sigma(matrix: torch.Tensor) -> np.ndarray:
    return torch.linalg.svdvals(matrix.detach().double()).numpy()


def _inputs(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.0), nn.Linear(5, 3))


def _recorded(folder, layer: str, step: int = 0):
    found = read_spectra(folder).query("kind == 'activation' and layer == @layer and step == @step")
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("kernel", "shape"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (4, 3, 7, 5)),
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(1, 2), groups=2), (3, 4, 9, 8)),
        (nn.Conv2d(3, 4, 3, padding="same", dilation=2), (2, 3, 6, 6)),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (2, 3, 6, 6)),
        (nn.Conv2d(4, 8, 3, groups=4), (4, 5, 6)),  # unbatched
        (nn.Conv1d(3, 5, 4, stride=3), (2, 3, 17)),
        (nn.Conv3d(2, 3, 2, padding=1), (2, 2, 3, 4, 3)),
        (nn.Linear(5, 4), (2, 3, 5)),
        (nn.Linear(5, 4), (5,)),
    ],
)
def test_the_layer_is_the_product_of_its_flattened_weight_with_the_rows(kernel, shape):
    inputs = _inputs(1, *shape)
    rows = torch.cat(list(input_rows(kernel, inputs)))
    weight = kernel.weight.detach().flatten(1)
    groups = getattr(kernel, "groups", 1)
    products = torch.einsum("pgk,gok->pgo", rows.unflatten(0, (-1, groups)), weight.unflatten(0, (groups, -1)))
    expected = kernel(inputs) - 0
    if isinstance(kernel, nn.Linear):
        expected = expected.reshape(-1, 4)
    else:
        batched = expected if inputs.ndim == len(kernel.kernel_size) + 2 else expected[None]
        expected = batched.movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(products.flatten(1) + kernel.bias, expected, rtol=1e-5, atol=1e-5)


def test_large_inputs_come_in_pieces_of_bounded_size(monkeypatch):
    monkeypatch.setattr("muon_theory.recorder.activations._CHUNK_ENTRIES", 200)
    kernel, inputs = nn.Conv2d(2, 3, 3), _inputs(0, 5, 2, 4, 4)
    pieces = list(input_rows(kernel, inputs))
    assert len(pieces) == 5
    monkeypatch.undo()
    assert torch.equal(torch.cat(pieces), torch.cat(list(input_rows(kernel, inputs))))


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 40])
def test_few_rows_are_kept_and_many_become_their_gram_matrix(rows):
    matrix, whole = InputMatrix(8), _inputs(2, rows, 8)
    for piece in whole.split(3):
        matrix.add(piece)
    assert matrix.rows == rows
    assert (matrix.matrix() is None) == (rows > 8)
    if rows <= 8:
        assert torch.equal(matrix.matrix(), whole)
    np.testing.assert_allclose(matrix.spectrum().numpy(), _sigma(whole), rtol=1e-6)
    assert sum(kept.numel() for kept in matrix._kept) <= 64


@pytest.mark.parametrize("batch", [4, 16])
def test_a_recorded_input_is_that_of_all_forward_passes_of_the_step(tmp_path, batch):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [_inputs(seed, batch, 6) for seed in range(6)]
    hidden = []
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=at([1]), kinds=["activation", "gradient"]):
        for step in range(3):
            optimizer.zero_grad()
            for micro in batches[2 * step : 2 * step + 2]:
                if step == 1:
                    with torch.no_grad():
                        hidden.append(torch.tanh(nn.functional.linear(micro, model[0].weight, model[0].bias)))
                model(micro).square().mean().backward()
            optimizer.step()
    seen = torch.cat(batches[2:4])
    row = _recorded(tmp_path, "0.weight", step=1)
    assert (row["rows"], row["columns"], row["dtype"]) == (2 * batch, 6, "float32")
    np.testing.assert_allclose(row["sigma"], _sigma(seen), rtol=1e-5)
    np.testing.assert_allclose(_recorded(tmp_path, "3.weight", step=1)["sigma"], _sigma(torch.cat(hidden)), rtol=1e-5)
    assert read_spectra(tmp_path)["step"].unique().tolist() == [1]


def test_evaluation_and_passes_without_gradients_do_not_count(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS):
        model(_inputs(0, 9, 6)).square().mean().backward()
        with torch.no_grad():
            model(_inputs(1, 9, 6))
        model.eval()
        model(_inputs(2, 9, 6))
        model.train()
        optimizer.step()
    np.testing.assert_allclose(_recorded(tmp_path, "0.weight")["sigma"], _sigma(_inputs(0, 9, 6)), rtol=1e-5)


def test_a_gradient_thrown_away_takes_its_inputs_with_it(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS) as recorder:
        for factor, seed in ((math.inf, 0), (1.0, 1), (1.0, 2)):
            optimizer.zero_grad()
            scaler.scale(model(_inputs(seed, 9, 6)).square().mean() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        assert recorder.step == 2
    for step in (0, 1):
        row = _recorded(tmp_path, "0.weight", step)
        np.testing.assert_allclose(row["sigma"], _sigma(_inputs(step + 1, 9, 6)), rtol=1e-5)


def test_two_forward_passes_before_the_backward_pass_both_count(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS):
        (model(_inputs(0, 9, 6)).mean() + model(_inputs(1, 9, 6)).mean()).backward()
        optimizer.step()
    seen = torch.cat([_inputs(0, 9, 6), _inputs(1, 9, 6)])
    np.testing.assert_allclose(_recorded(tmp_path, "0.weight")["sigma"], _sigma(seen), rtol=1e-5)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_forward_pass_counts_once(tmp_path, reentrant):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = _inputs(0, 9, 6).requires_grad_()
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS):
        checkpoint(model, inputs, use_reentrant=reentrant).square().mean().backward()
        optimizer.step()
    np.testing.assert_allclose(_recorded(tmp_path, "0.weight")["sigma"], _sigma(inputs), rtol=1e-5)


def test_no_hook_is_left_at_silent_steps_and_afterwards(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooked = []
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=at([0, 2]), kinds=KINDS):
        for seed in range(4):
            hooked.append((len(model[0]._forward_pre_hooks), len(model[0].weight._post_accumulate_grad_hooks or ())))
            model(_inputs(seed, 3, 6)).square().mean().backward()
            optimizer.step()
        hooked.append((len(model[0]._forward_pre_hooks), len(model[0].weight._post_accumulate_grad_hooks or ())))
    assert hooked == [(1, 1), (0, 0), (1, 1), (0, 0), (0, 0)]
    assert read_spectra(tmp_path)["step"].unique().tolist() == [0, 2]


def test_recording_inputs_changes_nothing_in_the_training(tmp_path):
    outcomes = []
    for record in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder = SpectrumRecorder(optimizer, model, tmp_path, schedule=every(2), kinds=["activation", "gradient"])
        with recorder if record else contextlib.nullcontext():
            for seed in range(4):
                optimizer.zero_grad()
                model(_inputs(seed, 5, 1, 6, 6)).square().mean().backward()
                optimizer.step()
        outcomes.append(list(model.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))
    assert len(read_spectra(tmp_path)) == 8


def test_inputs_in_low_precision_under_autocast_are_recorded_as_they_come(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(_inputs(0, 40, 6)).float().square().mean()
        loss.backward()
        optimizer.step()
    first, second = _recorded(tmp_path, "0.weight"), _recorded(tmp_path, "3.weight")
    assert (first["dtype"], second["dtype"]) == ("float32", "bfloat16")
    assert first["noise_floor"] < 1e-5 * first["sigma"][0]
    assert second["noise_floor"] > 1e-4 * second["sigma"][0]
    np.testing.assert_allclose(first["sigma"], _sigma(_inputs(0, 40, 6)), rtol=1e-5)


def test_inputs_with_nan_give_nan_and_break_nothing(tmp_path, caplog):
    for rows in (3, 40):
        model = _mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with (
            caplog.at_level(logging.WARNING),
            SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS, layers=["0.weight"]),
        ):
            model(torch.full((rows, 6), math.nan)).square().mean().backward()
            optimizer.step()
    table = read_spectra(tmp_path)
    assert len(table) == 2
    assert all(np.isnan(sigma).all() for sigma in table["sigma"])
    assert "NaN or inf in the activation of 0.weight" in caplog.text


def test_a_tied_weight_has_the_inputs_of_both_layers_and_an_embedding_has_none(tmp_path, caplog):
    torch.manual_seed(0)
    one, two, table = nn.Linear(4, 4), nn.Linear(4, 4), nn.Embedding(7, 4)
    two.weight = one.weight
    model = nn.Sequential(table, one, nn.Tanh(), two)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, kinds=KINDS):
        tokens = torch.tensor([[0, 1, 2], [3, 4, 5]])
        first = table(tokens)
        second = torch.tanh(nn.functional.linear(first, one.weight, one.bias)).detach()
        model(tokens).square().mean().backward()
        optimizer.step()
    seen = torch.cat([first.reshape(-1, 4), second.reshape(-1, 4)])
    np.testing.assert_allclose(_recorded(tmp_path, "1.weight")["sigma"], _sigma(seen), rtol=1e-5)
    assert "the input of 0.weight is not recorded: it is the weight of no Linear or convolution layer" in caplog.text
    assert len(read_spectra(tmp_path)) == 1


def test_matrices_of_inputs_are_not_stored(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kinds = ["gradient", "activation"]
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=kinds, store_matrices=True):
        model(_inputs(0, 3, 6)).square().mean().backward()
        optimizer.step()
    assert {row["kind"] for row, _ in read_matrices(tmp_path)} == {"gradient"}
    assert set(read_spectra(tmp_path)["kind"]) == set(kinds)


def test_the_trainer_may_say_that_a_step_was_skipped(tmp_path):
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=KINDS) as recorder:
        for step in range(3):
            recorder.advance_to(step)
            optimizer.zero_grad(set_to_none=False)
            model(_inputs(step, 9, 6)).square().mean().backward()
            if step != 1:
                optimizer.step()
    assert read_spectra(tmp_path)["step"].unique().tolist() == [0, 2]
    for step in (0, 2):
        row = _recorded(tmp_path, "0.weight", step)
        np.testing.assert_allclose(row["sigma"], _sigma(_inputs(step, 9, 6)), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("whole", [True, False])
def test_inputs_of_a_compiled_model_are_recorded_without_a_graph_break(tmp_path, backend, whole):
    torch._dynamo.reset()
    model = _mlp()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    given = compiled if whole else model  # that a plain model is compiled is seen if it is done at a recorded step
    steps = [1, 3] if whole else [0, 2]
    with SpectrumRecorder(optimizer, given, tmp_path, schedule=at(steps), kinds=KINDS):
        for step in range(5):
            optimizer.zero_grad()
            for micro in range(2):
                compiled(_inputs(2 * step + micro, 5, 6)).square().mean().backward()
            with torch.no_grad():
                compiled(_inputs(99, 5, 6))
            optimizer.step()
    assert not model[0]._forward_pre_hooks
    for step in steps:
        seen = torch.cat([_inputs(2 * step, 5, 6), _inputs(2 * step + 1, 5, 6)])
        np.testing.assert_allclose(_recorded(tmp_path, "0.weight", step)["sigma"], _sigma(seen), rtol=1e-5)
    assert read_spectra(tmp_path)["step"].unique().tolist() == steps


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_a_model_compiled_before_is_said_to_show_no_input(tmp_path, caplog):
    torch._dynamo.reset()
    model = _mlp()
    compiled = torch.compile(model, backend="eager")
    compiled(_inputs(0, 5, 6)).mean().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, kinds=KINDS):
        compiled(_inputs(0, 5, 6)).mean().backward()
        optimizer.step()
    assert len(read_spectra(tmp_path)) == 0
    assert "enter it before the first forward pass" in caplog.text
