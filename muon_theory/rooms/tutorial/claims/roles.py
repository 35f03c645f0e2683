"""Who steps what: the advice, the experiments, MuonW's name rule and its shards; what the step metrics can tell."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.tutorial.routes import OLMO_NAMES, as_run, name_rule
from muon_theory.rooms.tutorial.update import newton_schulz

TEXT = "Wei 2025, Understanding the Muon Optimizer"
REQUEST = "allenai/OLMo pull request 882"


def _roles(as_experiments: bool = False) -> Finding:
    """Parameters of a perceptron, a small convolutional network and a transformer that are not where advised."""
    from muon_theory.optimizers import route_parameters
    from muon_theory.problems import first_convolution_net, mlp, transformer

    wrong = 0
    for model in (mlp(784, seed=0), first_convolution_net(8, seed=0), transformer(16, 8, 2, 1, 4, seed=0)):
        for route in route_parameters(model).routes:
            advised = "muon" if route.role in ("hidden", "fused", "convolution") else "adamw"
            found = as_run(route.name, len(route.shape)) if as_experiments else route.optimizer
            wrong += (found == "muon") != (advised == "muon")
    return Finding(0, wrong)


def _experiments(heads_left_out: bool = False) -> Finding:
    """Output layers that Muon steps in the two experiments."""
    return Finding(0, sum(as_run("head.weight", 2) == "muon" and not heads_left_out for _ in ("mnist", "cifar10")))


def _vectors(of_two_dimensions: bool = False) -> Finding:
    """Vectors of a transformer that the name rule sends to Muon; a mutation stores each as an n x 1 matrix."""
    from muon_theory.problems import transformer

    named = [(name, p) for name, p in transformer(16, 8, 2, 1, 4, seed=0).named_parameters() if p.ndim < 2]
    return Finding(0, sum(name_rule(name, p.ndim + of_two_dimensions) == "muon" for name, p in named))


def _names(renamed: bool = False) -> Finding:
    """Matrices of OLMo's model class for which the name rule differs from the advice, with names that tell or not."""
    telling = {"embedding": "embed", "head": "lm_head", "hidden": "linear"}
    wrong = 0
    for name, (role, advised) in OLMO_NAMES.items():
        wrong += name_rule(f"{telling[role]}.weight" if renamed else name, 2) != advised
    return Finding(0, wrong)


def _substring(name: str = "blocks.0.attention_heads.weight") -> Finding:
    """Whether a hidden matrix of this name falls to AdamW."""
    return Finding(0, int(name_rule(name, 2) == "adamw"))


def _flat(dimensions: int = 1) -> Finding:
    """Hidden matrices of OLMo's model that a rank holding flat shards still gives to Muon, of those that it should."""
    hidden = [name for name, (role, _) in OLMO_NAMES.items() if role == "hidden"]
    return Finding(len(hidden), sum(name_rule(name, dimensions) == "muon" for name in hidden))


