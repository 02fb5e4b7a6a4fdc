"""Ctrl-C between steps instead of inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Yield a list that the first Ctrl-C puts an entry into; the second interrupts as ever.

    So a step is never cut in half. It is left alone where Python would not raise
    KeyboardInterrupt: in other threads, and where the program has a handler of its own.
    """
    asked: list[bool] = []

    def handler(number: int, frame: Any) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(True)

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
