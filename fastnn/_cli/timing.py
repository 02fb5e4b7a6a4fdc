"""Timing of several ways to do one thing, fairly on a machine that others use too."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from time import sleep
from timeit import Timer

ROUNDS = 5
LEAST = 0.02  # seconds per round: well above the clock's steps and a thread's wake-up
PATIENCE = 1.0  # seconds per action over all rounds; what is slower gets fewer rounds
SETTLE = 0.01  # seconds before each round: another library's threads spin on after their last task


def interleaved(actions: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds per call of every action.

    Rounds go over all actions in turn, so that a slow spell of the machine falls on all of them.
    A first call of each, with compilation and page faults, is not counted.
    """
    timers = {name: Timer(action, setup=_settle) for name, action in actions.items()}
    plans = {name: _plan(timer) for name, timer in timers.items()}
    samples: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(ROUNDS):
        for name, timer in timers.items():
            repeats, rounds = plans[name]
            if turn < rounds:
                samples[name].append(timer.timeit(repeats) / repeats)
    return {name: statistics.median(times) for name, times in samples.items()}


def _settle() -> None:
    sleep(SETTLE)


def _plan(timer: Timer) -> tuple[int, int]:
    """Calls per round and number of rounds, from one call after a warm-up."""
    if timer.timeit(1) > PATIENCE:
        return 1, 1
    once = timer.timeit(1)
    return max(1, round(LEAST / once)), max(1, min(ROUNDS, int(PATIENCE / once)))
