import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from muon_theory.problems import Images, airbench_net, load_images
from muon_theory.problems.data_folder import data_folder
from muon_theory.training.recipe_batches import RecipeBatches
from muon_theory.training.recipe_loop import RecipeLoop
from muon_theory.training.recipe_run import train_recipe
from muon_theory.training.recipes import AIRBENCH, RECIPES, TUTORIAL, recipe_for

COLUMNS = ["epoch", "step", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate", "time_s",
           "optimizer_time_s", "diverged"]  # fmt: skip


def made_up(channels=3, side=32, train=40, test=20):
    """Images whose class is a bright patch."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    labels = [torch.arange(count) % 10 for count in (train, test)]
    for own in labels:
        pixels = 0.3 * torch.rand(len(own), channels, 4, side // 4, 4, side // 4, generator=generator)
        for index, label in enumerate(own.tolist()):
            pixels[index, :, label // 4, :, label % 4] += 0.6
        rows.append(pixels.reshape(len(own), -1))
    name = "cifar10" if channels == 3 else "digits"
    return Images(name, rows[0], labels[0], rows[1], labels[1], 10, (side, side), "made up")


IMAGES = made_up()


def test_the_tutorials_recipes_are_as_published():
    grey, coloured = TUTORIAL["grey"], TUTORIAL["coloured"]
    assert (grey.batch, grey.epochs, grey.mean, grey.decay, grey.augmentation) == (64, 3, (), "none", "none")
    assert (coloured.batch, coloured.epochs, coloured.decay) == (128, 5, "cosine_by_epoch")
    assert (coloured.augmentation, coloured.padding, coloured.drop_last) == ("crop_and_flip", 4, False)
    assert coloured.std == (0.2023, 0.1994, 0.2010)
    rates = {name: (s.lr, s.momentum, s.weight_decay) for name, s in grey.optimizers.items()}
    assert rates == {"muon": (0.01, 0.95, 0.0), "sgd": (0.01, 0.0, 0.0), "adamw": (0.001, 0.9, 0.01)}
    rates = {name: (s.lr, s.momentum, s.weight_decay) for name, s in coloured.optimizers.items()}
    assert rates == {"muon": (0.01, 0.95, 0.0), "sgd": (0.01, 0.9, 5e-4), "adamw": (0.001, 0.9, 1e-4)}


def test_an_epoch_covers_every_image_once_and_ends_with_the_smaller_batch():
    batches = RecipeBatches(TUTORIAL["coloured"], IMAGES, batch=16, seed=3)
    sizes, labels = [], []
    for inputs, own in batches.epoch(0):
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        sizes.append(len(inputs))
        labels += own.tolist()
    assert sizes == [16, 16, 8]
    assert sorted(labels) == sorted(IMAGES.train_labels.tolist())
    dropping = RecipeBatches(AIRBENCH["coloured"], IMAGES, batch=16, seed=3)
    assert [len(own) for _, own in dropping.epoch(0)] == [16, 16]


def test_any_minibatch_can_be_made_without_those_before_it():
    for recipe in (TUTORIAL["coloured"], AIRBENCH["coloured"]):
        batches = RecipeBatches(recipe, IMAGES, batch=8, seed=3)
        whole = list(batches.epoch(2))
        for (first, _), (second, _) in zip(whole[3:], batches.epoch(2, start=3), strict=True):
            assert torch.equal(first, second)
        assert not torch.equal(whole[0][0], next(batches.epoch(1))[0])


def test_the_padding_is_black_before_normalisation():
    white = replace(IMAGES, train_images=torch.ones_like(IMAGES.train_images))
    recipe = TUTORIAL["coloured"]
    inputs = torch.cat([x for x, _ in RecipeBatches(recipe, white, batch=8, seed=0).epoch(0)])
    for channel in range(3):
        black, bright = ((level - recipe.mean[channel]) / recipe.std[channel] for level in (0.0, 1.0))
        values = np.unique(inputs[:, channel].numpy())
        assert values == pytest.approx([black, bright], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_a_run_of_the_convolutional_recipe_has_a_row_an_epoch(optimizer):
    table = train_recipe("tutorial", IMAGES, optimizer, epochs=2, batch=16)
    assert list(table.columns) == COLUMNS
    assert table.epoch.tolist() == [1, 2]
    assert table.step.tolist() == [3, 6]
    lr = TUTORIAL["coloured"].optimizers[optimizer].lr
    assert table.learning_rate.tolist() == pytest.approx([lr, lr / 2])
    assert bool(table.test_accuracy.between(0, 1).all())
    assert bool((table.optimizer_time_s < table.time_s).all())
    again = train_recipe("tutorial", IMAGES, optimizer, epochs=2, batch=16)
    assert again.drop(columns=["time_s", "optimizer_time_s"]).equals(table.drop(columns=["time_s", "optimizer_time_s"]))


def test_runs_of_one_seed_see_the_same_data_and_leave_the_random_state_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    seen = {}

    class Watching(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.weight, self.name = nn.Parameter(torch.zeros(3072, 10)), name

        def forward(self, x):
            seen.setdefault(self.name, []).append(x.detach().clone())
            return x.flatten(1) @ self.weight

    for name in ("sgd", "adamw"):
        train_recipe("tutorial", IMAGES, name, epochs=2, batch=16, model=Watching(name), evaluate=False)
    assert all(torch.equal(a, b) for a, b in zip(seen["sgd"], seen["adamw"], strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_training_learns_and_the_loss_is_the_mean_of_the_minibatches():
    images = made_up(channels=1, side=8, train=200, test=50)
    losses = []
    table = train_recipe("tutorial", images, "muon", epochs=8, progress=lambda *told: losses.append(told[2]))
    assert table.test_accuracy.iloc[-1] > 0.9
    assert len(losses) == 32
    assert losses[3] == pytest.approx(table.train_loss[0])
    assert math.isnan(train_recipe("tutorial", images, "sgd", epochs=1, evaluate=False).test_loss[0])


def test_a_diverged_run_ends_with_a_row_that_says_so():
    table = train_recipe("tutorial", IMAGES, "sgd", lr=1e30, epochs=3, batch=16)
    assert table.diverged.tolist() == [True]
    assert math.isnan(table.train_loss[0])
    assert table.step[0] < 3


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_to_about_the_same_loss(precision):
    images = made_up(channels=1, side=8, train=200, test=50)
    wide, narrow = (train_recipe("tutorial", images, "adamw", precision=p, lr=1e-2, epochs=2)
                    for p in ("float32", precision))  # fmt: skip
    assert narrow.train_loss.tolist() == pytest.approx(wide.train_loss.tolist(), rel=0.05)


def test_the_scaler_leaves_out_a_step_whose_gradients_overflow():
    images = made_up(channels=1, side=8, train=64, test=20)
    stepped = []
    recipe = TUTORIAL["grey"]
    loop = RecipeLoop(recipe, images, recipe.network(images, 0), lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
                      epochs=3, batch=32, seed=0, precision="float16")  # fmt: skip
    loop.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    loop.run(lambda _, taken: stepped.append(taken))
    assert stepped[0] is False
    assert loop.scaler.get_scale() < 2.0**40
    assert len(stepped) == 6


def test_airbench_runs_on_a_cpu_with_a_small_network_and_few_images():
    table = train_recipe(
        "airbench", IMAGES, "muon", epochs=3, batch=20, model=airbench_net(widths=(16, 16, 16), seed=0)
    )
    assert table.step.tolist() == [2, 4, 6]
    assert table.train_loss.iloc[-1] < table.train_loss.iloc[0]
    assert not table.diverged.any()


def test_airbench_whitens_and_its_rates_fall_to_zero_the_first_layers_sooner():
    model = airbench_net(widths=(8, 8, 8), seed=0)
    before = model.whiten.weight.detach().clone()
    rates = []
    recipe = AIRBENCH["coloured"]
    setting = recipe.optimizers["muon"]
    loop = RecipeLoop(recipe, IMAGES, model, lambda m: setting.build(m, lr=0.24, momentum=0.6, weight_decay=2e-6),
                      epochs=8, batch=20, seed=0, evaluate=False)  # fmt: skip
    assert not torch.equal(model.whiten.weight, before)
    frozen = model.whiten.weight.detach().clone()
    loop.run(lambda run, _: rates.append([group["lr"] for group in run.optimizer.param_groups]))
    muon, whiten, bias, head = (np.array(column) for column in zip(*rates, strict=True))
    assert muon == pytest.approx(0.24 * (1 - np.arange(16) / 16))
    assert whiten == pytest.approx(0.053 * np.maximum(0, 1 - np.arange(16) / 6))
    assert head / bias == pytest.approx(0.67 / 0.053)
    assert torch.equal(model.whiten.weight, frozen)


def test_bad_arguments_are_told_before_anything_is_trained():
    grey = load_images("digits")
    for told, call in {
        "recipe is 'nothing'; choose one of tutorial, airbench": lambda: train_recipe("nothing", grey),
        "digits is grey; the recipe is for coloured images": lambda: train_recipe("airbench", grey),
        "precision is 'float8'": lambda: train_recipe("tutorial", grey, precision="float8"),
        "epochs is 0": lambda: train_recipe("tutorial", grey, epochs=0),
        "batch is 2000; there are 1437": lambda: train_recipe("tutorial", grey, batch=2000),
        "lr is -1": lambda: train_recipe("tutorial", grey, lr=-1),
        "publishes no adamw, only muon": lambda: train_recipe("airbench", IMAGES, "adamw"),
        "need checkpoint_to": lambda: train_recipe("tutorial", grey, resume=True),
        "takes lr, momentum and weight_decay only, not nesterov": lambda: train_recipe(
            "tutorial", grey, optimizer_args={"nesterov": True}
        ),
    }.items():
        with pytest.raises(ValueError, match=told):
            call()
    assert set(RECIPES) == {"tutorial", "airbench"}
    assert recipe_for("tutorial", grey) is TUTORIAL["grey"]


@pytest.mark.slow
def test_a_compiled_network_keeps_its_names_and_its_losses():
    images = made_up(channels=1, side=8, train=200, test=50)
    plain, compiled = (train_recipe("tutorial", images, "muon", epochs=1, compile=c) for c in (False, True))
    assert compiled.train_loss[0] == pytest.approx(plain.train_loss[0], rel=1e-3)


@pytest.mark.gpu
def test_the_recipes_train_on_a_gpu_in_every_precision():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for precision in ("float32", "bfloat16", "float16"):
        table = train_recipe("tutorial", IMAGES, "muon", device="cuda", precision=precision, epochs=2, batch=16)
        assert not table.diverged.any()
        assert bool((table.optimizer_time_s > 0).all())
    model = airbench_net(widths=(16, 16, 16), seed=0)
    assert len(train_recipe("airbench", IMAGES, "muon", device="cuda", epochs=2, batch=20, model=model)) == 2


@pytest.mark.data
@pytest.mark.slow
def test_the_first_epoch_on_mnist_ends_near_the_published_loss():
    if not (data_folder() / "mnist").is_dir():
        pytest.skip("needs MNIST in the data folder; `muon-theory fetch mnist`")
    table = train_recipe("tutorial", load_images("mnist"), "muon", epochs=1)
    assert table.train_loss[0] == pytest.approx(0.2778, abs=0.02)
