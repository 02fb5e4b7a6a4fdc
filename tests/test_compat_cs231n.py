"""The course's published checks with its published numbers, each also recomputed by formula."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import fastnn
from fastnn.compat import cs231n
from fastnn.compat.cs231n import eval_numerical_gradient, eval_numerical_gradient_array, rel_error

needs_norms = pytest.mark.skipif(
    not (hasattr(fastnn, "layer_norm") and hasattr(fastnn, "group_norm")),
    reason="layer_norm and group_norm are not there",
)


def spread(low, high, *shape):
    return np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)


def check_slopes(forward, backward, *arrays, limit=1e-7):
    """As the notebooks do: every gradient against central differences of the same function.

    Element by element it is `limit`, not their 1e-8, for gradients that happen to be near 0; as a
    whole every array is within 1e-8.
    """
    out, cache = forward(*arrays)
    rng = np.random.default_rng(7)
    dout = rng.standard_normal(out.shape)
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == len(arrays)
    for i, gradient in enumerate(gradients):
        slopes = eval_numerical_gradient_array(lambda _: forward(*arrays)[0], arrays[i], dout)
        assert gradient.shape == arrays[i].shape
        assert np.linalg.norm(gradient - slopes) < 1e-8 * np.linalg.norm(slopes), i
        # A central difference of step 1e-5 is good to about 1e-10, however small the gradient.
        np.testing.assert_allclose(gradient, slopes, rtol=limit, atol=1e-10, err_msg=str(i))


@pytest.fixture
def rng():
    return np.random.default_rng(231)


# -- published numbers ---------------------------------------------------------------------------


def test_affine_forward_gives_the_published_numbers():
    x, w, b = spread(-0.1, 0.5, 2, 4, 5, 6), spread(-0.2, 0.3, 120, 3), spread(-0.3, 0.1, 3)
    published = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    formula = np.einsum("ni,im->nm", x.reshape(2, -1), w) + b
    out, cache = cs231n.affine_forward(x, w, b)
    assert rel_error(out, formula) < 1e-12
    assert rel_error(out, np.array(published)) < 1e-8
    assert all(a is b for a, b in zip(cache, (x, w, b), strict=True))


def test_relu_forward_gives_the_published_numbers():
    x = spread(-0.5, 0.5, 3, 4)
    published = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364],
                 [0.22727273, 0.31818182, 0.40909091, 0.5]]  # fmt: skip
    out, cache = cs231n.relu_forward(x)
    assert rel_error(out, np.where(x > 0, x, 0)) == 0
    assert rel_error(out, np.array(published)) < 5e-8
    assert cache is x


@pytest.mark.parametrize("name", ["naive", "fast", "im2col", "strides"])
def test_conv_forward_gives_the_published_numbers(name):
    x, w, b = spread(-0.1, 0.5, 2, 3, 4, 4), spread(-0.2, 0.3, 3, 3, 4, 4), spread(-0.1, 0.2, 3)
    published = [
        [[[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
         [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
         [[0.50813986, 0.54309974], [0.64082444, 0.67101435]]],
        [[[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
         [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
         [[2.36270298, 2.36904306], [2.38090835, 2.38247847]]],
    ]  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    formula = np.empty((2, 3, 2, 2))
    for p, q in np.ndindex(2, 2):
        window = padded[:, :, 2 * p : 2 * p + 4, 2 * q : 2 * q + 4]
        formula[:, :, p, q] = np.einsum("ncrs,kcrs->nk", window, w) + b
    conv_param = {"stride": 2, "pad": 1}
    out, cache = getattr(cs231n, f"conv_forward_{name}")(x, w, b, conv_param)
    assert rel_error(out, formula) < 1e-12
    assert rel_error(out, np.array(published)) < 3e-8
    assert all(a is b for a, b in zip(cache, (x, w, b, conv_param), strict=True))
    assert (cache.context.impl.name == "naive") == (name == "naive")


@pytest.mark.parametrize("name", ["naive", "fast", "im2col", "reshape"])
def test_max_pool_forward_gives_the_published_numbers(name):
    x = spread(-0.3, 0.4, 2, 3, 4, 4)
    published = [
        [[[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
         [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
         [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]]],
        [[[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
         [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
         [[0.32631579, 0.34105263], [0.38526316, 0.4]]],
    ]  # fmt: skip
    pool_param = {"pool_width": 2, "pool_height": 2, "stride": 2}
    out, (held, param) = getattr(cs231n, f"max_pool_forward_{name}")(x, pool_param)
    assert rel_error(out, x[:, :, 1::2, 1::2]) == 0  # x rises, so the last of a window is largest
    assert rel_error(out, np.array(published)) < 2e-7
    assert held is x and param is pool_param


W, DW = spread(-0.4, 0.6, 4, 5), spread(-0.6, 0.4, 4, 5)
RISING, FALLING = spread(0.6, 0.9, 4, 5), spread(0.7, 0.5, 4, 5)


def test_sgd_momentum_gives_the_published_numbers():
    config = {"learning_rate": 1e-3, "velocity": RISING}
    next_w, same = cs231n.sgd_momentum(W, DW, config)
    assert same is config
    velocity = 0.9 * RISING - 1e-3 * DW
    assert rel_error(config["velocity"], velocity) < 1e-14
    assert rel_error(next_w, W + velocity) < 1e-14
    published_w = [[0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
                   [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
                   [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
                   [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096]]  # fmt: skip
    published_velocity = [[0.5406, 0.55475789, 0.56891579, 0.58307368, 0.59723158],
                          [0.61138947, 0.62554737, 0.63970526, 0.65386316, 0.66802105],
                          [0.68217895, 0.69633684, 0.71049474, 0.72465263, 0.73881053],
                          [0.75296842, 0.76712632, 0.78128421, 0.79544211, 0.8096]]  # fmt: skip
    assert rel_error(next_w, np.array(published_w)) < 1e-8
    assert rel_error(config["velocity"], np.array(published_velocity)) < 1e-8


def test_rmsprop_gives_the_published_numbers():
    config = {"learning_rate": 1e-2, "cache": RISING}
    next_w, _ = cs231n.rmsprop(W, DW, config)
    cache = 0.99 * RISING + 0.01 * DW * DW
    assert rel_error(config["cache"], cache) < 1e-14
    assert rel_error(next_w, W - 1e-2 * DW / (np.sqrt(cache) + 1e-8)) < 1e-12
    published_w = [[-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247],
                   [-0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774],
                   [0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447],
                   [0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619]]  # fmt: skip
    published_cache = [[0.5976, 0.6126277, 0.6277108, 0.64284931, 0.65804321],
                       [0.67329252, 0.68859723, 0.70395734, 0.71937285, 0.73484377],
                       [0.75037008, 0.7659518, 0.78158892, 0.79728144, 0.81302936],
                       [0.82883269, 0.84469141, 0.86060554, 0.87657507, 0.8926]]  # fmt: skip
    assert rel_error(next_w, np.array(published_w)) < 2e-7
    assert rel_error(config["cache"], np.array(published_cache)) < 1e-8


def test_adam_gives_the_published_numbers():
    config = {"learning_rate": 1e-2, "m": RISING, "v": FALLING, "t": 5}
    next_w, _ = cs231n.adam(W, DW, config)
    m, v = 0.9 * RISING + 0.1 * DW, 0.999 * FALLING + 0.001 * DW * DW
    step = 1e-2 * (m / (1 - 0.9**6)) / (np.sqrt(v / (1 - 0.999**6)) + 1e-8)
    assert config["t"] == 6
    assert rel_error(config["m"], m) < 1e-14 and rel_error(config["v"], v) < 1e-14
    assert rel_error(next_w, W - step) < 1e-12
    published_w = [[-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
                   [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
                   [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
                   [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459]]  # fmt: skip
    published_v = [[0.69966, 0.68908382, 0.67851319, 0.66794809, 0.65738853],
                   [0.64683452, 0.63628604, 0.6257431, 0.61520571, 0.60467385],
                   [0.59414753, 0.58362676, 0.57311152, 0.56260183, 0.55209767],
                   [0.54159906, 0.53110598, 0.52061845, 0.51013645, 0.49966]]  # fmt: skip
    published_m = [[0.48, 0.49947368, 0.51894737, 0.53842105, 0.55789474],
                   [0.57736842, 0.59684211, 0.61631579, 0.63578947, 0.65526316],
                   [0.67473684, 0.69421053, 0.71368421, 0.73315789, 0.75263158],
                   [0.77210526, 0.79157895, 0.81105263, 0.83052632, 0.85]]  # fmt: skip
    assert rel_error(next_w, np.array(published_w)) < 2e-7
    assert rel_error(config["v"], np.array(published_v)) < 1e-8
    assert rel_error(config["m"], np.array(published_m)) < 1e-8


def test_update_rules_fill_in_their_defaults_and_sgd_works_in_place():
    w = np.array([1.0, 2.0])
    same, config = cs231n.sgd(w, np.array([1.0, -1.0]))
    assert same is w and config == {"learning_rate": 1e-2}
    np.testing.assert_allclose(w, [0.99, 2.01])
    for rule, size in ((cs231n.sgd_momentum, 1e-2), (cs231n.rmsprop, 1e-1), (cs231n.adam, 1e-3)):
        moved, config = rule(w, np.array([1.0, -1.0]))
        np.testing.assert_allclose(moved - w, [-size, size], rtol=1e-5)
        assert moved is not w
        _, again = rule(moved, w, config)
        assert again is config


# -- gradients, as the notebooks check them ------------------------------------------------------


def test_affine_and_relu_gradients(rng):
    x, w, b = (rng.standard_normal(s) for s in ((10, 2, 3), (6, 5), (5,)))
    check_slopes(cs231n.affine_forward, cs231n.affine_backward, x, w, b)
    check_slopes(cs231n.affine_relu_forward, cs231n.affine_relu_backward, x, w, b)
    check_slopes(cs231n.relu_forward, cs231n.relu_backward, rng.standard_normal((10, 10)))


@pytest.mark.parametrize("name", ["naive", "fast"])
def test_conv_and_pool_gradients(rng, name):
    forward, backward = (getattr(cs231n, f"conv_{way}_{name}") for way in ("forward", "backward"))
    x, w, b = (rng.standard_normal(s) for s in ((4, 3, 5, 5), (2, 3, 3, 3), (2,)))
    check_slopes(lambda *a: forward(*a, {"stride": 1, "pad": 1}), backward, x, w, b)
    forward, backward = (
        getattr(cs231n, f"max_pool_{way}_{name}") for way in ("forward", "backward")
    )
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    check_slopes(lambda x: forward(x, pool_param), backward, rng.standard_normal((3, 2, 8, 8)))


def test_sandwich_gradients(rng):
    x, w, b = (rng.standard_normal(s) for s in ((2, 3, 8, 8), (3, 3, 3, 3), (3,)))
    gamma, beta = rng.standard_normal((2, 3))
    conv_param = {"stride": 1, "pad": 1}
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    check_slopes(
        lambda *a: cs231n.conv_relu_pool_forward(*a, conv_param, pool_param),
        cs231n.conv_relu_pool_backward, x, w, b,
    )  # fmt: skip
    x = rng.standard_normal((2, 3, 4, 4))
    check_slopes(
        lambda *a: cs231n.conv_relu_forward(*a, conv_param), cs231n.conv_relu_backward, x, w, b
    )

    def with_norm(x, w, gamma, beta):
        return cs231n.conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, {"mode": "train"})

    def without_db(dout, cache):  # the bias in front of a norm has a gradient of zero
        dx, dw, db, dgamma, dbeta = cs231n.conv_bn_relu_backward(dout, cache)
        assert np.abs(db).max() < 1e-12
        return dx, dw, dgamma, dbeta

    check_slopes(with_norm, without_db, x, w, gamma, beta, limit=1e-6)

    def affine_norm(x, w, gamma, beta):
        bias = np.zeros(3)
        return cs231n.affine_bn_relu_forward(x, w, bias, gamma, beta, {"mode": "train"})

    def affine_without_db(dout, cache):
        dx, dw, _, dgamma, dbeta = cs231n.affine_bn_relu_backward(dout, cache)
        return dx, dw, dgamma, dbeta

    x, w = rng.standard_normal((6, 5)), rng.standard_normal((5, 3))
    check_slopes(affine_norm, affine_without_db, x, w, gamma, beta, limit=1e-6)


@pytest.mark.parametrize("way", ["batchnorm_backward", "batchnorm_backward_alt"])
@pytest.mark.parametrize("mode", ["train", "test"])
def test_batchnorm_gradients(rng, way, mode):
    x, gamma, beta = 5 * rng.standard_normal((6, 5)) + 12, *rng.standard_normal((2, 5))
    param = {"mode": mode, "running_mean": np.full(5, 11.0), "running_var": np.full(5, 20.0)}
    check_slopes(
        lambda *a: cs231n.batchnorm_forward(*a, dict(param)), getattr(cs231n, way), x, gamma, beta,
    )  # fmt: skip
    x = rng.standard_normal((2, 5, 4, 3))
    check_slopes(
        lambda *a: cs231n.spatial_batchnorm_forward(*a, dict(param)),
        cs231n.spatial_batchnorm_backward, x, gamma, beta,
    )  # fmt: skip


@needs_norms
def test_layernorm_and_groupnorm(rng):
    x, gamma, beta = 5 * rng.standard_normal((4, 5)) + 12, *rng.standard_normal((2, 5))
    out, _ = cs231n.layernorm_forward(x, gamma, beta, {})
    scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    assert rel_error(out, gamma * scaled + beta) < 1e-10
    check_slopes(
        lambda *a: cs231n.layernorm_forward(*a, {}), cs231n.layernorm_backward, x, gamma, beta,
        limit=1e-6,
    )  # fmt: skip
    x, gamma, beta = rng.standard_normal((2, 6, 4, 5)), *rng.standard_normal((2, 1, 6, 1, 1))
    out, _ = cs231n.spatial_groupnorm_forward(x, gamma, beta, 2, {"eps": 1e-3})
    groups = x.reshape(2, 2, -1)
    scaled = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-3)
    assert rel_error(out, gamma * scaled.reshape(x.shape) + beta) < 1e-10
    check_slopes(
        lambda *a: cs231n.spatial_groupnorm_forward(*a, 2, {}),
        cs231n.spatial_groupnorm_backward, x, gamma, beta, limit=1e-6,
    )  # fmt: skip


def test_a_norm_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(cs231n.layers.ops, "layer_norm", None, raising=False)
    with pytest.raises(fastnn.UnsupportedError, match="operation layer_norm is not there"):
        cs231n.layernorm_forward(np.ones((2, 3)), np.ones(3), np.ones(3), {})


def test_losses(rng):
    x, y = 0.001 * rng.standard_normal((50, 10)), rng.integers(10, size=50)
    for loss_of, at_zero in ((cs231n.svm_loss, 9.0), (cs231n.softmax_loss, np.log(10))):
        loss, dx = loss_of(x, y)
        assert loss == pytest.approx(at_zero, abs=2e-2)  # the notebook: around 9, around 2.3
        slopes = eval_numerical_gradient(lambda x, f=loss_of: f(x, y)[0], x, verbose=False)
        assert rel_error(slopes, dx) < 1e-7
    exponentials = np.exp(x)
    formula = -np.mean(np.log(exponentials[range(50), y] / exponentials.sum(1)))
    assert loss == pytest.approx(formula, rel=1e-12)


# -- conventions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("forward", "shape", "axes"),
    [
        (cs231n.batchnorm_forward, (200, 3), (0,)),
        (cs231n.spatial_batchnorm_forward, (5, 3, 6, 7), (0, 2, 3)),
    ],
)
def test_running_statistics_are_the_courses(rng, forward, shape, axes, dtype):
    """Momentum weighs the old value, the variance is biased, bn_param gets new arrays."""
    gamma, beta = np.ones(3, dtype), np.zeros(3, dtype)
    bn_param = {"mode": "train"}
    mean, var = np.zeros(3), np.zeros(3)
    for _ in range(3):
        x = (4 * rng.standard_normal(shape) + 10).astype(dtype)
        held = bn_param.get("running_mean")
        kept = None if held is None else held.copy()
        out, _ = forward(x, gamma, beta, bn_param)
        mean = 0.9 * mean + 0.1 * x.astype(float).mean(axes)
        var = 0.9 * var + 0.1 * x.astype(float).var(axes)
        np.testing.assert_allclose(out.mean(axes), 0, atol=1e-5)
        np.testing.assert_allclose(out.std(axes), 1, atol=1e-5)
        np.testing.assert_allclose(bn_param["running_mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(bn_param["running_var"], var, rtol=1e-5)
        assert bn_param["running_var"].dtype == out.dtype == dtype
        if held is not None:
            np.testing.assert_array_equal(held, kept)
    bn_param["mode"] = "test"
    before = bn_param["running_var"]
    out, _ = forward(x, gamma, beta, bn_param)
    shaped = (slice(None),) + (None,) * (len(shape) - 2)
    expected = (x - mean[shaped]) / np.sqrt(var[shaped] + 1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(bn_param["running_var"], before)


def test_dropout_keeps_with_probability_p_by_the_legacy_seed():
    x = np.ones((500, 500)) * 10
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for p in (0.25, 0.4, 0.7):
        out, _ = cs231n.dropout_forward(x, {"mode": "train", "p": p})
        assert out.mean() == pytest.approx(10, abs=0.2)
        assert (out == 0).mean() == pytest.approx(1 - p, abs=0.01)
        same, cache = cs231n.dropout_forward(x, {"mode": "test", "p": p})
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(cs231n.dropout_backward(x, cache), x)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    param = {"mode": "train", "p": 0.2, "seed": 123}
    check_slopes(
        lambda x: cs231n.dropout_forward(x, param), cs231n.dropout_backward, x[:10, :10].copy()
    )
    np.random.seed(123)  # noqa: NPY002
    mask = (np.random.rand(7, 3) < 0.2) / 0.2  # noqa: NPY002
    out, (held, ours) = cs231n.dropout_forward(x[:7, :3], param)
    np.testing.assert_array_equal(out, 10 * mask)
    np.testing.assert_array_equal(ours, mask)
    assert held is param


def test_plain_tuples_serve_as_caches_and_fast_equals_naive(rng):
    """As when a forward pass of one's own made the cache."""
    x, w, b = (rng.standard_normal(s) for s in ((3, 3, 9, 8), (4, 3, 3, 3), (4,)))
    conv_param, pool_param = {"stride": 2, "pad": 1}, {"pool_height": 3, "pool_width": 2,
                                                       "stride": 2}  # fmt: skip
    out, cache = cs231n.conv_forward_fast(x, w, b, conv_param)
    slow, slow_cache = cs231n.conv_forward_naive(x, w, b, conv_param)
    assert rel_error(out, slow) < 1e-10
    dout = rng.standard_normal(out.shape)
    for backward in (cs231n.conv_backward_fast, cs231n.conv_backward_naive):
        results = [backward(dout, c) for c in (cache, slow_cache, (x, w, b, conv_param))]
        for other in results[1:]:
            for got, expected in zip(other, results[0], strict=True):
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    out, cache = cs231n.max_pool_forward_fast(x, pool_param)
    np.testing.assert_array_equal(out, cs231n.max_pool_forward_naive(x, pool_param)[0])
    dout = rng.standard_normal(out.shape)
    expected = cs231n.max_pool_backward_fast(dout, cache)
    for backward in (cs231n.max_pool_backward_fast, cs231n.max_pool_backward_naive):
        np.testing.assert_allclose(backward(dout, (x, pool_param)), expected, rtol=1e-12)
    flat = rng.standard_normal((3, 5))
    weights = rng.standard_normal((5, 2))
    _, cache = cs231n.affine_forward(flat, weights, np.zeros(2))
    ones = np.ones((3, 2))
    for got, want in zip(
        cs231n.affine_backward(ones, (flat, weights, np.zeros(2))),
        cs231n.affine_backward(ones, cache),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)


