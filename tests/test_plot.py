"""Pictures: what is drawn where, with matplotlib's state untouched."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastnn
from fastnn import plot
from fastnn.errors import FileError, OptionError, ShapeError

matplotlib = pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)
HISTORY = {
    "epoch": [0, 1, 2],
    "loss": [3.0, 2.0, 1.0],
    "val_loss": [3.0, 2.5, 2.0],
    "accuracy": [0.1, 0.5, 0.9],
    "val_accuracy": [0.1, 0.4, 0.6],
    "lr": [0.1, 0.1, 0.05],
    "notes": ["a", "b", "c"],
    "seconds": [1.0],
}


def drawings():
    """Every function once, as (name, what it returns)."""
    x, y = fastnn.datasets.moons(40, rng=0)
    rows = RNG.uniform(size=(6, 16))
    layers = {"1": RNG.normal(size=(9, 9)), "2": np.zeros(5), "3": [np.nan, 1.0, 2.0]}
    yield "learning_curves", plot.learning_curves(HISTORY, best=2, log=["loss"], title="t")
    yield "compare", plot.compare({"a": [1, 2], "b": [2]}, ylabel="loss", log=True)
    yield "fits", plot.fits([2, 1, 3], [4, 1, 9], {"line": [2, 0, 4]})
    yield "tiles", plot.tiles(RNG.uniform(size=(5, 3, 4, 4)), captions="abcde")
    yield "filters", plot.filters(RNG.normal(size=(4, 2, 3, 3)))
    yield "reconstructions", plot.reconstructions(rows, rows, shape=(4, 4), count=3)
    yield "confusion_matrix", plot.confusion_matrix(np.eye(3, dtype=int), normalise=True)
    yield "violins", plot.violins(layers)
    yield "histograms", plot.histograms(layers)
    yield "decision_regions", plot.decision_regions(lambda p: p, x, y, resolution=9)


def test_pictures_leave_no_state(tmp_path):
    before = dict(matplotlib.rcParams)
    for name, drawn in drawings():
        plot.save(drawn, tmp_path / f"{name}.png", dpi=40)
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
    assert len(list(tmp_path.iterdir())) == 10
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_they_draw_where_they_are_told():
    _, (left, right) = plot.figure(ncols=2)
    assert plot.compare({"a": [1, 2]}, ylabel="loss", ax=left) is left
    assert plot.violins({"1": [1.0, 2.0]}, ax=right) is right
    assert left.figure is right.figure and len(left.figure.axes) == 2


def test_many_names_stand_beside_the_lines():
    for count, outside in ((5, False), (6, True)):
        axes = plot.compare({str(i): [1, i] for i in range(count)}, ylabel="loss")
        axes.figure.draw_without_rendering()
        left = axes.get_legend().get_window_extent().x0
        assert (left >= axes.get_window_extent().x1) == outside


def test_learning_curves():
    drawn = plot.learning_curves(HISTORY, labels={"loss": "nats"}, best=2, log=["loss"])
    loss, accuracy, rate = drawn.axes  # no epochs, no text, no single number
    assert [a.get_title() for a in drawn.axes] == ["loss", "accuracy", "lr"]
    assert loss.get_ylabel() == "nats" and loss.get_yscale() == "log"
    train, held, best = loss.get_lines()
    assert train.get_xdata().tolist() == [1, 2, 3] and train.get_ydata().tolist() == [3, 2, 1]
    assert held.get_ydata().tolist() == [3, 2.5, 2] and list(best.get_xdata()) == [2, 2]
    assert [t.get_text() for t in accuracy.get_legend().get_texts()] == [
        "training", "validation", "epoch 2",
    ]  # fmt: skip
    assert len(rate.get_lines()) == 2


def test_a_history_of_one_epoch_is_seen():
    (axis,) = plot.learning_curves({"loss": [1.0]}).axes
    assert axis.get_lines()[0].get_marker() == "o"


@pytest.mark.parametrize(("history", "log"), [({}, []), ({"a": "text"}, []), (HISTORY, ["x"])])
def test_learning_curves_need_numbers(history, log):
    with pytest.raises(OptionError, match=r"learning_curves: history has"):
        plot.learning_curves(history, log=log)


def test_fits_draw_lines_from_left_to_right():
    axis = plot.fits([2, 1, 3], [4, 1, 9], {"line": [20, 10, 30]})
    assert axis.get_lines()[1].get_xdata().tolist() == [1, 2, 3]
    assert axis.get_lines()[1].get_ydata().tolist() == [10, 20, 30]
    with pytest.raises(ShapeError, match="line has 2 values but x has 3"):
        plot.fits([2, 1, 3], [4, 1, 9], {"line": [2, 0]})


def canvas(axis):
    return np.asarray(axis.get_images()[0].get_array())


def test_tiles_put_images_in_rows():
    images = np.arange(1.0, 7.0)[:, None, None] * np.ones((6, 4, 4))
    drawn = canvas(plot.tiles(images, columns=3))
    assert drawn.shape == (9, 14)  # a pixel between images
    assert drawn[0, 0] == 1 and drawn[0, 5] == 2 and drawn[0, 10] == 3 and drawn[5, 0] == 4
    assert np.isnan(drawn[4]).all() and np.isnan(drawn[:, 4]).all()
    same = canvas(plot.tiles(images.reshape(6, 16), shape=(4, 4), columns=3))
    np.testing.assert_array_equal(same, drawn)


def test_tiles_of_colours():
    images = RNG.integers(0, 256, (2, 3, 5, 4)).astype(np.uint8)
    drawn = canvas(plot.tiles(images, columns=2))
    np.testing.assert_allclose(drawn[:5, :4, :3], images[0].transpose(1, 2, 0) / 255)
    assert (drawn[:5, :4, 3] == 1).all() and (drawn[:, 4, 3] == 0).all()
    wide = canvas(plot.tiles(np.stack([np.full((3, 2, 2), -1.0), np.full((3, 2, 2), 3.0)])))
    assert wide[..., :3].min() == 0 and wide[..., :3].max() == 1


def test_scales_of_tiles():
    images = np.array([[[-1.0, 2.0]], [[-4.0, 0.0]]])
    assert plot.tiles(images).get_images()[0].get_clim() == (-4, 2)
    assert plot.tiles(images, signed=True).get_images()[0].get_clim() == (-4, 4)
    each = canvas(plot.tiles(images, each=True, columns=1))
    assert each[0].tolist() == [0, 1] and each[-1].tolist() == [0, 1]
    flat = plot.tiles(np.zeros((2, 3, 3)), each=True, signed=True)
    assert np.nanmax(canvas(flat)) == 0


@pytest.mark.parametrize(
    ("shape", "given"),
    [((4, 4), None), ((3, 16), (3, 4)), ((2, 2, 4, 4), None), ((0, 4, 4), None), ((4,), (2, 2))],
)
def test_tiles_refuse_shapes(shape, given):
    with pytest.raises(ShapeError, match="tiles: images has shape"):
        plot.tiles(np.zeros(shape), shape=given)


def test_filters_by_their_channels():
    rgb = plot.filters(RNG.normal(size=(4, 3, 5, 5)))
    assert canvas(rgb).ndim == 3 and len(rgb.figure.axes) == 1
    grey = plot.filters(RNG.normal(size=(4, 1, 5, 5)))
    assert canvas(grey).ndim == 2 and grey.figure.axes[1].get_ylabel() == "weight"
    many = plot.filters(RNG.normal(size=(4, 2, 5, 5)))
    assert canvas(many).shape == (4 * 6 - 1, 2 * 6 - 1)
    units = plot.filters(RNG.normal(size=(6, 16)), shape=(4, 4), columns=6)
    assert canvas(units).shape == (4, 6 * 5 - 1)


def test_reconstructions_are_below_originals():
    first, second = np.full((3, 2, 2), 1.0), np.full((3, 2, 2), 0.0)
    drawn = canvas(plot.reconstructions(first, second, count=2))
    assert drawn.shape == (5, 5) and drawn[0, 0] == 1 and drawn[-1, 0] == 0
    with pytest.raises(ShapeError, match=r"\(3, 2, 2\) but outputs \(2, 2, 2\)"):
        plot.reconstructions(first, second[:2])


def test_reconstructions_of_several_models_have_a_row_each():
    first = np.full((3, 2, 2), 1.0)
    outputs = {"one": np.full((3, 2, 2), 0.5), "two": np.zeros((3, 2, 2))}
    axis = plot.reconstructions(first, outputs, count=2)
    drawn = canvas(axis)
    assert drawn.shape == (8, 5) and list(drawn[[0, 3, 6], 0]) == [1, 0.5, 0]
    heights = [text.get_position()[1] for text in axis.texts]
    assert [text.get_text() for text in axis.texts] == ["original", "one", "two"]
    assert heights == sorted(heights)
    with pytest.raises(ShapeError, match=r"outputs of two \(2, 2, 2\)"):
        plot.reconstructions(first, outputs | {"two": first[:2]})


def test_confusion_matrix():
    counts = np.array([[8, 2, 0], [1, 999, 0], [0, 0, 0]])
    axis = plot.confusion_matrix(counts, names=("a", "b", "long name"))
    assert {t.get_text() for t in axis.texts} == {"8", "2", "1", "999"}  # no zeros
    assert axis.get_title() == "99.7% of 1,010 right"
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a", "b", "long name"]
    part = plot.confusion_matrix(counts, normalise=True)
    assert {t.get_text() for t in part.texts} == {"80", "20", "<1", "100"}
    for wrong in (np.ones(3), np.ones((2, 3)), np.ones((0, 0))):
        with pytest.raises(ShapeError, match="it must be K K"):
            plot.confusion_matrix(wrong)
    with pytest.raises(ShapeError, match="2 names for 3 classes"):
        plot.confusion_matrix(counts, names=("a", "b"))


def test_violins_and_histograms_leave_out_what_is_not_finite():
    values = {"1": [np.nan, 1.0, 2.0, 3.0, np.inf]}
    lines = [line for line in plot.violins(values).get_lines() if len(line.get_xdata()) == 1]
    assert lines[0].get_ydata() == [2.0]
    (axis,) = plot.histograms(values, bins=2).axes
    assert "mean 2," in axis.get_title()
    for function in (plot.violins, plot.histograms):
        for empty in ({}, {"a": []}, {"a": [np.nan]}):
            with pytest.raises(OptionError, match="has no numbers for"):
                function(empty)


def test_every_takes_fewer():
    (axis,) = plot.histograms({"1": np.arange(10.0)}, every=5).axes
    assert "mean 2.5," in axis.get_title()  # of 0 and 5


def test_decision_regions_ask_once_in_the_datas_dtype():
    x = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    asked = []

    def predict(points):
        asked.append(points)
        return (points[:, 0] > 0.5).astype(int)

    axis = plot.decision_regions(predict, x, [0, 1], resolution=5, names=("left", "right"))
    assert len(asked) == 1 and asked[0].shape == (25, 2) and asked[0].dtype == np.float32
    image = canvas(axis)
    assert (image[:, 0] == image[0, 0]).all() and (image[0, 0] != image[0, -1]).any()
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["left", "right"]


def test_unsure_regions_are_pale():
    def predict(points):
        sure = np.clip(points[:, 0], 0, 1)[:, None]
        return np.concatenate([1 - sure, sure], axis=1)

    axis = plot.decision_regions(predict, [[0.0, 0.0], [1.0, 1.0]], [0, 1], resolution=3)
    alpha = canvas(axis)[0, :, 3]
    assert alpha[1] < 0.1 < 0.4 < min(alpha[0], alpha[2])


def test_decision_regions_check_shapes():
    x = np.zeros((3, 2))
    with pytest.raises(ShapeError, match=r"x has shape \(3, 2\) and y \(2,\)"):
        plot.decision_regions(lambda p: p, x, [0, 1])
    with pytest.raises(ShapeError, match="predict gave shape"):
        plot.decision_regions(lambda p: p[:3], x, [0, 1, 0])


def test_save(tmp_path):
    drawn, (left, right) = plot.figure(ncols=2)
    for what in (drawn, left, np.array([left, right]), [right]):
        plot.save(what, tmp_path / "a.svg")
        assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    with pytest.raises(OptionError, match=r"ends in '\.doc'"):
        plot.save(drawn, tmp_path / "a.doc")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FileError, match="must be a file or new"):
        plot.save(drawn, tmp_path / "folder.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "folder.png"]


def test_matplotlib_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionError, match=r"plot needs matplotlib; .*fastnn-layers\[plot\]"):
        plot.figure()
