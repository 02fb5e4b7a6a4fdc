"""The data's side of the example `activity`: who is in a window, and what a window may become."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn

FOLDER = Path(fastnn.__file__).resolve().parents[1] / "examples"
if not (FOLDER / "activity.py").is_file():
    pytest.skip("the examples are in the source checkout only", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
activity = importlib.import_module("activity")


def windows(rng):
    """Windows of 10 steps, 4 apart, of five recordings, in any order; and which each is of."""
    cut, which = [], []
    for number, steps in enumerate((10, 38, 90, 14, 26)):
        recording = rng.standard_normal((steps, 3)).astype(np.float32)
        starts = range(0, steps - 9, 4)
        cut += [recording[start : start + 10] for start in starts]
        which += [number] * len(starts)
    order = rng.permutation(len(cut))
    return np.array(cut)[order], np.array(which)[order]


def test_recordings_are_found_by_what_windows_share():
    rng = np.random.default_rng(0)
    x, which = windows(rng)
    x[:, 3] = 0  # one step that all share is no link
    found = activity.recordings(x)
    assert len(set(found)) == 5
    assert len(set(zip(found.tolist(), which.tolist(), strict=True))) == 5
    assert activity.people(x).tolist() == found.tolist()  # not the file whose people are known


def test_folds_hold_out_whole_people_once():
    who = np.random.default_rng(0).integers(1, 9, 200)
    parts = activity.folds(who, np.random.default_rng(1))
    assert np.sum(parts, axis=0).tolist() == [1] * 200
    assert sorted(len(set(who[part])) for part in parts) == [2, 2, 2, 2]
    assert all(not set(who[part]) & set(who[~part]) for part in parts)


def test_variations_turn_and_stretch():
    rng = np.random.default_rng(0)
    turns = activity._rotations(50, 25.0, rng)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.eye(3)[None].repeat(50, 0),
                               atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    angles = np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2)
    assert 0.1 < np.median(angles) < 0.6
    # What stands still still does, with the same strength in another direction.
    still = np.array([0.0, 0.0, 1.0], np.float32) * np.ones((6, 20, 1), np.float32)
    found = activity.varied(still, rng)
    assert np.ptp(found, axis=1).max() < 1e-6 and np.ptp(found, axis=0).max() > 0.1
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, rtol=1e-6)
    # The middle of a ramp stays, its slope changes.
    ramp = np.linspace(-1, 1, 21)[None, :, None] * np.ones((6, 1, 3))
    length = np.linalg.norm(activity.varied(ramp, rng), axis=2)
    np.testing.assert_allclose(length[:, 10], 0, atol=1e-12)
    slopes = length[:, 12] / length[:, 11]
    np.testing.assert_allclose(slopes, 2)
    assert np.ptp(length[:, 11]) > 0.01


def test_scaling_is_by_sensor():
    x = np.random.default_rng(0).normal([1, 2, 3], [4, 5, 6], (40, 50, 3)).astype(np.float32)
    y = activity.scaling(x)(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1)), 1, rtol=1e-5)
