"""Products of a few rows: orientation, layouts, the way out where oneDNN is missing, and that Lanczos takes them."""

import numpy as np
import pytest
import torch

from muon_theory.spectra import lanczos, thin_products, top_k

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (7, 3), (130, 64), (64, 1030)])
@pytest.mark.parametrize("layout", ["rows", "columns", "slice", "fortran slice"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("available", [True, False])
def test_both_products_in_every_layout(shape, layout, dtype, available, monkeypatch):
    if not available:
        monkeypatch.setattr(thin_products, "has_onednn_linear", lambda: False)
    m, n = shape
    wide = GENERATOR.standard_normal((2 * m, 2 * n)).astype(dtype)
    X = {"rows": wide[:m, :n].copy(), "columns": wide.T[:n, :m].copy().T, "slice": wide[:m, :n],
         "fortran slice": wide.T[:n, :m].T}[layout]  # fmt: skip
    forth, back = thin_products.thin_products(X)
    for rows in (GENERATOR.standard_normal((5, n)).astype(dtype), GENERATOR.standard_normal((8, 2 * n))[:, ::2]):
        found = forth(np.ascontiguousarray(rows.astype(dtype)))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, rows @ X.astype(float).T, atol=1e-4 * n**0.5)
    rows = GENERATOR.standard_normal((5, m)).astype(dtype)
    np.testing.assert_allclose(back(rows), rows.astype(float) @ X, atol=1e-4 * m**0.5)


def test_a_torch_without_the_operator_is_told_by_trying(monkeypatch):
    assert thin_products.has_onednn_linear()  # torch 2.13 on this kind of machine

    def gone(*_):
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    thin_products.has_onednn_linear.cache_clear()
    monkeypatch.setattr(thin_products, "_linear", gone)
    try:
        assert not thin_products.has_onednn_linear()
    finally:
        thin_products.has_onednn_linear.cache_clear()


@pytest.mark.parametrize("transposed", [False, True])
def test_lanczos_finds_the_same_triples_with_them(transposed, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.linalg.qr(torch.randn(n, 450, generator=generator)).Q for n in (450, 700))
    X = (U * torch.linspace(3, 0, 450).exp()) @ V.T
    X = X.T.contiguous().T if transposed else X.contiguous()
    taken = []
    plain = top_k(X, 5, accuracy=1e-3, method="block_lanczos")
    monkeypatch.setattr(lanczos, "_MODEST", 1000)
    monkeypatch.setattr(lanczos, "thin_products", lambda X: taken.append(X.shape) or thin_products.thin_products(X))
    found = top_k(X, 5, accuracy=1e-3, method="block_lanczos")
    assert taken == [(450, 700)]
    expected = U[:, :5] @ V[:, :5].T
    for result in (plain, found):
        assert (result.U @ result.V.T - expected).norm() < 1e-3 * expected.norm()
    top_k(X.double(), 5, accuracy=1e-6, method="block_lanczos")
    assert len(taken) == 1  # float64, and a single row, stay with numpy
    top_k(X, 1, accuracy=1e-3, method="lanczos")
    assert len(taken) == 1
