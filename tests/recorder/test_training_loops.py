"""Training loops of every kind against spectra computed by hand in the same loop."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon
from muon_theory.recorder import SpectrumRecorder, at, every, read_spectra

compiles = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


def _model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def _inputs(seed: int) -> torch.Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(seed))


def _loss(model: nn.Module, seed: int) -> torch.Tensor:
    return model(_inputs(seed)).float().square().mean()


def _sigma(matrix: torch.Tensor) -> np.ndarray:
    return torch.linalg.svdvals(matrix.detach().double().flatten(1)).numpy()


def _gradients(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: _sigma(p.grad) for name, p in model.named_parameters() if p.ndim > 1 and p.grad is not None}


def _compare(folder, expected: dict[int, dict[str, np.ndarray]], kind: str = "gradient") -> None:
    """The recording of a kind holds exactly the expected spectra, by step and layer."""
    table = read_spectra(folder)
    rows = {(row["step"], row["layer"]): row for row in table[table["kind"] == kind].to_dict("records")}
    wanted = {(step, layer): sigma for step, found in expected.items() for layer, sigma in found.items()}
    assert rows.keys() == wanted.keys()
    for key, sigma in wanted.items():
        above = sigma > rows[key]["noise_floor"]
        np.testing.assert_allclose(rows[key]["sigma"][above], sigma[above], rtol=1e-4)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscale_first", [False, True])
def test_scaled_gradients_are_recorded_unscaled_and_skipped_steps_not_at_all(tmp_path, fused, unscale_first):
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    plain, expected = _model(), {}
    factors = (1.0, math.inf, 1.0, 1.0, math.inf, 1.0)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)) as recorder:
        for seed, factor in enumerate(factors):
            plain.load_state_dict(model.state_dict())
            plain.zero_grad()
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, own = _loss(model, seed), _loss(plain, seed)
            scaler.scale(loss * factor).backward()
            own.backward()
            if unscale_first:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
            if factor == 1.0:
                expected[recorder.step] = _gradients(plain)
            scaler.step(optimizer)
            scaler.update()
        assert recorder.step == 4
    assert sorted(expected) == [0, 1, 2, 3]
    _compare(tmp_path, expected)


@pytest.mark.parametrize("fused", [False, True])
def test_a_skipped_step_keeps_its_number_where_the_trainer_counts_it(tmp_path, fused):
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    expected = {}
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(2), kinds=["gradient"]) as recorder:
        for step in range(6):
            recorder.advance_to(step)
            optimizer.zero_grad()
            scaler.scale(_loss(model, step) * (math.inf if step in (1, 2) else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            if step in (0, 4):
                expected[step] = _gradients(model)
    _compare(tmp_path, expected)


def test_accumulated_and_clipped_gradients_are_those_the_optimizer_used(tmp_path):
    model = _model()
    optimizer = Muon([model[0].weight, model[2].weight], lr=0.02)
    expected, momenta = {}, {}
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=at([1, 3])):
        for step in range(4):
            optimizer.zero_grad()
            for micro in range(3):
                (_loss(model, 3 * step + micro) / 3).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            optimizer.step()
            if step in (1, 3):
                expected[step] = _gradients(model)
                named = dict(model.named_parameters()).items()
                momenta[step] = {n: _sigma(optimizer.state[p]["momentum_buffer"]) for n, p in named if p.ndim > 1}
    _compare(tmp_path, expected)
    _compare(tmp_path, momenta, "momentum")


def _step_of(optimizers):
    def step() -> None:
        for optimizer in optimizers:
            optimizer.step()

    return step


def _three_layers() -> tuple[nn.Sequential, list[torch.optim.Optimizer]]:
    model = nn.Sequential(*_model(), nn.Linear(3, 2))
    return model, [
        Muon([model[0].weight, model[2].weight], lr=0.02),
        torch.optim.AdamW([model[3].weight, model[0].bias, model[2].bias, model[3].bias]),
    ]


@pytest.mark.parametrize("form", ["list", "dict"])
def test_two_optimizers_make_one_event_that_is_complete_when_the_second_has_stepped(tmp_path, form):
    model, optimizers = _three_layers()
    given = optimizers if form == "list" else dict(zip(("muon", "adamw"), optimizers, strict=True))
    expected, updates = {}, {}
    with SpectrumRecorder(given, model, tmp_path, schedule=every(2)) as recorder:
        for step in range(4):
            model.zero_grad()
            _loss(model, step).backward()
            before = {n: p.detach().clone() for n, p in model.named_parameters() if p.ndim > 1}
            optimizers[0].step()
            assert recorder.step == step
            assert len(read_spectra(tmp_path)) == (step + 1) // 2 * 14
            optimizers[1].step()
            assert recorder.step == step + 1
            if step % 2 == 0:
                expected[step] = _gradients(model)
                updates[step] = {n: _sigma(p - before[n]) for n, p in model.named_parameters() if p.ndim > 1}
    _compare(tmp_path, expected)
    _compare(tmp_path, updates, "update")
    assert len(expected[0]) == 3


def test_a_step_that_a_scaler_skips_for_one_of_two_optimizers_is_an_event_of_the_other(tmp_path):
    model, optimizers = _three_layers()
    with SpectrumRecorder(optimizers, model, tmp_path, schedule=every(1), kinds=["gradient"]) as recorder:
        for step in range(4):
            model.zero_grad()
            _loss(model, step).backward()
            if step not in (0, 2):
                optimizers[0].step()
            optimizers[1].step()
    assert recorder.step == 4
    layers = read_spectra(tmp_path).groupby("step")["layer"].agg(list).to_dict()
    everything = ["0.weight", "2.weight", "3.weight"]
    assert layers == {0: ["3.weight"], 1: everything, 2: ["3.weight"], 3: everything}


def test_optimizers_listed_in_the_wrong_order_are_said_so(tmp_path, caplog):
    model, optimizers = _three_layers()
    with (
        caplog.at_level(logging.WARNING),
        SpectrumRecorder(optimizers[::-1], model, tmp_path, schedule=every(1), kinds=["gradient"]),
    ):
        for step in range(4):
            model.zero_grad()
            _loss(model, step).backward()
            _step_of(optimizers)()
    assert caplog.text.count("list them in the order in which the loop steps them") == 1


def test_optimizers_that_share_a_matrix_or_are_none_are_refused(tmp_path):
    model = _model()
    one, other = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    with pytest.raises(ValueError, match=r"0\.weight is in two of the optimizers"):
        SpectrumRecorder([one, other], model, tmp_path)
    with pytest.raises(ValueError, match="list each once"):
        SpectrumRecorder([one, one], model, tmp_path)
    with pytest.raises(ValueError, match="empty list"):
        SpectrumRecorder([], model, tmp_path)
    with pytest.raises(TypeError, match="or a list of several"):
        SpectrumRecorder([one, model], model, tmp_path)


def test_an_optimizer_of_each_parameter_inside_the_backward_pass(tmp_path):
    model = _model()
    optimizers = {p: torch.optim.SGD([p], lr=0.1, momentum=0.9) for p in model.parameters()}
    names = {p: name for name, p in model.named_parameters()}
    expected: dict[int, dict[str, np.ndarray]] = {}
    step = 0

    def step_and_free(parameter: torch.Tensor) -> None:
        if parameter.ndim > 1:
            expected.setdefault(step, {})[names[parameter]] = _sigma(parameter.grad)
        optimizers[parameter].step()
        parameter.grad = None

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step_and_free)
    with SpectrumRecorder(optimizers, model, tmp_path, schedule=every(1)) as recorder:
        for step in range(3):
            _loss(model, step).backward()
            assert recorder.step == step + 1
            assert all(p.grad is None for p in model.parameters())
    _compare(tmp_path, expected)
    assert set(read_spectra(tmp_path)["kind"]) == {"gradient", "momentum", "lmo_input", "update", "weight"}


def test_a_frozen_parameter_in_the_backward_pass_ends_the_event_with_the_next_round(tmp_path):
    model = _model()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: optimizers[p].step())
    model[0].weight.requires_grad_(False)
    with SpectrumRecorder(optimizers, model, tmp_path, schedule=every(1), kinds=["gradient"]) as recorder:
        for step in range(3):
            model.zero_grad()
            _loss(model, step).backward()
            assert recorder.step == step
    table = read_spectra(tmp_path)
    assert table["step"].tolist() == [0, 1, 2]
    assert set(table["layer"]) == {"2.weight"}


def test_an_interrupted_round_is_not_an_event_and_a_finished_block_keeps_its_last_one(tmp_path):
    model, optimizers = _three_layers()
    recorder = SpectrumRecorder(optimizers, model, tmp_path, schedule=every(1), kinds=["weight"], run="a")

    def interrupted() -> None:
        with recorder:
            optimizers[0].step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(read_spectra(tmp_path)) == 0
    with recorder:
        optimizers[0].step()
    assert read_spectra(tmp_path)["layer"].tolist() == ["0.weight", "2.weight"]


def test_gradients_with_nan_are_rows_of_nan_and_training_goes_on(tmp_path, caplog):
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with caplog.at_level(logging.WARNING), SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)):
        for step in range(3):
            optimizer.zero_grad()
            (_loss(model, step) * (math.nan if step == 1 else 1.0)).backward()
            optimizer.step()
    table = read_spectra(tmp_path)
    assert table.groupby("step").size().tolist() == [8, 8, 8]
    lost = table[table["step"] == 1]
    assert all(np.isnan(row["sigma"]).all() for row in lost.to_dict("records"))
    assert caplog.text.count("NaN or inf in the gradient of 0.weight at step 1") == 1


@compiles
@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_model_has_no_graph_break_and_the_spectra_of_its_gradients(tmp_path, backend):
    import torch._dynamo

    torch._dynamo.reset()
    model = _model()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = {}
    with SpectrumRecorder(optimizer, compiled, tmp_path, schedule=every(2)):
        for step in range(4):
            optimizer.zero_grad()
            _loss(compiled, step).backward()
            optimizer.step()
            if step % 2 == 0:
                expected[step] = _gradients(model)
    _compare(tmp_path, expected)
    assert torch._dynamo.explain(model)(_inputs(0)).graph_break_count == 0


@pytest.mark.slow
@compiles
@pytest.mark.parametrize("compiled_part", ["step", "function"])
@pytest.mark.parametrize("kind", ["SGD", "AdamW", "Muon"])
def test_a_compiled_optimizer_step_is_followed(tmp_path, compiled_part, kind):
    import torch._dynamo

    torch._dynamo.reset()
    model = _model()
    matrices = [model[0].weight, model[2].weight]
    optimizer = {
        "SGD": lambda: torch.optim.SGD(matrices, lr=0.1, momentum=0.9),
        "AdamW": lambda: torch.optim.AdamW(matrices),
        "Muon": lambda: torch.optim.Muon(matrices),
    }[kind]()
    step_of = {"step": optimizer.step, "function": _step_of([optimizer])}[compiled_part]
    compiled = torch.compile(step_of, backend="aot_eager")
    expected, updates = {}, {}
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(2)) as recorder:
        for step in range(5):
            optimizer.zero_grad()
            _loss(model, step).backward()
            before = {n: p.detach().clone() for n, p in model.named_parameters() if p.ndim > 1}
            compiled()
            if step % 2 == 0:
                expected[step] = _gradients(model)
                updates[step] = {n: _sigma(p - before[n]) for n, p in model.named_parameters() if p.ndim > 1}
        assert recorder.step == 5
    _compare(tmp_path, expected)
    _compare(tmp_path, updates, "update")
