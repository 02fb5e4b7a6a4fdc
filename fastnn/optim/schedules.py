"""Learning-rate schedules: after each ``step()`` the optimiser's groups have the next rates.

A rate is a function of the rate at the start and of the number of steps so far, not of the rate
before: a schedule that is saved and resumed gives the same bits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.errors import OptionError
from fastnn.layers._state import fitted
from fastnn.optim import _rules
from fastnn.optim.base import Optimizer

Array = np.ndarray[Any, Any]


class Schedule(ABC):
    """What schedules share: the optimiser, its groups' rates at the start, and the step count.

    A step is whatever ``step()`` is called after, a batch or an epoch. Each group's rate is its
    rate when the schedule was made times `factor`. `state_dict` holds the count and the first
    rates, and `load_state_dict` sets the optimiser's rates too.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise OptionError(
                f"{type(self).__name__}: optimizer is {type(optimizer).__name__}; it must be an "
                "optimiser"
            )
        self._optimizer = optimizer
        self._start = [float(group["lr"]) for group in optimizer.groups]
        self._steps = 0
        self._set()

    @abstractmethod
    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by after so many steps."""

    def step(self) -> None:
        """Go one step on and set the groups' rates."""
        self._steps += 1
        self._set()

    def _set(self) -> None:
        factor = self.factor(self._steps)
        for group, start in zip(self._optimizer.groups, self._start, strict=True):
            group["lr"] = start * factor

    def state_dict(self) -> dict[str, Array]:
        """The step count and the first rates, as arrays."""
        return {"step": np.array(self._steps, np.int64), "start": np.array(self._start)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` of a schedule of the same kind gave.

        Raises
        ------
        StateError, ShapeError, DtypeError
            If names, shapes or dtypes do not fit.
        OptionError
            If the count or a rate is out of range. After any error the schedule is as it was.
        """
        what = type(self).__name__
        new = fitted(what, self.state_dict(), state)
        if new["step"] < 0:
            raise OptionError(f"{what}: state has step={new['step']}; it must be at least 0")
        start = [_rules.at_least_zero(what, "start", rate) for rate in new["start"].tolist()]
        self._start, self._steps = start, int(new["step"])
        self._load(new)
        self._set()

    def _load(self, new: Mapping[str, Array]) -> None:  # noqa: B027  # most save nothing else
        """Take over what else a schedule saves, from checked arrays."""


class StepLR(Schedule):
    """The rate falls by a factor every so many steps.

    ::

        lr = start * gamma ** floor(t / step_size)

    Parameters
    ----------
    optimizer
        The optimiser whose groups' rates are set.
    step_size
        Steps between falls, at least 1.
    gamma
        The factor, above 0.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an option is out of its range or of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD, StepLR
    >>> sgd = SGD([("p", np.ones(1), np.ones(1))], lr=1.0)
    >>> schedule, rates = StepLR(sgd, 2), []
    >>> for epoch in range(5):
    ...     rates.append(round(sgd.lr, 4))
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self._step_size = _check.whole("StepLR", "step_size", step_size, 1)
        self._gamma = _rules.above_zero("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by after so many steps."""
        return float(self._gamma ** (steps // self._step_size))


class ExponentialLR(Schedule):
    """The rate falls by a factor every step.

    ::

        lr = start * gamma ** t

    Parameters
    ----------
    optimizer
        The optimiser whose groups' rates are set.
    gamma
        The factor, above 0.

    Raises
    ------
    OptionError, DtypeError
        If an option is out of its range or of the wrong kind.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD, ExponentialLR
    >>> sgd = SGD([("p", np.ones(1), np.ones(1))], lr=1.0)
    >>> ExponentialLR(sgd, 0.5).step()
    >>> sgd.lr
    0.5
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self._gamma = _rules.above_zero("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by after so many steps."""
        return float(self._gamma**steps)


class CosineLR(Schedule):
    """The rate falls along half a cosine, then stays.

    ::

        lr = start * (least + (1 - least) * (1 + cos(pi * min(t, steps) / steps)) / 2)

    Parameters
    ----------
    optimizer
        The optimiser whose groups' rates are set.
    steps
        Steps until the end, at least 1.
    least
        The share of the rate that is left at the end, from 0 to below 1.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an option is out of its range or of the wrong kind.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017),
    equation 5, without restarts.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD, CosineLR
    >>> sgd = SGD([("p", np.ones(1), np.ones(1))], lr=1.0)
    >>> schedule, rates = CosineLR(sgd, 4), []
    >>> for epoch in range(6):
    ...     rates.append(round(sgd.lr, 4))
    ...     schedule.step()
    >>> rates
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, steps: int, least: float = 0.0) -> None:
        self._length = _check.whole("CosineLR", "steps", steps, 1)
        self._least = _rules.below_one("CosineLR", "least", least)
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by after so many steps."""
        turn = math.pi * min(steps, self._length) / self._length
        return self._least + (1 - self._least) * (1 + math.cos(turn)) / 2


class WarmupLR(Schedule):
    """The rate rises in equal steps at first, then follows another schedule, or stays.

    ::

        lr = start * (first + (1 - first) * t / steps)      while t < steps
        lr = what `after` gives for t - steps               from then on

    Parameters
    ----------
    schedule
        An optimiser, or a schedule that has not begun; step the warm-up, not the schedule.
    steps
        Steps of the rise, at least 1.
    first
        The share of the rate to begin with, from 0 to below 1.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an option is out of its range or of the wrong kind, or the schedule has begun.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD, ExponentialLR, WarmupLR
    >>> sgd = SGD([("p", np.ones(1), np.ones(1))], lr=1.0)
    >>> schedule, rates = WarmupLR(ExponentialLR(sgd, 0.5), 2), []
    >>> for epoch in range(5):
    ...     rates.append(sgd.lr)
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """

    def __init__(self, schedule: Optimizer | Schedule, steps: int, first: float = 0.0) -> None:
        self._length = _check.whole("WarmupLR", "steps", steps, 1)
        self._first = _rules.below_one("WarmupLR", "first", first)
        self._after: Schedule | None = None
        optimizer: Any = schedule
        if isinstance(schedule, PlateauLR) or (isinstance(schedule, Schedule) and schedule._steps):
            raise OptionError(
                f"WarmupLR: {type(schedule).__name__} after {schedule._steps} steps; it must be an "
                "optimiser or a schedule of the count alone that has not begun"
            )
        if isinstance(schedule, Schedule):
            self._after, optimizer = schedule, schedule._optimizer
            for group, start in zip(optimizer.groups, schedule._start, strict=True):
                group["lr"] = start
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by after so many steps."""
        if steps < self._length:
            return self._first + (1 - self._first) * steps / self._length
        return 1.0 if self._after is None else self._after.factor(steps - self._length)


class PlateauLR(Schedule):
    """The rate falls by a factor when a number stops getting better.

    ``step(value)`` takes the number, a validation loss say. After more than `patience` steps in a
    row that were not better than the best so far by `threshold` of its size, the rate falls.

    Parameters
    ----------
    optimizer
        The optimiser whose groups' rates are set.
    factor
        What the rate is multiplied by, above 0 and below 1.
    patience
        Steps without progress that are borne, at least 0.
    threshold
        The share of the best value by which a better one must beat it, at least 0.
    mode
        ``"min"`` if less is better, else ``"max"``.
    cooldown
        Steps after a fall that do not count as bad ones, at least 0.
    least
        The share of the first rate below which it never falls, from 0 to below 1.

    Raises
    ------
    OptionError, ShapeError, DtypeError
        If an option is out of its range or of the wrong kind.

    Notes
    -----
    The rules are PyTorch's ReduceLROnPlateau with a relative threshold; a NaN is never better.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.optim import SGD, PlateauLR
    >>> sgd = SGD([("p", np.ones(1), np.ones(1))], lr=1.0)
    >>> schedule = PlateauLR(sgd, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     schedule.step(loss)
    >>> sgd.lr
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        mode: str = "min",
        cooldown: int = 0,
        least: float = 0.0,
    ) -> None:
        what = "PlateauLR"
        self._factor = _rules.below_one(what, "factor", _rules.above_zero(what, "factor", factor))
        self._patience = _check.whole(what, "patience", patience, 0)
        self._threshold = _rules.at_least_zero(what, "threshold", threshold)
        self._sign = 1 if _check.choice(what, "mode", mode, ("min", "max")) == "min" else -1
        self._cooldown = _check.whole(what, "cooldown", cooldown, 0)
        self._least = _rules.below_one(what, "least", least)
        self._best, self._bad, self._rest, self._falls = math.inf * self._sign, 0, 0, 0
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        """What the first rates are multiplied by now: it depends on the values, not on `steps`."""
        return max(self._factor**self._falls, self._least)

    def step(self, value: float | None = None) -> None:
        """Go one step on with the value that was reached, and set the groups' rates."""
        reached = _check.real("PlateauLR", "value", value)
        margin = self._threshold * abs(self._best) if math.isfinite(self._best) else 0.0
        if self._sign * (self._best - reached) > margin:
            self._best, self._bad = reached, 0
        else:
            self._bad += 1
        if self._rest > 0:
            self._rest, self._bad = self._rest - 1, 0
        if self._bad > self._patience:
            self._falls, self._bad, self._rest = self._falls + 1, 0, self._cooldown
        super().step()

    def state_dict(self) -> dict[str, Array]:
        """The counts, the best value and the first rates, as arrays."""
        counts = np.array([self._bad, self._rest, self._falls], np.int64)
        return super().state_dict() | {"best": np.array(self._best), "counts": counts}

    def _load(self, new: Mapping[str, Array]) -> None:
        self._best = float(new["best"])
        self._bad, self._rest, self._falls = (max(0, n) for n in new["counts"].tolist())
