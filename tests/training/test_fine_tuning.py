import numpy as np
import pytest
import torch

from muon_theory.optimizers import Hybrid, MuonAll
from muon_theory.problems import bigram_zipf, transformer
from muon_theory.training.fine_tuning import excess_loss, language_optimizer, token_batches
from muon_theory.training.language_run import train_on_tokens


class Oracle(torch.nn.Module):
    """The law itself as a model."""

    def __init__(self, law):
        super().__init__()
        self.logits = torch.from_numpy(np.log(law.transition))

    def forward(self, tokens):
        return self.logits[tokens]


def test_the_law_itself_has_no_excess_beyond_the_noise_of_contexts():
    law = bigram_zipf(20, seed=0)
    assert abs(excess_loss(Oracle(law), law, 50, sequences=400, seed=0)) < 0.02
    other = bigram_zipf(20, seed=0, drift=0.5)
    assert excess_loss(Oracle(law), other, 50, sequences=400, seed=0) > 0.1


def test_few_sequences_come_back_and_fresh_ones_do_not():
    law = bigram_zipf(50, seed=0)
    few = {tuple(row.tolist()) for inputs, _ in token_batches(law, 20, 4, 12, kept=5, seed=0) for row in inputs}
    fresh = {tuple(row.tolist()) for inputs, _ in token_batches(law, 20, 4, 12, seed=0) for row in inputs}
    assert len(few) == 5
    assert len(fresh) == 80
    for inputs, targets in token_batches(law, 3, 4, 12, kept=5, seed=0):
        assert torch.equal(inputs[:, 1:], targets[:, :-1])


@pytest.mark.parametrize("name", ["adamw", "muon", "muon_all", "muon_all_scaled"])
def test_every_optimizer_lowers_the_excess(name):
    law = bigram_zipf(12, seed=0)
    model = transformer(12, 16, 2, 1, 8, seed=0)
    before = excess_loss(model, law, 8, seed=1)
    optimizer = language_optimizer(name, model, 0.003)
    train_on_tokens(model, optimizer, token_batches(law, 60, 16, 8, seed=0), steps=60)
    assert excess_loss(model, law, 8, seed=1) < 0.8 * before


def test_the_names_mean_what_they_say():
    model = transformer(12, 16, 2, 1, 8, seed=0)
    assert isinstance(language_optimizer("muon", model, 0.1), Hybrid)
    scaled = language_optimizer("muon_all_scaled", model, 0.1)
    assert isinstance(scaled, MuonAll)
    rates = {tuple(p.shape): group["lr"] for group in scaled.param_groups for p in group["params"]}
    assert rates[16, 16] == 0.1
    assert rates[16,] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="name is 'sgd'"):
        language_optimizer("sgd", model, 0.1)
