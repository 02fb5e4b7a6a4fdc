"""Optimisers: they write new numbers into the parameters that layers own, and know no layer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from fastnn import _check
from fastnn.errors import DtypeError, OptionError, ShapeError
from fastnn.layers import Layer
from fastnn.layers._state import fitted

__all__ = ["SGD", "Adam", "Optimizer"]

Array = np.ndarray[Any, Any]

Parameters: TypeAlias = Layer | Iterable[tuple[str, Array, Array]]
"""A layer, or (name, parameter, gradient) triples as `Layer.parameters` yields them."""

_BLOCK = 1 << 15  # elements: parameters, gradients, state and scratch of a block stay in L2


class Optimizer(ABC):
    """What optimisers share: the parameters, their state arrays, one step count, save and load.

    Parameters are updated in place, block by block through one small scratch array, so a step
    allocates nothing that grows with the model. A NaN or infinite gradient is used like any other
    and makes its parameters NaN; nothing is skipped or reported.

    ``lr`` may be set between steps. `state_dict` holds the state arrays, the step count and all
    hyper-parameters: after `load_state_dict` the steps continue bitwise as if never interrupted.
    """

    def __init__(
        self, parameters: Parameters, state: tuple[str, ...], **options: float | bool
    ) -> None:
        self._check(options)
        self._options = options
        self._parameters = _collected(type(self).__name__, parameters)
        self._kinds = state
        self._state = {
            f"{kind}.{name}": np.zeros(param.shape, param.dtype)
            for kind in state
            for name, param, _ in self._parameters
        }
        self._steps = 0
        self._scratch = {
            param.dtype: np.empty((2, _BLOCK), param.dtype) for _, param, _ in self._parameters
        }

    @abstractmethod
    def _rule(self) -> Callable[..., None]:
        """Make the step's ``update(param, grad, scratch, scratch2, *state)`` on flat blocks."""

    @abstractmethod
    def _check(self, options: Mapping[str, float | bool]) -> None:
        """Raise OptionError if a hyper-parameter is out of range."""

    @property
    def lr(self) -> float:
        """The learning rate; it may be set between steps."""
        return self._options["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        options = self._options | {"lr": _check.real(type(self).__name__, "lr", value)}
        self._check(options)
        self._options = options

    def step(self) -> None:
        """Update every parameter once, in place, from its gradient."""
        self._steps += 1
        update = self._rule()
        with np.errstate(all="ignore"):  # overflow gives infinity, as in PyTorch
            for block in self._blocks():
                update(*block)

    def _blocks(self) -> Iterator[list[Array]]:
        # Cut anew each step: views that are kept would part from the arrays in a deep copy.
        for name, param, grad in self._parameters:
            state = [self._state[f"{kind}.{name}"] for kind in self._kinds]
            scratch = self._scratch[param.dtype]
            flat = [a.reshape(-1) for a in (param, grad, *state)]
            for start in range(0, param.size, _BLOCK):
                p, g, *s = (a[start : start + _BLOCK] for a in flat)
                yield [p, g, *scratch[:, : p.size], *s]

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for _, _, grad in self._parameters:
            grad.fill(0)

    def state_dict(self) -> dict[str, Array]:
        """Copies of the state arrays, "step", and the hyper-parameters as 0-d arrays."""
        numbers = {name: np.array(value) for name, value in self._options.items()}
        arrays = {name: array.copy() for name, array in self._state.items()}
        return {"step": np.array(self._steps, np.int64)} | numbers | arrays

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` of an optimiser of the same kind and model gave.

        Raises
        ------
        StateError, ShapeError, DtypeError
            If names, shapes or dtypes do not fit.
        OptionError
            If a hyper-parameter is out of range. After any error the optimiser is as it was.
        """
        what = type(self).__name__
        new = fitted(what, self.state_dict(), state)
        options = {name: new[name].item() for name in self._options}
        self._check(options)
        if new["step"] < 0:
            raise OptionError(f"{what}: state has step={new['step']}; it must be at least 0")
        self._options = options
        self._steps = int(new["step"])
        for name, array in self._state.items():
            np.copyto(array, new[name])

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self._options.items())
        return f"{type(self).__name__}({len(self._parameters)} parameters, {options})"


class SGD(Optimizer):
    """Gradient descent with momentum, PyTorch's formulas.

    ::

        g = grad + weight_decay * p
        v = momentum * v + g                          (v = 0 at first)
        p = p - lr * (g + momentum * v  if nesterov,  v  if momentum,  else g)

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter.

    Parameters
    ----------
    parameters
        A layer, or (name, parameter, gradient) triples.
    lr
        The learning rate, at least 0.
    momentum
        Share of v that stays, from 0 to below 1.
    nesterov
        Look one step ahead; needs momentum.
    weight_decay
        At least 0.

    Raises
    ------
    OptionError
        If a hyper-parameter is out of its range or there are no parameters.
    DtypeError, ShapeError
        If a hyper-parameter is no number, or a parameter and its gradient do not fit.

    Notes
    -----
    A step reads and writes each parameter once, and v if there is momentum.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    >>> sgd = SGD([("p", p, g)], lr=0.1, momentum=0.9)
    >>> sgd.step()
    >>> p
    array([0.95, 2.1 ])
    >>> sgd.step()
    >>> p
    array([0.855, 2.29 ])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters,
            ("momentum_buffer",) if momentum else (),
            lr=_check.real("SGD", "lr", lr),
            momentum=_check.real("SGD", "momentum", momentum),
            nesterov=_check.flag("SGD", "nesterov", nesterov),
            weight_decay=_check.real("SGD", "weight_decay", weight_decay),
        )

    def _check(self, options: Mapping[str, float | bool]) -> None:
        _at_least_zero("SGD", options, "lr", "weight_decay")
        _below_one("SGD", options, "momentum")
        if options["nesterov"] and not options["momentum"]:
            raise OptionError("SGD: nesterov=True with momentum=0; it needs momentum")

    def _rule(self) -> Callable[..., None]:
        lr, momentum, nesterov, decay = self._options.values()

        def update(p: Array, g: Array, s: Array, t: Array, v: Array | None = None) -> None:
            if decay:
                g = _add_scaled(g, p, decay, s)
            if v is not None:
                v *= momentum
                v += g
                g = _add_scaled(g, v, momentum, t) if nesterov else v
            np.multiply(g, lr, out=t)
            p -= t

        return update


class Adam(Optimizer):
    """Adam, PyTorch's formulas.

    ::

        g = grad + weight_decay * p
        m = m + (1 - beta1) * (g - m)                                        (m = v = 0 at first)
        v = beta2 * v + (1 - beta2) * g * g
        p = p - lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)      t = 1, 2, ...

    `weight_decay` is L2 regularisation: it is added to the gradient of every parameter (not the
    decoupled decay of AdamW).

    Parameters
    ----------
    parameters
        A layer, or (name, parameter, gradient) triples.
    lr
        The learning rate, at least 0.
    betas
        Shares of m and v that stay, each from 0 to below 1.
    eps
        Added to the denominator, at least 0.
    weight_decay
        At least 0.

    Raises
    ------
    OptionError
        If a hyper-parameter is out of its range or there are no parameters.
    DtypeError, ShapeError
        If a hyper-parameter is no number, or a parameter and its gradient do not fit.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import Adam
    >>> p, g = np.array([1.0, 2.0]), np.array([0.5, -100.0])
    >>> adam = Adam([("p", p, g)], lr=0.1)
    >>> adam.step()
    >>> p.round(6)
    array([0.9, 2.1])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise OptionError(f"Adam: betas={betas!r}; it must be two numbers")
        super().__init__(
            parameters,
            ("exp_avg", "exp_avg_sq"),
            lr=_check.real("Adam", "lr", lr),
            beta1=_check.real("Adam", "beta1", betas[0]),
            beta2=_check.real("Adam", "beta2", betas[1]),
            eps=_check.real("Adam", "eps", eps),
            weight_decay=_check.real("Adam", "weight_decay", weight_decay),
        )

    def _check(self, options: Mapping[str, float | bool]) -> None:
        _at_least_zero("Adam", options, "lr", "eps", "weight_decay")
        _below_one("Adam", options, "beta1", "beta2")

    def _rule(self) -> Callable[..., None]:
        lr, beta1, beta2, eps, decay = self._options.values()
        size = lr / (1 - beta1**self._steps)
        root = math.sqrt(1 - beta2**self._steps)

        def update(p: Array, g: Array, s: Array, t: Array, m: Array, v: Array) -> None:
            if decay:
                g = _add_scaled(g, p, decay, s)
            np.subtract(g, m, out=t)
            t *= 1 - beta1
            m += t
            np.multiply(g, g, out=t)
            t *= 1 - beta2
            v *= beta2
            v += t
            np.sqrt(v, out=t)
            t /= root
            t += eps
            np.divide(m, t, out=t)
            t *= size
            p -= t

        return update


def _add_scaled(a: Array, b: Array, scale: float, out: Array) -> Array:
    """Write ``a + scale * b`` to `out`."""
    np.multiply(b, scale, out=out)
    out += a
    return out


def _collected(what: str, parameters: Parameters) -> list[tuple[str, Array, Array]]:
    """The triples of `parameters`, once they are fit to be updated in place."""
    triples = list(parameters.parameters() if isinstance(parameters, Layer) else parameters)
    if not triples:
        raise OptionError(f"{what}: there are no parameters; it needs at least one")
    for name, param, grad in triples:
        _check_triple(what, name, param, grad)
    for kind, keys in (("name", [t[0] for t in triples]), ("array", [id(t[1]) for t in triples])):
        if len(set(keys)) < len(keys):
            raise OptionError(f"{what}: a parameter's {kind} is there twice; it must be unique")
    return triples


def _check_triple(what: str, name: str, param: Any, grad: Any) -> None:
    for role, a in (("parameter", param), ("gradient", grad)):
        if not isinstance(a, np.ndarray) or a.dtype not in (_check.F4, _check.F8):
            found = getattr(a, "dtype", type(a).__name__)
            raise DtypeError(f"{what}: {role} {name} is {found}; it must be float32 or float64")
        if not a.flags.carray:
            raise ShapeError(
                f"{what}: {role} {name} is strided or read-only; it must be writable and "
                "C-contiguous"
            )
    if param.shape != grad.shape or param.dtype != grad.dtype:
        raise ShapeError(
            f"{what}: {name} is {param.dtype} {param.shape} but its gradient {grad.dtype} "
            f"{grad.shape}; they must be the same"
        )


def _at_least_zero(what: str, options: Mapping[str, float | bool], *names: str) -> None:
    for name in names:
        if not 0 <= options[name] < math.inf:
            raise OptionError(f"{what}: {name}={options[name]}; it must be at least 0 and finite")


def _below_one(what: str, options: Mapping[str, float | bool], *names: str) -> None:
    for name in names:
        if not 0 <= options[name] < 1:
            raise OptionError(f"{what}: {name}={options[name]}; it must be from 0 to below 1")