def test_ties_give_the_gradient_to_the_first():
    x = np.ones((1, 1, 2, 2))
    _, cache = cs231n.max_pool_forward_fast(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    dx = cs231n.max_pool_backward_fast(np.full((1, 1, 1, 1), 3.0), cache)
    np.testing.assert_array_equal(dx, [[[[3, 0], [0, 0]]]])


def test_dtypes_are_converted_as_numpy_would():
    x, w, b = np.ones((2, 3), np.float32), np.ones((3, 2)), [1, 2]
    out, cache = cs231n.affine_forward(x, w, b)
    assert out.dtype == np.float64
    assert cs231n.affine_backward(np.ones((2, 2), np.float32), cache)[0].dtype == np.float64
    out, cache = cs231n.affine_forward(x, w.astype(np.float32), np.ones(2, np.float32))
    assert out.dtype == np.float32
    assert cs231n.affine_backward(np.ones((2, 2)), cache)[1].dtype == np.float32
    assert cs231n.relu_forward([[1, -1]])[0].tolist() == [[1.0, 0.0]]


def test_impossible_modes_are_refused():
    x, c = np.ones((3, 2)), np.ones(2)
    with pytest.raises(ValueError, match="batch norm mode 'eval'; it must be train or test"):
        cs231n.batchnorm_forward(x, c, c, {"mode": "eval"})
    with pytest.raises(ValueError, match="dropout mode 'eval'"):
        cs231n.dropout_forward(x, {"mode": "eval", "p": 0.5})
    with pytest.raises(ValueError, match=r"p=0, .*in \(0, 1\]"):
        cs231n.dropout_forward(x, {"mode": "train", "p": 0})


def test_numerical_gradients_print_and_put_x_back(capsys):
    x = np.array([[1.0, 2.0]])
    grad = eval_numerical_gradient(lambda x: np.sum(x**2), x)
    np.testing.assert_allclose(grad, [[2, 4]], rtol=1e-9)
    assert len(capsys.readouterr().out.splitlines()) == 2
    np.testing.assert_array_equal(x, [[1, 2]])
    np.testing.assert_allclose(eval_numerical_gradient_array(lambda x: x, x, x), x, rtol=1e-9)


SIGNATURES = """
affine_forward(x, w, b)
affine_relu_forward(x, w, b)
adam(w, dw, config=None)
batchnorm_backward(dout, cache)
batchnorm_forward(x, gamma, beta, bn_param)
conv_backward_naive(dout, cache)
conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param)
conv_forward_fast(x, w, b, conv_param)
conv_relu_pool_forward(x, w, b, conv_param, pool_param)
dropout_forward(x, dropout_param)
eval_numerical_gradient(f, x, verbose=True, h=1e-05)
eval_numerical_gradient_array(f, x, df, h=1e-05)
layernorm_forward(x, gamma, beta, ln_param)
max_pool_forward_fast(x, pool_param)
softmax_loss(x, y)
spatial_groupnorm_forward(x, gamma, beta, G, gn_param)
svm_loss(x, y)
"""


@pytest.mark.parametrize("signature", SIGNATURES.split("\n")[1:-1])
def test_signatures_are_the_courses(signature):
    name, _, _ = signature.partition("(")
    plain = inspect.signature(getattr(cs231n, name))
    parameters = [p.replace(annotation=p.empty) for p in plain.parameters.values()]
    assert f"{name}{inspect.Signature(parameters)}" == signature
