"""Pictures of training: curves, filters, confusion, distributions and decision regions.

Each function draws on the axes that it is given, or on a new figure, and returns what it drew on;
`save` writes a picture to a file. Nothing is shown and no global state of matplotlib, which is
imported when the first picture is drawn, is touched: no ``pyplot``, no current figure.
"""

from fastnn.plot._curves import compare, fits, learning_curves
from fastnn.plot._figure import BLUE, GREY, ORANGE, figure, save, styled
from fastnn.plot._images import confusion_matrix, filters, reconstructions, tiles
from fastnn.plot._regions import decision_regions
from fastnn.plot._statistics import histograms, violins

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "compare",
    "confusion_matrix",
    "decision_regions",
    "figure",
    "filters",
    "fits",
    "histograms",
    "learning_curves",
    "reconstructions",
    "save",
    "styled",
    "tiles",
    "violins",
]
