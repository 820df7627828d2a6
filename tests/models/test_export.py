import builtins

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from models.errors import ModelError
from models.export import export_onnx
from models.heads import HEADS
from models.networks import build_network
from tests.models.test_network_contract import MEMBERS, F, H, L, known, make


def landmarks():
    """Returns the first member of each kind and cell; the whole list takes minutes."""
    first = {
        (kind, options.get("cell")): n for n, (kind, options) in reversed([*enumerate(MEMBERS)])
    }
    return set(first.values())


QUICK = landmarks()
CASES = [
    pytest.param(
        kind,
        options,
        [*HEADS][n % len(HEADS)],
        id=f"{n}-{kind}",
        marks=[] if n in QUICK else pytest.mark.slow,
    )
    for n, (kind, options) in enumerate(MEMBERS)
]


@pytest.mark.parametrize(("kind", "options", "head"), CASES)
def test_the_exported_model_agrees_with_the_network(kind, options, head):
    torch.manual_seed(0)
    network = make(kind, options, head)
    model = onnx.load_from_string(export_onnx(network, F, L))
    onnx.checker.check_model(model)
    assert network.training
    evaluate = ReferenceEvaluator(model)
    network.eval()
    for rows in (1, 7):
        windows = torch.randn(rows, L, F)
        symbols, covariates = known(network, rows)
        given = {"windows": windows, "symbols": symbols, "covariates": covariates}
        arrays = {name: value.numpy() for name, value in given.items() if value is not None}
        assert {one.name for one in model.graph.input} == set(arrays)
        (raw,) = evaluate.run(["raw"], arrays)
        expected = network(windows, symbols, covariates).detach().numpy()
        assert raw.shape == expected.shape == (rows, H, *expected.shape[2:])
        np.testing.assert_allclose(raw, expected, rtol=1e-5, atol=1e-5)


def test_without_its_packages_the_export_says_what_to_install(monkeypatch):
    importing = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] in ("onnx", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importing(name, *rest)

    network = build_network("recurrent", F, cell="gru", layers=1, hidden=2, dropout=0.0)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ModelError, match=r"nightcast\[export\]"):
        export_onnx(network, F, L)
