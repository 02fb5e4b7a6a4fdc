"""Normalisations: values worked by hand, identities between them, and edges of their formulas."""

import numpy as np
import pytest

import fastnn
from fastnn import _ext
from fastnn.errors import OptionError
from fastnn.ops.norm import conventions

BACKENDS = [b for b in fastnn.dispatch.BACKENDS if fastnn.dispatch.unavailable(b) is None]
RNG = np.random.default_rng(11)
TINY = 1e-300  # an eps that changes no digit


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def test_layer_norm_worked_by_hand(backend):
    # Row (1, 3): mean 2, variance 1, xhat (-1, 1). Row (2, 10): mean 6, variance 16, the same.
    x = np.array([[1.0, 3.0], [2.0, 10.0]])
    w, b = np.array([2.0, 3.0]), np.array([10.0, 20.0])
    y, ctx = fastnn.layer_norm.forward(x, 2, w, b, eps=TINY, backend=backend)
    assert np.array_equal(y, [[8, 23], [8, 23]])
    # Two numbers have only one xhat up to sign, so dx = 0; dw = sum of dy xhat, db = sum of dy.
    dx, dw, db = fastnn.layer_norm.backward(ctx, np.array([[1.0, 5.0], [2.0, 7.0]]))
    np.testing.assert_allclose(dx, np.zeros((2, 2)), atol=1e-14)
    assert np.array_equal(dw, [-3, 12]) and np.array_equal(db, [3, 12])


def test_layer_norm_gradient_worked_by_hand(backend):
    # Row (-1, 0, 1) has variance 2/3: xhat = x sqrt(3/2). With dy = (1, 0, 0): mean of dy 1/3, mean
    # of dy xhat = -sqrt(3/2)/3, so dx = sqrt(3/2) (1 - 1/3 - 1/2, -1/3, -1/3 + 1/2).
    x = np.array([[-1.0, 0.0, 1.0]])
    _, ctx = fastnn.layer_norm.forward(x, 3, eps=TINY, backend=backend)
    dx = fastnn.layer_norm.backward(ctx, np.array([[1.0, 0.0, 0.0]])).x
    np.testing.assert_allclose(dx, np.sqrt(1.5) * np.array([[1, -2, 1]]) / 6, atol=1e-15)


def test_rms_norm_worked_by_hand(backend):
    # Row (1, 7): mean square 25. With dy = (1, 0): mean of dy xhat = 1/10, dx = (dy - xhat/10)/5.
    x = np.array([[1.0, 7.0]])
    y, ctx = fastnn.rms_norm.forward(x, 2, np.array([5.0, 10.0]), eps=TINY, backend=backend)
    np.testing.assert_allclose(y, [[1.0, 14.0]], rtol=1e-15)
    dx, dw = fastnn.rms_norm.backward(ctx, np.array([[0.2, 0.0]]))
    np.testing.assert_allclose(dx, [[(1 - 0.02) / 5, -0.14 / 5]], rtol=1e-14)
    np.testing.assert_allclose(dw, [0.04, 0.0], rtol=1e-15)


def test_rms_norm_takes_the_machine_epsilon_of_its_dtype(backend):
    for dtype in (np.float32, np.float64):
        eps = np.finfo(dtype).eps
        x = np.full((1, 3), np.sqrt(eps), dtype)  # mean square eps: y = 1/sqrt(2)
        y = fastnn.rms_norm(x, 3, backend=backend)
        np.testing.assert_allclose(y, np.full((1, 3), 0.5**0.5), rtol=1e-6)
        assert np.array_equal(y, fastnn.rms_norm(x, 3, eps=float(eps), backend=backend))


def test_group_norm_worked_by_hand(backend):
    # Groups (1, 3) and (2, 10) as above, an affine map per channel.
    x = np.array([[1.0, 3.0, 2.0, 10.0]])[:, :, None]
    w, b = np.arange(1.0, 5), np.array([0.0, 0, 5, 5])
    y = fastnn.group_norm(x, 2, w, b, eps=TINY, backend=backend)
    assert np.array_equal(y.ravel(), [-1, 2, 2, 9])


def test_one_group_is_layer_norm_of_the_whole_sample(backend):
    """CS231n's spatial_groupnorm with G=1, without affine map."""
    for shape in ((3, 4, 5, 6), (2, 70, 2, 3), (2, 3, 9, 11)):
        x, dy = RNG.standard_normal((2, *shape))
        y, ctx = fastnn.group_norm.forward(x, 1, backend=backend)
        z, other = fastnn.layer_norm.forward(x, shape[1:], backend=backend)
        np.testing.assert_allclose(y, z, atol=1e-13)
        dx, dz = fastnn.group_norm.backward(ctx, dy).x, fastnn.layer_norm.backward(other, dy).x
        np.testing.assert_allclose(dx, dz, atol=1e-13)


