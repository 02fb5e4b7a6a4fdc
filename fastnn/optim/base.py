"""What optimisers share: groups of parameters, state, the step count, clipping, save and load."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from fastnn import _signals
from fastnn.errors import OptionError
from fastnn.layers._state import fitted
from fastnn.optim import _plan
from fastnn.optim._rules import Rule, at_least_zero, limit
from fastnn.optim.clip import coefficient
from fastnn.optim.parameters import Parameters, Triple, grouped

Array = np.ndarray[Any, Any]
Options = Mapping[str, float | bool]


class Group:
    """Parameters of an optimiser that share hyper-parameters; ``group["lr"]`` reads and sets one.

    A group is made by its optimiser, see `Optimizer.groups`.
    """

    def __init__(
        self, kind: type[Optimizer], prefix: str, triples: list[Triple], options: Options
    ) -> None:
        self._kind = kind
        self._options = kind._checked(options)
        self._prefix = prefix
        self._triples = triples
        self._state: dict[str, list[Array]] = {
            slot: [np.zeros(param.shape, param.dtype) for _, param, _ in triples]
            for slot in kind._slots(self._options)
            if slot is not None
        }

    @property
    def options(self) -> Options:
        """The hyper-parameters by name, to read."""
        return MappingProxyType(self._options)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, as in the optimiser's state."""
        return tuple(self._prefix + name for name, _, _ in self._triples)

    def __getitem__(self, name: str) -> float | bool:
        return self._options[name]

    def __setitem__(self, name: str, value: float | bool) -> None:
        self._take(self._changed({name: value}))

    def _changed(self, options: Options) -> dict[str, float | bool]:
        """The options with others in their place, checked; nothing is changed yet."""
        new = self._kind._checked({**self._options, **options})
        if self._kind._slots(new) != self._kind._slots(self._options):
            raise OptionError(
                f"{self._kind.__name__}: {dict(options)} needs other state than the optimiser was "
                "made with; make a new one"
            )
        return new

    def _take(self, options: dict[str, float | bool]) -> None:
        self._options = options

    def _rows(self) -> list[_plan.Row]:
        slots = [self._state.get(slot or "") for slot in self._kind._slots(self._options)]
        slots += [None] * (3 - len(slots))
        return [
            [param, grad, *(None if slot is None else slot[i] for slot in slots)]
            for i, (_, param, grad) in enumerate(self._triples)
        ]

    def _arrays(self) -> Iterator[tuple[str, Array]]:
        for slot, arrays in self._state.items():
            for name, array in zip(self.names, arrays, strict=True):
                yield f"{slot}.{name}", array


