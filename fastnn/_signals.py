"""Ctrl-C that waits for what must not be left half done."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What `signal` itself stands on, where there is such a module: it makes no enum members of handlers
# and signals, which takes 1.5 us at each call.
_raw: Any = sys.modules.get("_signal", signal)


@contextmanager
def held() -> Iterator[None]:
    """Keep SIGINT until the block ends; then its handler runs, which raises KeyboardInterrupt.

    For blocks of well under 200 ms. Nothing happens outside of Python's main thread, where no
    handler runs, and where the handler is not Python's to replace.
    """
    before = _raw.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, Any]] = []
    _raw.signal(signal.SIGINT, lambda *signal_and_frame: came.append(signal_and_frame))
    try:
        yield
    finally:
        _raw.signal(signal.SIGINT, before)
        if came:
            before(*came[0])
