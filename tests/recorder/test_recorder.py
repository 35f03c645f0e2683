"""What the recorder takes from a step, and what it leaves alone."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.recorder import STEP_KINDS, SpectrumRecorder, at, every, read_matrices, read_spectra
from muon_theory.spectra import noise_floor


def _model(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).to(dtype)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = next(model.parameters())
    inputs = torch.randn(8, 5, generator=generator).to(weight.dtype)
    optimizer.zero_grad()
    model(inputs).square().mean().backward()
    optimizer.step()


def _sigma(matrix: torch.Tensor) -> np.ndarray:
    return torch.linalg.svdvals(matrix.detach().double().flatten(1)).numpy()


def _row(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_every_kind_is_the_spectrum_of_the_matrix_it_names(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=at([1])):
        _step(model, optimizer)
        before = model[0].weight.detach().clone()
        _step(model, optimizer, seed=1)
    table = read_spectra(tmp_path)
    weight, buffer = model[0].weight, optimizer.state[model[0].weight]["momentum_buffer"]
    direction = weight.grad + 0.01 * before
    expected = {
        "gradient": weight.grad,
        "momentum": buffer,
        "lmo_input": direction + 0.9 * buffer,
        "update": weight - before,
        "weight": weight,
    }
    assert table.columns.tolist() == [
        "run", "step", "layer", "kind", "rows", "columns", "dtype", "noise_floor", "sigma",
    ]  # fmt: skip
    assert table["kind"].tolist() == [*STEP_KINDS, *STEP_KINDS]
    assert table["layer"].tolist() == ["0.weight"] * 5 + ["2.weight"] * 5
    for kind, matrix in expected.items():
        row = _row(table, layer="0.weight", kind=kind)
        assert (row.step, row["rows"], row["columns"], row["dtype"], row["run"]) == (1, 4, 5, "float32", "run_1")
        np.testing.assert_allclose(row.sigma, _sigma(matrix), rtol=2e-6)
        assert row.sigma.dtype == np.float64
        rounded = weight if kind == "update" else matrix
        stored = noise_floor(torch.float32, (4, 5), rounded.norm().item())
        assert math.isclose(row.noise_floor, max(stored, 1e-7 * row.sigma[0]), rel_tol=1e-5)


def test_recording_changes_nothing_in_the_training(tmp_path):
    outcomes = []
    for record in (False, True):
        model = _model()
        optimizer = torch.optim.Muon([model[0].weight, model[2].weight], lr=0.1)
        recorder = SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), store_matrices=True)
        state = torch.get_rng_state()
        if record:
            with recorder:
                for seed in range(5):
                    _step(model, optimizer, seed)
        else:
            for seed in range(5):
                _step(model, optimizer, seed)
        assert torch.equal(state, torch.get_rng_state())
        outcomes.append([parameter.clone() for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


def test_unscheduled_steps_cost_one_call_of_the_schedule(tmp_path, monkeypatch):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    asked: list[int] = []
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=lambda step: asked.append(step)) as recorder:
        for name in ("before_step", "after_step", "layers"):
            monkeypatch.setattr(recorder._source, name, lambda *_: pytest.fail("work on a step that is not scheduled"))
        size = sum(path.stat().st_size for path in tmp_path.iterdir())
        for _ in range(3):
            _step(model, optimizer)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == size
    assert asked == [0, 1, 2]
    assert len(read_spectra(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_gradient_is_the_clipped_and_accumulated_one(tmp_path):
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters())
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["gradient"]):
        for seed in range(3):
            inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(seed))
            model(inputs).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        expected = model[0].weight.grad.clone()
        optimizer.zero_grad()
    sigma = _row(read_spectra(tmp_path), layer="0.weight").sigma
    np.testing.assert_allclose(sigma, _sigma(expected), rtol=2e-6)


def test_a_closure_is_followed(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(8, 5, generator=torch.Generator().manual_seed(3))).square().mean()
        loss.backward()
        return loss

    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["gradient", "update"]):
        assert optimizer.step(closure).item() > 0
    table = read_spectra(tmp_path)
    sigma = _row(table, layer="2.weight", kind="gradient").sigma
    np.testing.assert_allclose(sigma, _sigma(model[2].weight.grad), rtol=2e-6)
    np.testing.assert_allclose(_row(table, layer="2.weight", kind="update").sigma[0], 0.1 * sigma[0], rtol=1e-5)


def test_a_scaled_and_skipped_step_is_neither_recorded_nor_counted(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), kinds=["gradient"]) as recorder:
        for factor in (1.0, math.inf, 1.0):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(2, 5)).square().mean() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        assert recorder.step == 2
    model(torch.ones(2, 5)).square().mean().backward()
    table = read_spectra(tmp_path)
    assert table["step"].unique().tolist() == [0, 1]
    assert 0 < table["sigma"].iloc[-1][0] < 10  # the scale of 1024 (or 512) is taken out


def test_convolution_kernels_are_flattened_as_muon_does(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 8, 5, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["weight"], store_matrices=True):
        model(torch.ones(1, 3, 6, 6)).sum().backward()
        optimizer.step()
    row = _row(read_spectra(tmp_path), kind="weight")
    assert (row["rows"], row["columns"]) == (8, 75)
    (found, matrix), *_ = read_matrices(tmp_path)
    assert torch.equal(matrix, model[0].weight.detach().reshape(8, 75))
    np.testing.assert_array_equal(found["sigma"], row.sigma)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_dtype_is_converted_exactly_and_low_precision_updates_are_refused_once(tmp_path, dtype, caplog):
    model = _model(dtype=dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)):
        for _ in range(2):
            _step(model, optimizer)
    table = read_spectra(tmp_path)
    row = _row(table, layer="0.weight", kind="weight", step=1)
    assert row["dtype"] == str(dtype).removeprefix("torch.")
    np.testing.assert_allclose(row.sigma, _sigma(model[0].weight), rtol=1e-7)
    low = dtype.itemsize == 2
    assert ("update" in set(table["kind"])) != low
    assert sum("mostly rounding" in message for message in caplog.messages) == low


def test_nan_gives_a_row_of_nan_said_once_and_other_layers_are_unharmed(tmp_path, caplog):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, kinds=["gradient"]):
        for value in (math.nan, math.inf, 0.0):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            model[0].weight.grad[0, 0] = value
            model[1].weight.grad[:] = 0.0
            optimizer.step()
    table = read_spectra(tmp_path)
    for step in (0, 1):
        row = _row(table, step=step, layer="0.weight")
        assert np.isnan(row.sigma).all()
        assert row.sigma.shape == (3,)
        assert math.isnan(row.noise_floor)
    assert np.isfinite(_row(table, step=2, layer="0.weight").sigma).all()
    for step in range(3):
        row = _row(table, step=step, layer="1.weight")
        assert row.sigma.tolist() == [0, 0, 0]
        assert row.noise_floor == 0
    assert sum("NaN or inf" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [16, 200])
def test_the_empty_directions_of_a_low_rank_matrix_lie_below_its_noise_floor(tmp_path, dtype, size):
    model = nn.Linear(size, size, bias=False, dtype=dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(size, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
    scale = torch.tensor([1.0, 1e-2, 1e-4], dtype=torch.float64)
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["gradient"]):
        model.weight.grad = ((factors[0] * scale) @ factors[1].T).to(dtype)
        optimizer.step()
    row = _row(read_spectra(tmp_path), kind="gradient")
    assert (row.sigma > row.noise_floor).sum() == 3


def test_a_parameter_without_gradient_gives_its_weight_and_a_zero_update_only(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with SpectrumRecorder(optimizer, model, tmp_path):
        model[0](torch.ones(1, 5)).sum().backward()
        optimizer.step()
    table = read_spectra(tmp_path)
    assert table[table["layer"] == "2.weight"]["kind"].tolist() == ["update", "weight"]
    assert _row(table, layer="2.weight", kind="update").sigma.tolist() == [0, 0, 0]


def test_what_an_optimizer_does_not_have_is_left_out_and_said_once(tmp_path, caplog):
    model = _model()
    with caplog.at_level(logging.WARNING):
        for make in (lambda p: torch.optim.SGD(p, lr=0.1), torch.optim.AdamW):
            optimizer = make(model.parameters())
            with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1), run=type(optimizer).__name__):
                for _ in range(2):
                    _step(model, optimizer)
    table = read_spectra(tmp_path)
    kinds = {run: set(rows["kind"]) for run, rows in table.groupby("run")}
    assert kinds == {"SGD": set(STEP_KINDS) - {"momentum"}, "AdamW": set(STEP_KINDS) - {"lmo_input"}}
    assert len(caplog.messages) == 2
    assert "SGD keeps no momentum" in caplog.messages[0]
    assert "LMO input of AdamW" in caplog.messages[1]


def test_parameter_groups_added_later_are_recorded(tmp_path, caplog):
    model = _model()
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    stranger = nn.Parameter(torch.ones(2, 2))
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, kinds=["weight"]):
        _step(model, optimizer)
        optimizer.add_param_group({"params": model[2].parameters()})
        model.append(nn.Linear(3, 2))
        optimizer.add_param_group({"params": [*model[3].parameters(), stranger]})
        _step(model, optimizer)
        _step(model, optimizer)
    layers = read_spectra(tmp_path).groupby("step")["layer"].agg(list)
    assert layers[0] == ["0.weight"]
    assert layers[1] == layers[2] == ["0.weight", "2.weight", "3.weight"]
    assert sum("is not in the model" in message for message in caplog.messages) == 1


def test_chosen_layers_only(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, layers=["2.weight"], kinds=["gradient"]):
        _step(model, optimizer)
    assert read_spectra(tmp_path)["layer"].tolist() == ["2.weight"]


def test_autocast_around_the_step_does_not_round_the_spectra(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["weight"]), torch.autocast("cpu", torch.bfloat16):
        _step(model, optimizer)
    sigma = _row(read_spectra(tmp_path), layer="0.weight").sigma
    np.testing.assert_allclose(sigma, _sigma(model[0].weight), rtol=2e-6)


def test_matrices_are_stored_as_they_were_with_their_row(tmp_path):
    model = _model(dtype=torch.bfloat16)
    model.append(nn.Linear(3, 3, dtype=torch.float64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    seen = {}
    with SpectrumRecorder(
        optimizer, model, tmp_path, schedule=every(1), kinds=["gradient"], store_matrices=True, events_per_part=3
    ):
        for step in range(8):
            for index, parameter in enumerate(model.parameters()):
                generator = torch.Generator().manual_seed(100 * step + index)
                parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            optimizer.step()
            seen |= {(step, name): p.grad.clone() for name, p in model.named_parameters() if p.ndim == 2}
        running = {(row["step"], row["layer"]): matrix for row, matrix in read_matrices(tmp_path)}
    finished = {(row["step"], row["layer"]): matrix for row, matrix in read_matrices(tmp_path)}
    for read in (running, finished):
        assert read.keys() == seen.keys()
        assert all(read[key].dtype == seen[key].dtype and torch.equal(read[key], seen[key]) for key in seen)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".parquet"] * 3 + [".safetensors"] * 3


def test_matrices_that_share_memory_are_stored_each(tmp_path):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)  # its LMO input is the momentum buffer
    with SpectrumRecorder(optimizer, model, tmp_path, layers=["0.weight"], store_matrices=True, strict=True):
        _step(model, optimizer)
    matrices = {row["kind"]: matrix for row, matrix in read_matrices(tmp_path)}
    assert set(matrices) == {"gradient", "momentum", "lmo_input", "update", "weight"}
    assert torch.equal(matrices["momentum"], matrices["lmo_input"])


def test_layers_of_a_compiled_model_keep_their_names(tmp_path):
    class Compiled(nn.Module):  # as torch.compile wraps a module
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self._orig_mod = module

    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, Compiled(model), tmp_path, kinds=["weight"]):
        _step(model, optimizer)
    assert read_spectra(tmp_path)["layer"].tolist() == ["0.weight", "2.weight"]


def test_muon_with_adamw_is_recorded_layer_by_layer(tmp_path):
    from muon_theory.optimizers import muon_with_adamw

    model = _model()
    model.append(nn.Linear(3, 2))
    optimizer = muon_with_adamw(model, lr=0.02, adamw_lr=1e-3)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)) as recorder:
        for seed in range(3):
            _step(model, optimizer, seed)
        assert recorder.step == 3
    table = read_spectra(tmp_path)
    kinds = table[table["step"] == 2].groupby("layer")["kind"].agg(set)
    stepped_by_muon = {name for name, found in kinds.items() if "lmo_input" in found}
    assert stepped_by_muon
    assert all(found >= set(STEP_KINDS) - {"lmo_input"} for found in kinds)
    for name in stepped_by_muon:
        parameter = dict(model.named_parameters())[name]
        taken = optimizer.lmo_input(parameter)
        np.testing.assert_allclose(_row(table, step=2, layer=name, kind="lmo_input").sigma, _sigma(taken), rtol=1e-5)


def test_an_event_without_any_matrix_leaves_no_row_and_no_file(tmp_path):
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters())
    with SpectrumRecorder(optimizer, model, tmp_path, kinds=["lmo_input"]):
        _step(model, optimizer)
    assert len(read_spectra(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_spectra_on_a_gpu_are_those_of_the_unscaled_gradient(tmp_path):
    model = _model().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
    with SpectrumRecorder(optimizer, model, tmp_path):
        scaler.scale(model(torch.randn(8, 5, device="cuda")).square().mean()).backward()
        scaled = model[0].weight.grad.clone()
        scaler.step(optimizer)
    table = read_spectra(tmp_path)
    gradient = _row(table, layer="0.weight", kind="gradient").sigma
    np.testing.assert_allclose(gradient, _sigma(scaled.cpu() / 1024), rtol=1e-5)
    weight = _row(table, layer="0.weight", kind="weight").sigma
    np.testing.assert_allclose(weight, _sigma(model[0].weight.cpu()), rtol=1e-5)
