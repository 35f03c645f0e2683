"""One training run in, one tidy table out."""

from muon_theory.training.optimizer_choice import OptimizerOptions, build_optimizer, schedule_factor
from muon_theory.training.recipe_run import train_recipe
from muon_theory.training.recipes import RECIPES, Recipe
from muon_theory.training.run import evaluate, minibatches, train

__all__ = [
    "RECIPES",
    "OptimizerOptions",
    "Recipe",
    "build_optimizer",
    "evaluate",
    "minibatches",
    "schedule_factor",
    "train",
    "train_recipe",
]
