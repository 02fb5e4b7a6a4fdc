"""A progress bar by tqdm, an optional package, where there is a terminal to draw it on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from fastnn.errors import OptionError


class Progress:
    """A bar that counts steps; without tqdm or a terminal it does nothing."""

    def __init__(self, wanted: bool | None, total: int | None, done: int) -> None:
        self._bar: Any = None
        if wanted is False:
            return
        if wanted is None and not sys.stderr.isatty():
            return
        if importlib.util.find_spec("tqdm") is None:
            if wanted:
                raise OptionError(
                    "Trainer.fit: progress=True, but tqdm is not installed; it must be, with: "
                    'pip install "fastnn-layers[progress]"'
                )
            return
        from tqdm import tqdm

        self._bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)

    def step(self) -> None:
        """One step was taken."""
        if self._bar is not None:
            self._bar.update()

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Show the figures of an epoch."""
        if self._bar is not None:
            shown = {k: f"{v:.4g}" for k, v in figures.items() if k not in ("lr", "seconds")}
            self._bar.set_postfix({"epoch": epoch + 1, **shown})

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
