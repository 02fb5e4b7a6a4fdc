"""Recurrent layers: names, gradients, dropout, lengths, carried state, and PyTorch's results."""

import numpy as np
import pytest

from fastnn.errors import DtypeError, OptionError, ShapeError, StateError
from fastnn.layers import GRU, LSTM, RNN, Linear, Sequential

ALL = [RNN, LSTM, GRU]


def differences(loss, array, step=1e-6):
    slopes = np.empty(array.shape)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + step
        above = loss()
        array[i] = kept - step
        slopes[i] = (above - loss()) / (2 * step)
        array[i] = kept
    return slopes


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_gradients_are_slopes(kind, last_only):
    rng = np.random.default_rng(0)
    layer = kind(
        2, 3, num_layers=2, bidirectional=True, last_only=last_only, rng=rng, dtype="float64"
    )
    x, lengths = rng.standard_normal((4, 3, 2)), [4, 1, 3]
    dy = rng.standard_normal(layer(x, lengths=lengths).shape)

    def loss():
        return float((layer(x, save=False, lengths=lengths) * dy).sum())

    dx = layer.backward(dy)
    assert not dx[1:, 1].any() and not dx[3:, 2].any()
    np.testing.assert_allclose(dx, differences(loss, x), rtol=1e-6, atol=1e-9)
    for name, param, grad in layer.parameters():
        np.testing.assert_allclose(
            grad, differences(loss, param), rtol=1e-6, atol=1e-9, err_msg=name
        )


def test_names_are_pytorchs():
    layer = LSTM(3, 4, num_layers=2, bidirectional=True)
    assert list(layer.state_dict()) == [
        f"{kind}_l{i}{end}"
        for i in (0, 1)
        for end in ("", "_reverse")
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    shapes = {name: a.shape for name, a in layer.params.items()}
    assert shapes["weight_ih_l0"] == (16, 3) and shapes["weight_ih_l1"] == (16, 8)
    assert shapes["weight_hh_l1_reverse"] == (16, 4) and shapes["bias_hh_l1"] == (16,)
    assert list(RNN(3, 4, bias=False).params) == ["weight_ih_l0", "weight_hh_l0"]
    assert all(np.abs(a).max() <= 0.5 for a in layer.params.values())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_agrees_with_pytorchs_layers(kind, batch_first):
    torch = pytest.importorskip("torch")
    options = {"num_layers": 3, "bidirectional": True, "batch_first": batch_first}
    theirs = getattr(torch.nn, kind.__name__)(5, 4, dtype=torch.float64, **options)
    ours = kind(5, 4, dtype="float64", **options)
    state = {k: v.detach().numpy() for k, v in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal((6, 3, 5))
    moved = torch.from_numpy(x).requires_grad_(True)
    y, _ = theirs(moved)
    np.testing.assert_allclose(ours(x), y.detach().numpy(), rtol=1e-10, atol=1e-12)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    (y * torch.from_numpy(dy)).sum().backward()
    np.testing.assert_allclose(ours.backward(dy), moved.grad.numpy(), rtol=1e-9, atol=1e-12)
    for name, param in theirs.named_parameters():
        np.testing.assert_allclose(ours.grads[name], param.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_pieces_of_a_sequence_with_carried_state(kind):
    whole = kind(2, 3, num_layers=2, rng=0, dtype="float64")
    pieces = kind(2, 3, num_layers=2, rng=0, dtype="float64", stateful=True)
    x = np.random.default_rng(0).standard_normal((7, 4, 2))
    got = np.concatenate([pieces(x[:3]), pieces(x[3:4]), pieces(x[4:])])
    assert np.array_equal(got, whole(x))
    assert [a.shape for a in pieces.state] == [(2, 4, 3)] * (2 if kind is LSTM else 1)
    kept = pieces.state
    pieces.reset_state()
    assert pieces.state is None and np.array_equal(pieces(x[:3]), got[:3])
    pieces.state = kept
    with pytest.raises(ShapeError, match=r"h0 has shape \(4, 3\)"):
        pieces(x[:, :2])
    with pytest.raises(ShapeError, match="state has 3 arrays"):
        pieces.state = (*kept, *kept, *kept)[:3]
    pieces.state = tuple(a[:1] for a in kept)
    with pytest.raises(ShapeError, match=r"shape \(1, 4, 3\).*2 layers"):
        pieces(x)


def test_gradients_end_at_the_border_of_a_piece():
    layer = GRU(2, 3, stateful=True, rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((4, 1, 2))
    layer(x[:2])
    y = layer(x[2:])
    assert layer.backward(np.ones_like(y)).shape == (2, 1, 2)


def test_dropout_is_between_layers_and_in_training_only():
    layer = LSTM(2, 50, num_layers=2, dropout=0.5, rng=0)
    x = np.ones((3, 2, 2), np.float32)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    dx = layer.backward(np.ones_like(second))
    assert dx.shape == x.shape
    layer.eval()
    assert np.array_equal(layer(x), layer(x))
    assert list(layer.state_dict()) == list(LSTM(2, 50, num_layers=2).state_dict())
    assert repr(layer) == "LSTM(2, 50, num_layers=2, dropout=0.5)"


def test_forget_bias():
    layer = LSTM(2, 3, num_layers=2, forget_bias=1.5, rng=0)
    for i in (0, 1):
        assert np.all(layer.params[f"bias_ih_l{i}"][3:6] == 1.5)
        assert np.all(layer.params[f"bias_hh_l{i}"][3:6] == 0)
        assert np.any(layer.params[f"bias_hh_l{i}"][:3] != 0)


def test_inside_a_network():
    model = Sequential(GRU(3, 4, last_only=True, rng=0), Linear(4, 2, rng=1))
    y = model(np.ones((5, 6, 3), np.float32))
    assert y.shape == (6, 2)
    assert model.backward(np.ones_like(y), input_grad=False) is None
    assert np.any(model.grads["0.weight_hh_l0"])


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: RNN(0, 3), ShapeError, "input_size=0.*at least 1"),
        (lambda: RNN(2, 3, 0), ShapeError, "num_layers=0"),
        (lambda: RNN(2, 3, nonlinearity="gelu"), OptionError, "nonlinearity='gelu'"),
        (lambda: GRU(2, 3, reset_after=1), DtypeError, "reset_after=1"),
        (lambda: LSTM(2, 3, forget_bias=1, bias=False), OptionError, "forget_bias=1.*bias=False"),
        (lambda: LSTM(2, 3, dropout=1.5), OptionError, "p=1.5"),
        (lambda: LSTM(2, 3, stateful=True, bidirectional=True), OptionError, "stateful=True"),
        (lambda: LSTM(2, 3)(np.ones((2, 2, 5), np.float32)), ShapeError, "I=5"),
        (lambda: LSTM(2, 3).backward(np.ones(1)), StateError, "nothing saved"),
    ],
)
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_backward_checks_its_shape():
    layer = RNN(2, 3, last_only=True)
    layer(np.ones((4, 5, 2), np.float32))
    with pytest.raises(ShapeError, match=r"\(5, 3\)"):
        layer.backward(np.ones((4, 5, 3), np.float32))
