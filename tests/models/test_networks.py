import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional

from models.errors import ModelError, UsageError
from models.networks import NETWORKS, Recurrent, Transformer, build_network
from models.networks.transformer import positions
from tasks.lake.tables import QUANTILES
from tasks.training.network_spec import NetworkSpec, RecurrentSpec, TransformerSpec


def recurrent(cell="gru", layers=1, hidden=4, dropout=0.0, inputs=3, **options):
    return Recurrent(inputs, cell, layers, hidden, dropout, **options)


def elman(weights, inputs, w_hh, end=""):
    """Returns the states of an Elman network over inputs [L, F], by a loop over the bars."""
    state, states = torch.zeros(len(w_hh)), []
    for bar in inputs:
        state = torch.tanh(
            weights[f"weight_ih_l0{end}"] @ bar
            + weights[f"bias_ih_l0{end}"]
            + w_hh @ state
            + weights[f"bias_hh_l0{end}"]
        )
        states.append(state)
    return torch.stack(states)


def test_an_rnn_cell_is_elmans():
    network = recurrent("rnn", hidden=3, inputs=2)
    windows = torch.randn(1, 4, 2)
    weights = dict(network.rnn.named_parameters())
    state = elman(weights, windows[0], weights["weight_hh_l0"])[-1]
    by_hand = network.head.weight @ state + network.head.bias
    torch.testing.assert_close(network(windows)[0], by_hand)


def test_a_plain_recurrent_network_is_one_module_of_torch():
    network = recurrent("lstm", layers=2)
    assert isinstance(network.rnn, nn.LSTM)
    assert set(network.state_dict()) == {
        *(f"rnn.{part}_{gate}_l{n}" for part in ("weight", "bias") for gate in ("ih", "hh")
          for n in (0, 1)),
        "head.weight",
        "head.bias",
    }  # fmt: skip


def test_the_second_direction_is_read_where_it_has_seen_the_whole_window():
    network = recurrent("rnn", bidirectional=True)
    windows = torch.randn(1, 5, 3)
    weights = dict(network.rnn.named_parameters())
    there = elman(weights, windows[0], weights["weight_hh_l0"])[-1]
    back = windows[0].flip(0)
    back = elman(weights, back, weights["weight_hh_l0_reverse"], "_reverse")[-1]
    torch.testing.assert_close(network.encode(windows)[0], torch.cat([there, back]))


def test_weight_drop_takes_one_mask_for_all_steps_and_windows():
    network = recurrent("rnn", recurrent_dropout=0.5).train()
    windows = torch.randn(2, 6, 3)
    weights = dict(network.rnn.named_parameters())
    torch.manual_seed(3)
    states = network.encode_steps(windows)
    torch.manual_seed(3)
    dropped = functional.dropout(weights["weight_hh_l0"], 0.5)
    assert (dropped == 0).any()
    by_hand = torch.stack([elman(weights, window, dropped) for window in windows])
    torch.testing.assert_close(states, by_hand)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weight_drop_changes_nothing_but_the_mask(cell, bidirectional):
    network = recurrent(cell, layers=2, bidirectional=bidirectional, recurrent_dropout=1e-12)
    windows = torch.randn(3, 6, 3)
    # While it trains the weights are handed over one by one, in evaluation the module runs.
    torch.testing.assert_close(network.train()(windows), network.eval()(windows))


@pytest.mark.parametrize("share", ["dropout", "recurrent_dropout"])
def test_dropout_acts_in_a_network_of_one_layer_while_it_trains(share):
    network = recurrent(hidden=16, **{share: 0.5})
    windows = torch.randn(8, 5, 3)
    assert not torch.equal(network(windows), network(windows))
    network.eval()
    assert torch.equal(network(windows), network(windows))


def test_layer_norm_centres_what_every_layer_puts_out():
    network = recurrent("lstm", layers=2, hidden=8, layer_norm=True)
    states = network.encode_steps(torch.randn(3, 5, 3))
    torch.testing.assert_close(states.mean(dim=-1), torch.zeros(3, 5), rtol=0, atol=1e-6)
    inner = functional.layer_norm(network.rnn.layers[0](torch.ones(1, 2, 3))[0], (8,))
    torch.testing.assert_close(
        network.encode_steps(torch.ones(1, 2, 3)),
        functional.layer_norm(network.rnn.layers[1](inner)[0], (8,)),
    )