class Optimizer(ABC):
    """What optimisers share: the parameters, their state arrays, one step count, save and load.

    A step updates all parameters in place, in one pass over memory, and allocates nothing that
    grows with the model. It runs compiled, or in NumPy where there is no compiled code and under
    ``fastnn.use(backend="naive")``; both agree but for rounding. A NaN or infinite gradient is used
    like any other and makes its parameters NaN; nothing is skipped or reported.

    Parameters may come in groups, each with hyper-parameters of its own::

        SGD([{"params": body}, {"params": head, "lr": 0.1}], lr=0.01)

    `clip_norm` scales all gradients together so that their norm, over all groups, is at most that
    number; `clip_value` holds every number of them within -clip_value to clip_value. Clipping is
    part of the step: the gradient arrays stay as they are. Weight decay comes after it.

    ``lr`` may be set between steps, by hand or by a schedule. `state_dict` holds the state arrays,
    the step count and all hyper-parameters: after `load_state_dict` the steps continue bitwise as
    if never interrupted.
    """

    _rules: ClassVar[Mapping[str, Rule]]

    def __init__(
        self,
        parameters: Parameters,
        options: Mapping[str, Any],
        *,
        clip_norm: float | None,
        clip_value: float | None,
    ) -> None:
        what = type(self).__name__
        if clip_norm is not None and clip_value is not None:
            raise OptionError(
                f"{what}: clip_norm={clip_norm} and clip_value={clip_value}; only one may be given"
            )
        self._clip = {
            name: limit(what, name, math.inf if value is None else value)
            for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value))
        }
        self._groups = tuple(
            Group(type(self), prefix, triples, {**options, **own})
            for prefix, triples, own in grouped(what, parameters)
        )
        self._steps = 0
        self._ready: tuple[bool, list[tuple[_plan.Plan, Group]]] | None = None

    # -- what an optimiser is --------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def _slots(cls, options: Options) -> tuple[str | None, ...]:
        """Names of the state arrays in the order of the rule's arguments; None for one less."""

    @abstractmethod
    def _numbers(self, options: Options) -> _plan.Numbers:
        """The hyper-parameters of this step."""

    @classmethod
    def _checked(cls, options: Mapping[str, Any]) -> dict[str, float | bool]:
        """The options as plain numbers, or an error that names the wrong one."""
        unknown = [name for name in options if name not in cls._rules]
        if unknown:
            raise OptionError(
                f"{cls.__name__}: unknown options {unknown}; there are {', '.join(cls._rules)}"
            )
        return {name: rule(cls.__name__, name, options[name]) for name, rule in cls._rules.items()}

    # -- use -------------------------------------------------------------------------------------

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of parameters, in the order given; at least one."""
        return self._groups

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets that of all groups."""
        return self._groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        rate = at_least_zero(type(self).__name__, "lr", value)
        for group in self._groups:
            group["lr"] = rate

    def step(self) -> None:
        """Update every parameter once, in place, from its gradient."""
        ready = self._plans()
        with _signals.held():  # a step is whole or was not begun
            scale, most = 1.0, self._clip["clip_value"]
            if self._clip["clip_norm"] < math.inf:
                norm = math.sqrt(sum(plan.squares() for plan, _ in ready))
                scale = coefficient(norm, self._clip["clip_norm"])
            self._steps += 1
            for plan, group in ready:
                plan.step(*self._numbers(group._options)[:-2], scale, most)

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for group in self._groups:
            for _, _, grad in group._triples:
                grad.fill(0)

    def _plans(self) -> list[tuple[_plan.Plan, Group]]:
        compiled = _plan.compiled()
        if self._ready is None or self._ready[0] != compiled:
            ready = [
                (plan, group)
                for group in self._groups
                for plan in _plan.plans(group._rows(), compiled=compiled)
            ]
            self._ready = compiled, ready
        return self._ready[1]

    def __getstate__(self) -> dict[str, Any]:
        """For copies, which have arrays of their own: plans hold addresses."""
        return self.__dict__ | {"_ready": None}

    # -- state -----------------------------------------------------------------------------------

    def _options(self) -> dict[str, float | bool]:
        grouped = {g._prefix + k: v for g in self._groups for k, v in g._options.items()}
        return grouped | self._clip

    def _arrays(self) -> dict[str, Array]:
        return {name: array for group in self._groups for name, array in group._arrays()}

    def state_dict(self) -> dict[str, Array]:
        """Copies of the state arrays, "step", and the hyper-parameters as 0-d arrays."""
        numbers = {name: np.array(value) for name, value in self._options().items()}
        arrays = {name: array.copy() for name, array in self._arrays().items()}
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
        options = [
            group._changed({name: new[group._prefix + name].item() for name in group._options})
            for group in self._groups
        ]
        clip = {name: limit(what, name, new[name].item()) for name in self._clip}
        if new["step"] < 0:
            raise OptionError(f"{what}: state has step={new['step']}; it must be at least 0")
        for group, own in zip(self._groups, options, strict=True):
            group._take(own)
        self._clip = clip
        self._steps = int(new["step"])
        for name, array in self._arrays().items():
            np.copyto(array, new[name])

    def __repr__(self) -> str:
        count = sum(len(group._triples) for group in self._groups)
        groups = f" in {len(self._groups)} groups" if len(self._groups) > 1 else ""
        options = ", ".join(f"{k}={v}" for k, v in self._groups[0]._options.items())
        clip = "".join(f", {k}={v}" for k, v in self._clip.items() if v < math.inf)
        return f"{type(self).__name__}({count} parameters{groups}, {options}{clip})"
