"""Training by SciPy against a closed form, plain descent and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import Linear, MSELoss, Sequential, Sigmoid, Tanh
from fastnn.train import L2, KLSparsity, minimize
from fastnn.train._minimize import _Search
from fastnn.train._objective import Objective

optimize = pytest.importorskip("scipy.optimize", reason="minimize needs SciPy")

METHODS = ["L-BFGS-B", "TNC", "CG", "BFGS", "SLSQP", "trust-constr"]


def points(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    return x, x @ [[1.0, 2.0], [-2.0, 0.0], [0.5, 1.0]] + 0.3 * rng.standard_normal((n, 2)) + 1


def deep(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(
        Linear(3, 5, rng=rng, dtype=np.float64), Sigmoid(), Linear(5, 2, rng=rng, dtype=np.float64)
    )


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")
@pytest.mark.parametrize("method", METHODS)
def test_ridge_regression_reaches_its_closed_form(method):
    x, y = points()
    model = Linear(3, 2, rng=0, dtype=np.float64)
    arrays = dict(model.params)
    result = minimize(
        model, MSELoss(), (x, y), method, penalties=[L2(0.3)], tol=1e-12, maxiter=2000
    )
    # mean over N*2 numbers of (x w + b - y)**2 + 0.15 |w|**2, b free of penalty: centre first
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    w = np.linalg.solve(xc.T @ xc + 0.15 * y.size * np.eye(3), xc.T @ yc)
    np.testing.assert_allclose(model.params["weight"], w.T, atol=1e-5)
    np.testing.assert_allclose(model.params["bias"], y.mean(axis=0) - x.mean(axis=0) @ w, atol=1e-5)
    loss = np.mean((x @ w + model.params["bias"] - y) ** 2) + 0.15 * np.sum(w * w)
    assert result.loss == pytest.approx(loss, rel=1e-9)
    assert result.losses[0] > result.losses[-1] == pytest.approx(result.loss)
    assert len(result.losses) == result.iterations + 1 and result.evaluations >= result.iterations
    assert result.curve[0] == result.losses[0] and result.curve[-1] == result.loss
    assert len(result.curve) == result.evaluations
    assert result.curve == sorted(result.curve, reverse=True)
    assert all(model.params[name] is a for name, a in arrays.items())


@pytest.mark.parametrize("batch_size", [None, 7, 60])
def test_loss_and_gradient_of_the_vector_pass_a_gradient_check(batch_size):
    penalties = [L2(0.1), *([KLSparsity("1", 0.2)] if batch_size != 7 else [])]
    objective = Objective("test", deep(), MSELoss(), penalties)
    search = _Search(objective, points(), batch_size, None)
    start = search.flat(0)
    error = optimize.check_grad(lambda v: search(v)[0], lambda v: search(v)[1], start)
    assert error < 1e-6
    whole = _Search(objective, points(), None, None)(start)
    if batch_size != 7:
        assert search(start)[0] == whole[0]


def test_batches_give_the_loss_and_gradient_of_the_whole():
    objective = Objective("test", deep(), MSELoss(), [L2(0.1)])
    x, y = points()
    start = _Search(objective, (x, y), None, None).flat(0)
    whole = _Search(objective, (x, y), None, None)(start)
    for data, size in (((x, y), 7), ([(x[:50], y[:50]), (x[50:], y[50:])], None)):
        found = _Search(objective, data, size, None)(start)
        assert found[0] == pytest.approx(whole[0], rel=1e-13)
        np.testing.assert_allclose(found[1], whole[1], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_the_callback_is_told_and_may_end_it(method):
    told = []

    def callback(iteration, loss):
        told.append((iteration, loss))
        return iteration == 3

    result = minimize(deep(), MSELoss(), points(), method, callback=callback)
    assert [i for i, _ in told] == [1, 2, 3] and result.iterations == 3
    assert result.message == "ended by the callback" and not result.success
    assert [loss for _, loss in told] == result.losses[1:]


@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC"])
def test_after_an_interrupt_the_model_has_the_best_parameters(method):
    model = deep()

    def callback(iteration, loss):
        if iteration == 5:
            raise KeyboardInterrupt

    result = minimize(model, MSELoss(), points(), method, callback=callback)
    assert result.message == "interrupted" and result.scipy is None
    x, y = points()
    assert float(MSELoss()(model(x, save=False), y)) == result.loss < result.losses[0]


def test_tnc_takes_maxiter_and_options_pass_through():
    few = minimize(deep(), MSELoss(), points(), "TNC", maxiter=5)
    assert few.evaluations <= 6 and not few.success
    assert minimize(deep(), MSELoss(), points(), maxiter=4).iterations == 4
    model = Linear(3, 2, rng=0, dtype=np.float64)
    minimize(model, MSELoss(), points(), bounds=[(-0.1, 0.1)] * 8)
    assert max(abs(a).max() for a in model.params.values()) <= 0.1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: minimize(Linear(3, 2), MSELoss(), points()), DtypeError, "weight is float32"),
        (lambda: minimize(Tanh(), MSELoss(), points()), OptionError, "no parameters"),
        (lambda: minimize(3, MSELoss(), points()), DtypeError, "model is int"),
        (lambda: minimize(deep(), MSELoss(), 3), DtypeError, "data is int"),
        (
            lambda: minimize(deep(), MSELoss(), points(), batch_size=0),
            ShapeError,
            "batch_size=0",
        ),
    ],
)
def test_errors_say_what_was_given(call, error, text):
    with pytest.raises(error, match=text):
        call()