def test_attention_is_a_weighted_mean_of_the_states():
    network = recurrent(attention=True)
    windows = torch.randn(1, 5, 3)
    states, part = network.encode_steps(windows)[0], network.attention
    scores = [
        part.outer.weight[0] @ torch.tanh(part.inner.weight @ h + part.inner.bias) for h in states
    ]
    whole = sum(score.exp() for score in scores)
    mean = sum(score.exp() / whole * h for score, h in zip(scores, states, strict=True))
    torch.testing.assert_close(network.encode(windows)[0], torch.cat([mean, states[-1]]))


@pytest.mark.parametrize(
    ("causal", "kernel", "seen"),
    [(True, 3, (-2, 0)), (True, 2, (-1, 0)), (False, 3, (-1, 1)), (False, 4, (-2, 1))],
)
def test_a_convolution_sees_the_bars_that_it_should(causal, kernel, seen):
    front = recurrent(convolutions=1, kernel=kernel, channels=40, causal=causal).front
    windows = torch.randn(1, 9, 3)
    out = front(windows)
    assert out.shape == (1, 9, 40)
    touched = set()
    for row in range(9):
        changed = windows.clone()
        changed[0, row] += 1
        if not torch.equal(front(changed)[0, 4], out[0, 4]):
            touched.add(row - 4)
    assert touched == set(range(seen[0], seen[1] + 1))


def test_positions_are_those_of_the_paper():
    table = positions(7, 6, torch.zeros(1))
    for p in range(7):
        for i in range(3):
            angle = p / 10_000 ** (2 * i / 6)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_transformer_agrees_with_that_of_torch():
    network = Transformer(3, layers=2, hidden=8, attention_heads=2, dropout=0.0)
    layer = nn.TransformerEncoderLayer(
        8, 2, dim_feedforward=32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    peer = nn.TransformerEncoder(layer, 2, norm=network.norm, enable_nested_tensor=False)
    with torch.no_grad():
        for ours, theirs in zip(network.blocks, peer.layers, strict=True):
            theirs.self_attn.in_proj_weight.copy_(ours.queries_keys_values.weight)
            theirs.self_attn.in_proj_bias.zero_()
            for mine, other in (
                (ours.out, theirs.self_attn.out_proj),
                (ours.widen, theirs.linear1),
                (ours.narrow, theirs.linear2),
                (ours.attention_norm, theirs.norm1),
                (ours.forward_norm, theirs.norm2),
            ):
                other.load_state_dict(mine.state_dict())
    windows = torch.randn(4, 6, 3)
    bars = network.project(windows) + positions(6, 8, windows)
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    torch.testing.assert_close(network.encode_steps(windows), peer(bars, mask, is_causal=True))


def test_an_unknown_symbol_is_a_zero_vector_that_training_does_not_move():
    network = recurrent(n_symbols=3, embedding=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    before = network.embedding.weight.clone()
    network(torch.randn(3, 5, 3), torch.tensor([0, 1, 2])).sum().backward()
    optimizer.step()
    assert not network.embedding.weight[0].any()
    assert not torch.equal(network.embedding.weight[1], before[1])


def test_covariates_reach_the_head():
    network = recurrent(covariates=2)
    windows, covariates = torch.randn(1, 5, 3), torch.randn(1, 2)
    states = torch.cat([network.encode(windows), covariates], dim=-1)
    by_hand = states @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(windows, covariates=covariates), by_hand)


def test_covariates_may_change_from_step_to_step():
    network = recurrent(covariates=2).eval()
    chunks, covariates = torch.randn(3, 8, 3), torch.randn(3, 4, 2)
    made = network.unroll(chunks, 5, covariates=covariates)
    for step in range(4):
        still = network.unroll(chunks, 5, covariates=covariates[:, step])
        assert torch.equal(made[:, step], still[:, step])


WINDOWS = torch.zeros(2, 5, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build_network("recurent", 3), UsageError, "Did you mean 'recurrent'"),
        (lambda: recurrent("gruu"), UsageError, "Did you mean 'gru'"),
        (lambda: recurrent(head="men"), UsageError, "Did you mean 'mean'"),
        (lambda: recurrent(hidden=1, layer_norm=True), UsageError, "hidden=1 the same; use 2"),
        (lambda: recurrent(embedding=2), UsageError, "n_symbols=0"),
        (lambda: Transformer(3, 1, 10, 4, 0.0), UsageError, "hidden=10 must be even"),
        (lambda: recurrent().unroll(WINDOWS, 6), UsageError, "burn_in=6 .* 5 steps"),
        (lambda: recurrent().unroll(WINDOWS, 0), UsageError, "burn_in=0"),
        (lambda: recurrent(n_symbols=2, embedding=1)(WINDOWS), ModelError, "symbols=None"),
        (lambda: recurrent(covariates=2)(WINDOWS), ModelError, "reads 2 covariates.* None"),
        (
            lambda: recurrent(covariates=2)(WINDOWS, covariates=torch.zeros(2, 3)),
            ModelError,
            r"got \(2, 3\)",
        ),
    ],
)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bidirectional": True}, ["bidirectional"]),
        ({"attention": True}, ["attention"]),
        ({"convolutions": 1, "causal": False}, ["causal=false"]),
        ({"bidirectional": True, "attention": True}, ["bidirectional", "attention"]),
    ],
)
def test_what_looks_ahead_in_the_window_refuses_dense_supervision(options, words):
    network = recurrent(**options)
    with pytest.raises(UsageError, match="supervision='last'") as refusal:
        network.unroll(WINDOWS, 3)
    assert all(word in str(refusal.value) for word in words)