def test_a_group_per_channel_is_instance_norm(backend):
    for shape in ((3, 4, 5, 6), (2, 3, 70)):
        x, dy = RNG.standard_normal((2, *shape))
        w, b = RNG.standard_normal((2, shape[1]))
        y, ctx = fastnn.group_norm.forward(x, shape[1], w, b, backend=backend)
        z, other = fastnn.instance_norm.forward(x, w, b, backend=backend)
        assert np.array_equal(y, z)
        pairs = zip(
            fastnn.group_norm.backward(ctx, dy),
            fastnn.instance_norm.backward(other, dy),
            strict=True,
        )
        assert all(np.array_equal(p, q) for p, q in pairs)


def test_instance_norm_of_one_sample_is_batch_norm(backend):
    x = RNG.standard_normal((1, 4, 5, 6))
    w, b = RNG.standard_normal((2, 4))
    y = fastnn.instance_norm(x, w, b, backend=backend)
    np.testing.assert_allclose(
        y, fastnn.batch_norm(x, w, b, training=True, backend=backend), atol=1e-13
    )


def test_group_norm_of_cs231n(backend):
    """The published check of spatial_groupnorm: means 0 and deviations 1 in every group."""
    x = 4 * RNG.standard_normal((2, 6, 4, 5)) + 10
    y = fastnn.group_norm(x, 2, backend=backend).reshape(4, -1)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_variance_gives_the_shift_and_finite_gradients(backend, dtype):
    w, b = np.full(4, 2, dtype), np.arange(4).astype(dtype)
    for value in (0.0, 0.1, 1e4):
        x = np.full((2, 4, 3), value, dtype)
        for y, ctx in (
            fastnn.group_norm.forward(x, 2, w, b, backend=backend),
            fastnn.instance_norm.forward(x, w, b, backend=backend),
        ):
            np.testing.assert_allclose(y, b[None, :, None] + 0 * x, atol=1e-6)
            assert np.isfinite(ctx.op.backward(ctx, x).x).all()
        y = fastnn.layer_norm(np.ascontiguousarray(x.transpose(0, 2, 1)), 4, w, b, backend=backend)
        np.testing.assert_allclose(y, b + 0 * y, atol=1e-6)


def test_a_single_number_per_row_gives_the_shift(backend):
    x, b = np.array([[3.0], [-7.0]]), np.array([0.5])
    y, ctx = fastnn.layer_norm.forward(x, 1, b=b, backend=backend)
    assert np.array_equal(y, [[0.5], [0.5]])
    dx, _, db = fastnn.layer_norm.backward(ctx, np.array([[1.0], [2.0]]))
    assert not dx.any() and np.array_equal(db, [3.0])


def test_a_tiny_eps_and_equal_numbers_give_no_nan(backend):
    """A variance is never below 0: its formula may say -1e-38, whose root is NaN."""
    values = [(14, 151.39237), (1261, -6.331941), (2521, -209.17558), (833, 413.2598)]
    values += [(m, float(v)) for m, v in enumerate(RNG.standard_normal(88), 2)]
    for size, value in values:
        x = np.full((3, size), value, np.float32)
        assert np.isfinite(fastnn.layer_norm(x, size, eps=1e-40, backend=backend)).all()
        y = fastnn.batch_norm(x[:1, None], training=True, eps=1e-40, backend=backend)
        assert np.isfinite(y).all()


def test_a_mean_far_away_costs_no_digits(backend):
    """A mean 1e4 times the deviation, short rows and long: two-pass, not E[x^2] - E[x]^2."""
    for size in (12, 5000):
        x = (RNG.standard_normal((7, size)) + 1e4).astype(np.float32)
        exact = x.astype(np.float64)
        centred = exact - exact.mean(1, keepdims=True)
        want = centred / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
        y = fastnn.layer_norm(x, size, backend=backend)
        assert np.abs(y - want).max() < 3e-6


@pytest.mark.parametrize("size", [5, 200])
def test_nan_and_infinity_stay_in_their_row(backend, size):
    for bad in (np.nan, np.inf, -np.inf):
        x = RNG.standard_normal((3, size)).astype(np.float32)
        clean = fastnn.layer_norm(x, size, backend=backend)
        x[1, 2] = bad
        with np.errstate(invalid="ignore"):
            y = fastnn.layer_norm(x, size, backend=backend)
            z = fastnn.rms_norm(x, size, backend=backend)
        assert np.isnan(y[1]).all() and np.array_equal(y[[0, 2]], clean[[0, 2]])
        assert np.isnan(z[1, 2]) and np.isfinite(z[[0, 2]]).all()
        rest = np.delete(z[1], 2)
        assert np.isnan(rest).all() if np.isnan(bad) else not rest.any()


