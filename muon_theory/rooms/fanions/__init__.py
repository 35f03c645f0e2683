"""Ky Fan norms and the Fanions: optimizers between normalised gradient descent, Neon and Muon (arXiv 2512.09678).

Source: Alexey Kravatskiy, Ivan Kozyrev, Nikolai Kozlov, Alexander Vinogradov, Daniil Merkulov and Ivan Oseledets, "Ky
Fan Norms and Beyond: Dual Norms and Combinations for Matrix Optimization", versions 1 and 2 read in full, with the
public code, its result files and the earliest draft.

The Ky Fan k norm KF_k(M) = sigma_1 + ... + sigma_k has the dual max(sigma_1, nuc/k). The linear minimisation oracle
(LMO) of its ball is rank one or full rank, nothing in between; the oracle of the *dual* ball {sigma_1 <= 1, nuc <= k}
is P_k(M) = sum_{i <= k} u_i v_i^T, the update called Fanion-k: Neon at k = 1, Muon at k = min(m, n). Nonnegative
combinations of oracles are oracles of the norm whose dual is the same combination, which gives
F-Fanion-k = alpha P_k(M) + (1 - alpha) M / fro(M) and S-Fanion-k = alpha P_k(M) + (1 - alpha) eta sign(M).

Read in the paper: the dual norms, the oracles, the combination lemma, the convex least-squares problem and its tables.
Derived here: the stability of P_k, the exact gauges (closed for k = 1 and k = min(m, n)), the switch of the Ky Fan
oracle at k = .42 n on Gaussian matrices, the smoothness L_k of the least-squares problem, and the rotation argument.
Printed slips kept as refuted claims: the weight (1 - alpha)/eta of the sign part (right: (1 - alpha) eta), the balls
of F-Muon and F-Neon with primal and dual exchanged, the radius 1/2 of the dual Ky Fan 2 ball (right: 2).
Not here: the trainings, and every statement decided by tuned runs over seeds, which its study states.

Formulas: `matrix_family` has the small matrices the norms are checked on; `ball_programs` solves the convex programs
behind a norm without knowing its oracle (linear programs, projections, two-sided bounds of a gauge); `gauges` has
the quadratics of the F-Muon norm; `draft_steps` the steps of the earliest draft; `least_squares` the convex problem,
its smoothness and runs on it; `momentum_rules` the two momentum rules. The norms themselves live one floor down.
"""