def test_a_centred_convolution_that_is_not_there_refuses_nothing():
    assert recurrent(convolutions=0, causal=False).why_not_dense is None


READ = TypeAdapter(NetworkSpec).validate_python


def test_a_specification_without_a_kind_is_the_recurrent_network():
    assert READ({"cell": "lstm"}) == RecurrentSpec(cell="lstm")
    assert READ({"kind": "transformer"}) == TransformerSpec()
    assert READ(TransformerSpec()) == TransformerSpec()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "transfomer"}, "'recurrent', 'transformer'"),
        ({"kind": "transformer", "hidden": 10}, "multiple of attention_heads=4"),
        ({"hidden": 1, "layer_norm": True}, "use 2 or more"),
        ({"kind": "transformer", "cell": "gru"}, "not permitted"),
        ({"covariates": ["industry"]}, "'sector' or 'exchange'"),
        ({"covariates": ["sector", "sector"]}, "more than once; name each once"),
    ],
)
def test_a_wrong_specification_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        READ(values)


@pytest.mark.parametrize("spec", [RecurrentSpec, TransformerSpec])
def test_the_options_of_a_specification_build_its_network(spec):
    chosen = spec(head="quantiles", embedding=2)
    options = chosen.options(horizons=3, n_symbols=5, covariates=1)
    network = build_network(options.pop("kind"), inputs=3, **options)
    assert type(network) is NETWORKS[chosen.kind]
    raw = network(WINDOWS, torch.tensor([0, 5]), torch.zeros(2, 1))
    assert raw.shape == (2, 3, len(QUANTILES))
    assert network.head.levels == QUANTILES
    assert spec().levels == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropped_weights_lie_as_cudnn_reads_them(cell, bidirectional):
    # torch warns of scattered weights, and a warning fails a test here.
    network = recurrent(cell, layers=2, bidirectional=bidirectional, recurrent_dropout=1e-12)
    windows = torch.randn(3, 6, 3)
    expected = network.eval()(windows)
    raw = network.cuda().train()(windows.cuda())
    raw.sum().backward()
    torch.testing.assert_close(raw.cpu(), expected, rtol=1e-3, atol=1e-4)
