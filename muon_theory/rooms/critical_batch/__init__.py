"""Critical batch size of Muon (Sato, Naganuma, Iiduka, arXiv 2507.01598), and what can be proved in its place.

Source: Naoki Sato, Hiroki Naganuma, Hideaki Iiduka, "Convergence Bound and Critical Batch Size of Muon Optimizer",
arXiv 2507.01598, versions 1 to 5. READ: the abstracts, the authors' code. RELAYED: two restatements of the form of the
bound and of one proposition. NOT read: the statements and constants of its four theorems; nothing here is quoted as
theirs. Every bound with constants below is derived here.

The question: a run needs T(B) steps with batch size B to reach a target, B T(B) samples. Which B needs fewest samples,
and does the constant-step theory predict it?

The theorem proved here (Theorem C), for momentum b, step eta, decoupled decay lambda, exact polar factor, and the four
settings (with or without Nesterov's look-ahead, with or without decay): the mean over T steps of
Phi = nuc(g) + lambda <W, g> (nuc(g) alone without decay) is at most X/T + Y/sqrt(B) + Z with

    X = D/eta + 2 a_C b nuc(g_0)/(1 - b),  Y = 2 sigma sqrt(r V),  Z = s^2 L eta/2 + 2 s a_C b L eta/(1 - b),

s = 1 without decay and 2 with it; (a_C, V) = (1, (1-b)/(1+b)) plain and (b, (1-b)(1+2b-2b^3)/(1+b)) with look-ahead.
Assumptions: nuc(grad f(X) - grad f(Y)) <= L op(X - Y), unbiased noise with E fro(noise)^2 <= sigma^2/B, D the initial
gap; with decay also eta lambda <= 1 and op(W_0) <= 1/lambda. Phi/lambda is then the Frank-Wolfe gap of the ball
op(W) <= 1/lambda, so decay does not send the gradient itself to zero.

From X/T + Y/sqrt(B) + Z = goal follows the fewest samples at B* = 9 Y^2 / (4 (goal - Z)^2); an older form of the bound,
with Y/B, gives B* = 2Y/(goal - Z). On a quadratic whose constants are known exactly neither predicts the batch that
needs the fewest samples: that is B = 1 there, while B* is the size beyond which more samples a step save no steps.

Formulas: `four_settings` has Theorem C; `batch_size` the algebra of T(B) and its minimum, Kim and Oh's included;
`decay` the radius of the iterates, the Frank-Wolfe gap and what happens beyond eta lambda = 1.
"""
