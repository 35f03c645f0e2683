"""Dion: a low-rank Muon by one power iteration with error feedback (Ahn et al., 2025, arXiv 2504.05295).

Source: Kwangjun Ahn, Byron Xu, Natalie Abreu, John Langford, "Dion: Distributed Orthonormalized Updates", 2025, first
version read; its released code read. The identification with Ky Fan norms is made in arXiv 2512.09678 (second version).

The method: B = M + G; P = an orthonormal basis of the range of B Q; R = B^T P; M <- B - (1 - mu) P R^T (error feedback:
only the part that was used is damped); Q = R with unit columns; W <- W - lr sqrt(m / n) P Q^T. One power iteration a
step, warm-started by the last Q, stands for the leading r singular vectors of B.

What is stated here. (1) With exact singular vectors and no error feedback the step is P_r(B), the linear minimization
oracle of the dual Ky Fan r ball {op <= 1, nuc <= r}: the Fanion. With unit columns it is not: P Q^T has Frobenius norm
sqrt(r) and nuclear norm at most r, but its spectral norm may reach sqrt(r), so it leaves that ball; the polar factor of
R in place of Q stays inside it and is the best choice given P. (2) A plain QR of R in place of the column lengths steps
uphill along some modes, because its signs are arbitrary. (3) The law of error feedback: for a constant gradient with
singular values sigma the time average of exact-SVD steps is U min(1, c sigma) V^T with c such that the sum is r. It is
not P_r(G) but the solution of a quadratically smoothed problem between normalised gradient descent and Muon: every mode
gets its share, which is what the feedback is for. The buffer is levelled: unclipped modes all wait at 1 / (c (1 - mu)).

Assumptions of the law: the gradient is constant and mu is near 1. Its error is of order 1 - mu: at most .25 (1 - mu) on
random exponential spectra, .27 on a recorded one. One warm power step a step, or noise, change little.

Read: the algorithm, its code, its experiments on language models. Derived here: everything in (1) to (3) that carries a
number. Language models were not trained here, and nothing is claimed about them; on a deterministic quadratic error
feedback helps or hurts, by rank and by how the factors are found (five statements in the studies of this room).

Formulas: `error_feedback` has the law, its constant and the simulation of the modes; `draws` the matrices on which the
geometry of a step is measured. The step itself is `muon_theory.optimizers.low_rank`, the optimizer
`muon_theory.optimizers.Dion`.
"""
