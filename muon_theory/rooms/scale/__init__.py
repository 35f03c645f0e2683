"""SCALE: column-normalised gradients, momentum in the last layer only (Glentis et al., 2025, arXiv 2506.16659).

Source: Athanasios Glentis, Jiaxiang Li, Andi Han, Mingyi Hong, "A Minimalist Optimizer Design for LLM Pretraining",
2025; later title "Memory-Efficient LLM Pretraining via Minimalist Optimizer Design". The tables, the configurations and
the update were read in the released code and its page; the body of the paper second hand.

The method: every layer keeps its gradient, the output head an exponential average of it; each column of the d_in x
d_out matrix (one output unit) is divided by its length; vectors go to Adam. That is steepest descent in the 1 -> 2
operator norm, so the step is that norm's linear minimization oracle, and no second moment is stored.

What is stated here. (1) The oracle property, and what separates the paper's l2 normalisation from the code's RMS
normalisation: a factor sqrt(fan_in) per layer, sqrt(vocabulary) for the embedding. (2) No bias correction is needed.
(3) Entries of a normalised group of length p reach sqrt(p): 179 for the input units of a head with 32,000 outputs,
which is why normalising along the other axis hurts there. (4) The published memory table, entry by entry, from the
model shapes: which entries follow from which bookkeeping, and the two that do not.

Assumptions: weights and states in two bytes a number, GB = 1e9 bytes, untied embedding and head, vocabulary 32,000,
models of L layers with 4 d^2 + 3 d f weights each and two norms of d.

Read: update, configurations, memory and perplexity tables of the first version (from the code's page). Derived here:
all formulas of memory, the oracle property's check, the entries' bound. The ablations were rerun on small models only,
in the studies `scale/...`: momentum in the head brings most of what momentum brings; the axis came out the other way.

Formulas: `memory` has the model sizes and the bytes of each optimizer; `printed` the published tables. The step is
`muon_theory.optimizers.scale`.
"""
