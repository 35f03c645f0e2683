"""MuonAll: Muon for every parameter, vectors as diagonal matrices (Page, Joshi, Sonawane, 2025, arXiv 2511.06086).

Source: Page, Joshi and Sonawane, 2025, arXiv 2511.06086. Read: the released code in full, the start of the paper, a
page with its formulas. Its results table, data sets and learning rates were not obtainable.

The method: a 1-D parameter's gradient g becomes diag(g), an n x n matrix with its own n x n momentum; six Newton-Schulz
steps of (3.4445, -4.7750, 2.0315) in bfloat16 on momentum with Nesterov's look-ahead; the update is the diagonal. All
other tensors are flattened to (out, -1) and orthogonalised, embeddings and head included, times
sqrt(max(1, rows / columns)). Learning rate .02, no weight decay.

What is stated here. (1) Newton-Schulz acts on a diagonal matrix entry by entry, so the whole rule needs O(n) memory and
time, equal in float64 to rounding and in bfloat16 to the bit. (2) The update of a vector is a smoothed sign:
phi_6(g_i / ||g||) with phi_6 between .6818 and 1.2024 on [1e-3, 1] and slope 1670 at 0. (3) It is not sign descent at
every length: entries of a Gaussian vector are of size n^(-1/2), and beyond n of about 1e6 they leave the range in
which phi_6 has saturated. (4) One dominant entry switches the others off. (5) With a shared learning rate an entry of
a vector moves sqrt(n) times as far as one of an n x n matrix.

Assumptions: none beyond the rule; statements on Gaussian vectors say so.

Derived here: everything with a number. Fine-tuning was run on a small transformer only (study `muon_all/fine_tuning`).

Formulas: `vector_update` has the size of the update of a Gaussian vector of any length. The step itself is
`muon_theory.optimizers.muon_all`.
"""
