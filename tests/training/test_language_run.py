import pytest
import torch

from muon_theory.problems import bigram_zipf, context_model, transformer
from muon_theory.training.language_run import train_on_tokens


def _batches(law, steps, length, seed=0):
    tokens = law.sample(32 * steps, length + 1, seed=seed).reshape(steps, 32, length + 1)
    return [(batch[:, :-1], batch[:, 1:]) for batch in tokens]


def _adam(model, lr=0.01):
    return torch.optim.Adam(model.parameters(), lr=lr)


def test_a_transformer_learns_the_law_towards_its_entropy():
    law = bigram_zipf(16, seed=0)
    model = transformer(16, 32, 2, 1, 8, seed=0)
    table = train_on_tokens(model, _adam(model), _batches(law, 200, 8), steps=200)
    tokens = law.sample(200, 8, seed=9)
    with torch.no_grad():
        loss = law.cross_entropy(model(tokens), tokens)
    assert law.entropy() - 0.03 < loss < 0.5 * (law.entropy() + law.unigram_entropy())
    assert table["loss"].tail(20).mean() == pytest.approx(loss, abs=0.1)
    assert not table["diverged"].any()


def test_the_same_seeds_give_the_same_run():
    law = bigram_zipf(10, seed=0)
    tokens = law.sample(60, 3, seed=1).reshape(6, 10, 3)
    tables = []
    for _ in range(2):
        model = context_model(10, 4, 2, seed=0)
        batches = [(batch[:, :2], batch[:, 2]) for batch in tokens]
        tables.append(train_on_tokens(model, _adam(model), batches, steps=6))
    assert tables[0].equals(tables[1])


def test_a_run_ends_where_it_diverges_and_the_rates_are_restored():
    law = bigram_zipf(8, seed=0)
    model = transformer(8, 8, 2, 1, 4, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    table = train_on_tokens(model, optimizer, _batches(law, 20, 4), steps=20)
    assert len(table) < 20
    assert bool(table["diverged"].iloc[-1])
    assert optimizer.param_groups[0]["lr"] == 1e30


def test_too_few_batches_and_wrong_steps_are_refused():
    law = bigram_zipf(8, seed=0)
    model = transformer(8, 8, 2, 1, 4, seed=0)
    with pytest.raises(ValueError, match="ended after 2 of 3 steps"):
        train_on_tokens(model, _adam(model), _batches(law, 2, 4), steps=3)
    with pytest.raises(ValueError, match="steps is 0"):
        train_on_tokens(model, _adam(model), [], steps=0)
    with pytest.raises(ValueError, match="schedule_lr is 'steep'"):
        train_on_tokens(model, _adam(model), [], steps=1, schedule_lr="steep")