def _shards(ranks: int = 4) -> Finding:
    """Relative Frobenius difference of shards orthogonalised by their ranks and of the matrix orthogonalised."""
    import torch

    gaps = []
    for seed in range(5):
        G = torch.randn(64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        whole = newton_schulz(G)
        parts = torch.cat([newton_schulz(part) for part in G.chunk(ranks)])
        gaps.append(float((parts - whole).norm() / whole.norm()))
    return Finding(1e-9, float(np.median(gaps)))


def _metrics(rule: str = "muonw") -> Finding:
    """Factor by which update/{name}.norm grows when all gradients grow a millionfold: smallest over the matrices."""
    import torch

    from muon_theory.optimizers import UpdateRecord, get_post_step_metrics
    from muon_theory.problems import mlp
    from muon_theory.rooms.tutorial.muonw import MuonW

    found = []
    for factor in (1e-3, 1e3):
        model = mlp(16, (12, 8), 4, seed=0)
        plain = torch.optim.SGD(model.parameters(), lr=1.0)
        optimizer = MuonW(model.named_parameters()) if rule == "muonw" else plain
        UpdateRecord(plain)
        inputs = torch.randn(32, 16, generator=torch.Generator().manual_seed(1))
        (factor * torch.nn.functional.cross_entropy(model(inputs), torch.arange(32) % 4)).backward()
        optimizer.step()
        metrics = get_post_step_metrics(optimizer, model)
        found.append(np.array([metrics[f"update/{name}.norm"] for name, p in model.named_parameters() if p.ndim > 1]))
    return Finding(1e3, float((found[1] / found[0]).min()))


def _hardware(swapped: bool = False) -> Finding:
    """Muon's step over AdamW's at peak rates, T4 over A100, for square matrices of 512 to 4096."""
    from muon_theory.rooms.tutorial.hardware import DEVICES, roofline_ratio

    first, second = ("a100", "t4") if swapped else ("t4", "a100")
    sizes = (512, 1024, 2048, 4096)
    ratios = [roofline_ratio(DEVICES[first], n, n) / roofline_ratio(DEVICES[second], n, n) for n in sizes]
    return Finding(1.0, ratios, attained=max(ratios))


def claims() -> list[Claim]:
    """The claims TUT-05-ROLES, TUT-05-OWN, TUT-14, TUT-19 and TUT-20.

    Returns:
        The claims.

    Source: the statements of the tutorial; each claim names its own.
    """
    return [*_who_steps_what(), *_distributed(), *_watching()]


def _row(name: str, statement: str, evaluate, mutation: Mutation, **options) -> Claim:  # noqa: ANN001, ANN003
    """A claim with what its rows share filled in."""
    shared = {"relation": "==", "method": "property test", "expected": "holds", "attribution": "printed"}
    return Claim(id=name, statement=statement, evaluate=evaluate, mutations=(mutation,), **{**shared, **options})


def _who_steps_what() -> list[Claim]:
    return [
        _row(
            "TUT-05-ROLES",
            "roles read from the modules give hidden matrices and kernels to Muon, embeddings, heads, biases and gains "
            "to AdamW, as advised (perceptron, convolutional network, transformer)",
            _roles,
            Mutation("every tensor of two dimensions, as the experiments do", {"as_experiments": True}),
            source=TEXT + " (the advice); the rule is this library's",
            attribution="ours",
        ),
        _row(
            "TUT-05-OWN",
            "the two experiments follow the advice: no output layer is orthogonalised",
            _experiments,
            Mutation("heads left to AdamW", {"heads_left_out": True}),
            source=TEXT + ", one Muon over model.parameters()",
            expected="refuted",
            attribution="implied",
        ),
        _row(
            "TUT-14",
            "hardware decides: at published peak rates a Muon step costs more of AdamW's on a T-series GPU than on an "
            "A-series one; the printed 30 to 40 times and 3 % are not measured here",
            _hardware,
            Mutation("the two GPUs exchanged", {"swapped": True}),
            source=TEXT + "; data sheets of T4 and A100, no run on either",
            relation=">",
            method="float64 evaluation",
            expected="open",
            attribution="implied",
            tier="medium",
            printed=35 / 1.03,
        ),
    ]


def _distributed() -> list[Claim]:
    return [
        _row(
            "TUT-19",
            "the advanced version is FSDP-compatible: four row shards of a 64 x 32 matrix, each orthogonalised by its "
            "rank, are the orthogonalised matrix (relative difference)",
            _shards,
            Mutation("one rank", {"ranks": 1}),
            source=REQUEST + ": the iteration runs on the local tensor",
            relation="<=",
            expected="refuted",
            tolerance=0.0,
        ),
        _row(
            "TUT-19-FLAT",
            "under FSDP with flat shards the hidden matrices are still stepped by Muon",
            _flat,
            Mutation("unsharded", {"dimensions": 2}),
            source=REQUEST + ": Muon needs two dimensions, a flat shard has one",
            expected="refuted",
            attribution="implied",
        ),
        _row(
            "TUT-19-REST",
            "tensors that are no matrices keep AdamW",
            _vectors,
            Mutation("vectors stored as n x 1 matrices", {"of_two_dimensions": True}),
            source=REQUEST,
        ),
        _row(
            "TUT-19-NAMES",
            "MuonW's name rule, neither embed nor head, gives the matrices of OLMo's own model the advised optimizer",
            _names,
            Mutation("names that tell the role", {"renamed": True}),
            source=REQUEST + "; names wte, wpe, ff_out in olmo/model.py: embeddings and head go to Muon",
            expected="refuted",
            attribution="implied",
        ),
        _row(
            "TUT-19-SUBSTRING",
            "a hidden matrix called attention_heads is stepped by Muon under MuonW's name rule",
            _substring,
            Mutation("called attention", {"name": "blocks.0.attention.weight"}),
            source=REQUEST + ": a substring match",
            expected="refuted",
            attribution="implied",
        ),
    ]


def _watching() -> list[Claim]:
    return [
        _row(
            "TUT-20",
            "get_post_step_metrics gives what one needs to watch an optimizer: update/{name}.norm of a matrix grows at "
            "least a thousandfold when its gradient grows a millionfold",
            _metrics,
            Mutation("plain SGD", {"rule": "sgd"}),
            source=TEXT + "; " + REQUEST + " (norm and largest entry of the update, nothing else)",
            relation=">=",
            expected="refuted",
            attribution="implied",
        ),
    ]
