"""Learning-rate schedules against rates worked by hand, PyTorch's, and themselves when resumed."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import io
from fastnn.errors import DtypeError, OptionError, ShapeError, StateError
from fastnn.optim import SGD, CosineLR, ExponentialLR, PlateauLR, StepLR, WarmupLR

LOSSES = [3.0, 2.0, 2.5, 2.0, 1.9999, 1.0, np.nan, 1.0, 1.5, 2.0, 0.5, 0.5, 0.5, 0.5, 0.5]


def optimiser(*rates):
    return SGD([{"params": [("p", np.ones(1), np.ones(1))], "lr": rate} for rate in rates], lr=9.0)


def rates_of(schedule, sgd, steps, values=None):
    """The first group's rate in each step."""
    found = []
    for i in range(steps):
        found.append(sgd.lr)
        schedule.step(*([values[i]] if values else []))
    return found


MAKE = {
    "step": lambda o: StepLR(o, 3, gamma=0.5),
    "exponential": lambda o: ExponentialLR(o, 0.9),
    "cosine": lambda o: CosineLR(o, 7, least=0.1),
    "warm-up": lambda o: WarmupLR(o, 4, first=0.2),
    "warm-up and cosine": lambda o: WarmupLR(CosineLR(o, 6), 3),
    "plateau": lambda o: PlateauLR(o, factor=0.5, patience=1, cooldown=1, least=0.1),
}
schedules = pytest.mark.parametrize("name", MAKE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("step", [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        ("exponential", [1, 0.9, 0.81, 0.729]),
        # least + (1 - least) * (1 + cos(pi t / 7)) / 2
        ("cosine", [1, 0.955436, 0.830570, 0.650134, 0.449866, 0.269430, 0.144564, 0.1, 0.1]),
        ("warm-up", [0.2, 0.4, 0.6, 0.8, 1, 1]),
        # 0, 1/3, 2/3, then (1 + cos(pi t / 6)) / 2
        ("warm-up and cosine", [0, 1 / 3, 2 / 3, 1, 0.933013, 0.75, 0.5, 0.25, 0.066987, 0, 0]),
        # 2.5 and 2.0 are bad: half. 1.9999 rests. 1.0 is better, NaN and 1.0 are bad: half again.
        # 1.5 rests, 2.0 is bad, 0.5 is better, two are bad: half again, one rests, two are bad: 0.1
        ("plateau", [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125]),
    ],
)
def test_rates_worked_by_hand(name, expected):
    sgd = optimiser(1.0)
    values = LOSSES if name == "plateau" else None
    np.testing.assert_allclose(
        rates_of(MAKE[name](sgd), sgd, len(expected), values), expected, rtol=1e-5, atol=1e-12
    )


@schedules
def test_every_group_keeps_its_share(name):
    sgd = optimiser(1.0, 0.01)
    schedule = MAKE[name](sgd)
    for value in LOSSES:
        one, other = (group["lr"] for group in sgd.groups)
        assert other == pytest.approx(one * 0.01)
        schedule.step(*([value] if name == "plateau" else []))


@schedules
def test_resuming_from_files_is_bitwise(name, tmp_path):
    whole = optimiser(0.3)
    values = LOSSES if name == "plateau" else None
    expected = rates_of(MAKE[name](whole), whole, len(LOSSES), values)
    sgd = optimiser(0.3)
    schedule = MAKE[name](sgd)
    rates_of(schedule, sgd, 6, values)
    io.save(tmp_path / "optimiser.npz", sgd.state_dict())
    io.save(tmp_path / "schedule.npz", schedule.state_dict())
    sgd = optimiser(0.3)
    schedule = MAKE[name](sgd)
    sgd.load_state_dict(io.load(tmp_path / "optimiser.npz"))
    schedule.load_state_dict(io.load(tmp_path / "schedule.npz"))
    rest = LOSSES[6:] if values else None
    assert rates_of(schedule, sgd, len(LOSSES) - 6, rest) == expected[6:]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("step", lambda t, o: t.StepLR(o, 3, gamma=0.5)),
        ("exponential", lambda t, o: t.ExponentialLR(o, 0.9)),
        ("cosine", lambda t, o: t.CosineAnnealingLR(o, 15, eta_min=0.0)),
        ("warm-up", lambda t, o: t.LinearLR(o, start_factor=0.2, total_iters=4)),
        ("plateau", lambda t, o: t.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1)),
    ],
)
def test_rates_are_pytorchs(name, theirs):
    torch = pytest.importorskip("torch")
    reference = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.7)
    schedule_there = theirs(torch.optim.lr_scheduler, reference)
    reference.step()
    sgd = optimiser(0.7)
    make = {"cosine": lambda o: CosineLR(o, 15)} | {
        "plateau": lambda o: PlateauLR(o, factor=0.5, patience=1, cooldown=1)
    }
    schedule = make.get(name, MAKE[name])(sgd)
    for value in LOSSES:
        np.testing.assert_allclose(sgd.lr, reference.param_groups[0]["lr"], rtol=1e-9, atol=1e-12)
        for each in (schedule, schedule_there):
            each.step(*([value] if name == "plateau" else []))


def test_a_larger_number_can_be_the_better_one():
    sgd = optimiser(1.0)
    schedule = PlateauLR(sgd, mode="max", factor=0.5, patience=0)
    for value, rate in [(0.1, 1), (0.2, 1), (0.2, 0.5), (0.3, 0.5), (-5, 0.25)]:
        schedule.step(value)
        assert sgd.lr == rate


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: StepLR(o, 0), ShapeError, "StepLR: step_size=0"),
        (lambda o: StepLR(o, 2.5), DtypeError, "step_size=2.5"),
        (lambda o: StepLR(o, 2, gamma=0), OptionError, "gamma=0.0; it must be above 0"),
        (lambda o: ExponentialLR(o, np.inf), OptionError, "gamma=inf"),
        (lambda o: CosineLR(o, 5, least=1), OptionError, "least=1.0"),
        (lambda o: WarmupLR(o, 0), ShapeError, "WarmupLR: steps=0"),
        (lambda o: WarmupLR(PlateauLR(o), 3), OptionError, "WarmupLR: PlateauLR after 0 steps"),
        (lambda o: PlateauLR(o, factor=1.0), OptionError, "factor=1.0"),
        (lambda o: PlateauLR(o, mode="least"), OptionError, "mode='least'"),
        (lambda o: PlateauLR(o).step(), DtypeError, "PlateauLR: value=None"),
        (lambda _: ExponentialLR("sgd", 0.5), OptionError, "optimizer is str"),
        (lambda o: StepLR(o, 2).load_state_dict({}), StateError, r"lacks \['step', 'start'\]"),
        (
            lambda o: StepLR(o, 2).load_state_dict(
                {"step": np.array(-1), "start": np.array([1.0])}
            ),
            OptionError,
            "step=-1",
        ),
    ],
)
def test_impossible_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make(optimiser(1.0))


def test_a_warm_up_of_a_schedule_that_has_begun_is_refused():
    schedule = ExponentialLR(optimiser(1.0), 0.5)
    schedule.step()
    with pytest.raises(OptionError, match="ExponentialLR after 1 steps"):
        WarmupLR(schedule, 3)
