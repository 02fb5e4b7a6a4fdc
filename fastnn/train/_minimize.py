"""Training by the optimisers of SciPy, which want one function of one flat vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check
from fastnn.dispatch import Op
from fastnn.errors import DtypeError, OptionError
from fastnn.layers import Layer
from fastnn.layers.base import Array
from fastnn.train import _data
from fastnn.train._data import Data
from fastnn.train._objective import LossLike, Objective
from fastnn.train._penalties import Penalty


class MinimizeResult(NamedTuple):
    """What `minimize` found; the model has the best parameters already."""

    loss: float
    """The smallest loss, with penalties."""
    losses: list[float]
    """The loss at the start, then the smallest one so far after each iteration."""
    iterations: int
    evaluations: int
    """How often loss and gradient were computed."""
    curve: list[float]
    """The smallest loss so far after each evaluation: methods differ in how many they need for an
    iteration."""
    success: bool
    """Whether the method says that it has converged."""
    message: str
    """Why it ended: SciPy's words, "interrupted" after Ctrl-C, or "ended by the callback"."""
    scipy: Any
    """SciPy's own result; None if it was cut short."""


def minimize(
    model: Layer,
    loss: LossLike | Op[..., Any, Any],
    data: Data,
    method: str = "L-BFGS-B",
    *,
    penalties: Sequence[Penalty] = (),
    batch_size: int | None = None,
    callback: Callable[[int, float], Any] | None = None,
    bounds: Any = None,
    tol: float | None = None,
    **options: Any,
) -> MinimizeResult:
    """Minimise the loss of all data over all parameters with ``scipy.optimize.minimize``.

    SciPy's vector is written into the model's parameters, which stay the arrays that they are, and
    the gradients are gathered into one vector: the model itself is never copied. Afterwards the
    model has the best parameters that were met, also after Ctrl-C.

    Parameters
    ----------
    model
        The layer to train, of float64: line searches need its digits.
    loss
        A `fastnn.layers.Loss` or an operation, see `Trainer`.
    data
        Arrays (x, y), or batches of such; each evaluation goes through all of it.
    method
        One of SciPy's that use a gradient: "L-BFGS-B", "TNC", "CG", "BFGS", "SLSQP", ...
    penalties
        See `Trainer`. Those on activities are means over batches.
    batch_size
        Samples of arrays that are computed at a time, for less memory; all if not given. The loss
        of data is the mean over batches weighted by size.
    callback
        Called with (iteration, loss) after each iteration, the first being 1; ends the search if
        it returns True.
    bounds, tol
        SciPy's.
    **options
        The method's, such as ``maxiter=250``, which is ``maxfun`` for TNC as well unless given.

    Returns
    -------
    MinimizeResult

    Raises
    ------
    DtypeError
        If the model has parameters of float32.
    OptionError
        If there are no parameters, or SciPy is not installed.

    Notes
    -----
    The layers stay in the mode that they are in. Batch norm and dropout in training mode make a
    loss that depends on batches or chance; use ``model.eval()`` to have one function.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Linear, MSELoss
    >>> from fastnn.train import minimize
    >>> x = np.arange(4.0)[:, None]
    >>> model = Linear(1, 1, rng=0, dtype=np.float64)
    >>> result = minimize(model, MSELoss(), (x, 3 * x - 1))
    >>> result.success, result.loss < 1e-9
    (True, True)
    >>> model.params["weight"].round(3), model.params["bias"].round(3)
    (array([[3.]]), array([-1.]))
    """
    what = "minimize"
    objective = Objective(what, model, loss, penalties)
    _data.check(what, "data", data)
    size = None if batch_size is None else _check.whole(what, "batch_size", batch_size, 1)
    search = _Search(objective, data, size, callback)
    if method == "TNC" and "maxiter" in options:
        # TNC counts evaluations alone, and SciPy warns of the other name.
        options.setdefault("maxfun", options.pop("maxiter"))
    return search.run(method, {"bounds": bounds, "tol": tol, "options": options})


class _Ended(Exception):
    """The callback has had enough."""


class _Search:
    """The function that SciPy minimises, and the best that it was evaluated at."""

    def __init__(
        self,
        objective: Objective,
        data: Any,
        batch_size: int | None,
        callback: Callable[[int, float], Any] | None,
    ) -> None:
        self.objective = objective
        self.data = data
        self.size = batch_size or (len(data[0]) if _data.is_pair(data) else 1)
        self.callback = callback
        self.params = [(w, dw) for _, w, dw in objective.model.parameters()]
        if not self.params:
            raise OptionError(f"{objective.what}: the model has no parameters; it needs at least 1")
        for name, w, _ in objective.model.parameters():
            if w.dtype != np.float64:
                raise DtypeError(
                    f"{objective.what}: {name} is {w.dtype}; all parameters must be float64"
                )
        self.best, self.at = math.inf, self.flat(0)
        self.losses: list[float] = []
        self.curve: list[float] = []

    def flat(self, which: int) -> Array:
        """A vector of all parameters (0) or of all gradients (1)."""
        return np.concatenate([pair[which].reshape(-1) for pair in self.params])

    def put(self, vector: Array) -> None:
        """Write a vector into the parameters."""
        start = 0
        for w, _ in self.params:
            np.copyto(w, vector[start : start + w.size].reshape(w.shape))
            start += w.size

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """Loss and gradient; the vector is a new one each time, for SciPy keeps it."""
        self.put(vector)
        self.objective.model.zero_grad()
        total, samples = 0.0, 0
        for x, y in _data.batches(self.objective.what, self.data, self.size):
            whole = _data.is_pair(self.data) and len(y) == len(self.data[1])
            value, _ = self.objective.gradient(x, y, 1.0 if whole else float(len(y)))
            total += value * len(y)
            samples += len(y)
        gradient = self.flat(1)
        if not whole:
            gradient /= samples
        loss = total / samples
        if self.objective.weighted:
            self.objective.model.zero_grad()
            loss += self.objective.weight_gradient()
            gradient += self.flat(1)
        if not self.losses:
            self.losses.append(loss)
        if loss < self.best:
            self.best, self.at = loss, vector.copy()
        self.curve.append(self.best)
        return loss, gradient

    def iterated(self, vector: Array, *state: Any) -> None:
        """After an iteration; not every method tells the loss, nor stops at a StopIteration."""
        self.losses.append(self.best)
        if self.callback is not None and self.callback(len(self.losses) - 1, self.best):
            raise _Ended

    def run(self, method: str, options: dict[str, Any]) -> MinimizeResult:
        """Search, and leave the best parameters in the model."""
        try:
            from scipy import optimize
        except ImportError as error:
            raise OptionError(
                "minimize: scipy is not installed; it must be, with: "
                'pip install "fastnn-layers[scipy]"'
            ) from error
        found: Any = None
        message = ""
        try:
            found = optimize.minimize(
                self, self.flat(0), jac=True, method=method, callback=self.iterated, **options
            )
            message = str(found.message)
        except KeyboardInterrupt:
            message = "interrupted"
        except _Ended:
            message = "ended by the callback"
        finally:
            self.put(self.at)
            self.objective.model.drop_context()
        return MinimizeResult(
            self.best,
            self.losses,
            max(len(self.losses) - 1, 0),
            len(self.curve),
            self.curve,
            bool(found is not None and found.success),
            message,
            found,
        )
