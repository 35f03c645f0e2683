"""The Muon tutorial (Wei, 2025) and the MuonW of OLMo's pull request 882: what they state, measured.

Source: Jen Wei, "Understanding the Muon Optimizer", 2025 (text, two experiments, no seeds), and allenai/OLMo pull
request 882 (2025, open: MuonW, one file). Both were read as facts and formulas; no code is taken over.

The method as run there: every tensor of two or more dimensions, classifier and first layer included, moves along five
quintic Newton-Schulz steps of its Nesterov momentum at learning rate .01; vectors move by Nesterov heavy ball at the
same rate. The advice differs from the experiment: Muon for hidden matrices and flattened kernels, AdamW for the rest.

Twenty statements, TUT-01 to TUT-20 in the order of the text. Decided in this room, because they are mathematics or one
step: uniform singular values (02), five steps and the normalisation (03), the transpose of tall matrices (04), roles
(05), quality in bfloat16 (11), memory of in-place operations (12), the shape factor (13), the distributed version (19),
the step metrics (20). Decided by trainings, in the studies `tutorial/...`: 01, 05 to 10, 15 to 18.

Found here: both experiments have wide matrices only, so that the shape factor is 1 in all of them; a gradient holds
nine tenths of its energy in fewer directions than the text says; the name rule of MuonW, "neither embed nor head",
routes `attention_heads` to AdamW and OLMo's own `wte`, `wpe` and `ff_out`, its embeddings and head, to Muon; rows of
one matrix orthogonalised shard by shard are not the matrix's polar factor.

Trained here (small networks, paired seeds): Muon beats AdamW at every batch from 16 to 1024, in fine-tuning too, if by
less than from scratch; embeddings, and the head of a convolutional network, are better left to AdamW; the ratio of the
tuned rates is 1 at batch 16 and 20 at 1024; the norm of Muon's update does not tell a failing run from a good one.

Open: TUT-14, thirty to forty times slower on T-series GPUs and 3 % on A-series, needs those GPUs; only its direction
follows here, from published peak rates. Times in general (10, 11, 12, 16) belong to benchmarks.

Assumptions: MuonW's moments are not masked, only its decay is; its update is formed in float32 unless asked otherwise.

Formulas: `update` has the iteration written out, its cost and the size of the update; `routes` who steps what; `muonw`
the optimizer of the pull request; `allocations` the bytes an operation asks for; `hardware` the peak rates; `printed`
the published tables.
"""