@pytest.mark.skipif("cython" not in BACKENDS, reason="needs the compiled extension")
def test_the_workspace_bounds_scratch_and_changes_no_bit():
    """Partial sums of 90000 channels would take 1.4 MB, of 4000 rows of 1100 2.2 MB in float64."""
    x, w = RNG.standard_normal((300, 300, 16)), np.ones(300)
    rows, scale = RNG.standard_normal((4000, 1100)), np.ones(1100)
    _, one = fastnn.group_norm.forward(x, 10, w, w)
    _, two = fastnn.layer_norm.forward(rows, 1100, scale, scale)
    want = fastnn.group_norm.backward(one, x), fastnn.layer_norm.backward(two, rows)
    _ext._core.scratch_most()
    with fastnn.use(workspace=2**20):
        got = fastnn.group_norm.backward(one, x), fastnn.layer_norm.backward(two, rows)
    assert _ext._core.scratch_most() <= 2**20 + 2**16
    for a, b in zip(want, got, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def test_batch_norm_keras_worked_by_hand(backend):
    # Values 1, 3: mean 2, biased variance 1; 3/4 of the old statistic and 1/4 of the new.
    mean, var = np.array([4.0]), np.array([9.0])
    fastnn.batch_norm(
        np.array([[1.0], [3.0]]),
        running_mean=mean,
        running_var=var,
        training=True,
        momentum=0.75,
        convention="keras",
        backend=backend,
    )
    assert mean.item() == 3 + 0.5 and var.item() == 6.75 + 0.25


def test_batch_norm_of_cs231n(backend):
    """Its forward with bn_param momentum 0.9 and np.var, written out, five steps running."""
    mean, var = np.zeros(3), np.zeros(3)
    ours = {"running_mean": mean.copy(), "running_var": var.copy()}
    for _ in range(5):
        x = 3 * RNG.standard_normal((8, 3)) + 1
        y = fastnn.batch_norm(
            x, **ours, training=True, momentum=0.9, convention="keras", backend=backend
        )
        mean, var = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0)
        np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), atol=1e-13)
    np.testing.assert_allclose(ours["running_mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(ours["running_var"], var, rtol=1e-13)


def test_batch_norm_keras_takes_a_batch_of_one(backend):
    mean, var = np.zeros(2), np.ones(2)
    y = fastnn.batch_norm(
        np.array([[5.0, -5.0]]),
        b=np.array([1.0, 2.0]),
        running_mean=mean,
        running_var=var,
        training=True,
        momentum=0.5,
        convention="keras",
        backend=backend,
    )
    assert np.array_equal(y, [[1, 2]])
    assert np.array_equal(mean, [2.5, -2.5]) and np.array_equal(var, [0.5, 0.5])


def test_momentum_and_convention_are_two_words_for_one_thing():
    x = RNG.standard_normal((4, 3, 5))
    states = []
    for momentum, convention in ((0.125, "torch"), (0.875, "keras")):
        state = {"running_mean": np.ones(3), "running_var": np.ones(3)}
        fastnn.batch_norm(x, **state, training=True, momentum=momentum, convention=convention)
        states.append(state)
    torch, keras = states
    assert np.array_equal(torch["running_mean"], keras["running_mean"])
    # 20 values per channel: the unbiased variance is 20/19 of the biased one.
    np.testing.assert_allclose(
        torch["running_var"] - 0.875, 20 / 19 * (keras["running_var"] - 0.875), rtol=1e-13
    )
    assert conventions.other_momentum(0.125) == 0.875


def test_conventions_rename_both_ways():
    a, b, c, d = (np.full(2, v) for v in (1.0, 2, 3, 4))
    torch = {"weight": a, "bias": b, "running_mean": c, "running_var": d}
    keras = {"gamma": a, "beta": b, "moving_mean": c, "moving_variance": d}
    cs231n = {"gamma": a, "beta": b, "running_mean": c, "running_var": d}
    counted = torch | {"num_batches_tracked": np.array(7)}
    for to, back, theirs in (
        (conventions.keras_to_torch, conventions.torch_to_keras, keras),
        (conventions.cs231n_to_torch, conventions.torch_to_cs231n, cs231n),
    ):
        renamed = to(theirs)
        assert renamed.pop("num_batches_tracked") == 0
        assert renamed.keys() == torch.keys() and all(renamed[k] is torch[k] for k in torch)
        assert back(counted).keys() == theirs.keys()
        assert all(back(counted)[k] is theirs[k] for k in theirs)
        assert to({"gamma": a}).keys() == {"weight"}


def test_conventions_refuse_other_names():
    with pytest.raises(OptionError, match=r"^keras_to_torch: params has \['weight'\]; .*gamma"):
        conventions.keras_to_torch({"weight": np.ones(2)})
    with pytest.raises(OptionError, match=r"^cs231n_to_torch: params has \['mode', 'eps'\]"):
        conventions.cs231n_to_torch({"mode": "train", "eps": 1e-5})
    with pytest.raises(OptionError, match=r"^torch_to_cs231n: params has \['gamma'\]"):
        conventions.torch_to_cs231n({"gamma": np.ones(2)})
    with pytest.raises(OptionError, match=r"^other_momentum: momentum=1\.5"):
        conventions.other_momentum(1.5)
