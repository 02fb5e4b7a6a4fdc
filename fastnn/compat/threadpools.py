"""fastnn's threads as threadpoolctl sees and limits them, next to those of BLAS and OpenMP.

Importing this module registers the controller; `import fastnn` does it where threadpoolctl was
imported before. From then on ``threadpoolctl.threadpool_info()`` lists the pool as ``fastnn``, and
``threadpoolctl.threadpool_limits(1)`` holds for it too, which is what scikit-learn and joblib use
to keep nested parallel code from taking more threads than there are CPUs.

    >>> import threadpoolctl, fastnn
    >>> import fastnn.compat.threadpools
    >>> with threadpoolctl.threadpool_limits(1, user_api="fastnn"):
    ...     fastnn.get_num_threads()
    1
"""

from __future__ import annotations

from fastnn import _config, _extras

threadpoolctl = _extras.need("fastnn.compat.threadpools", "threadpoolctl", "threadpoolctl", "all")


class Controller(threadpoolctl.LibController):  # type: ignore[misc, name-defined]
    """What threadpoolctl asks of a library that has threads of its own."""

    user_api = "fastnn"
    internal_api = "fastnn"
    filename_prefixes = ("_core",)
    check_symbols = ("fastnn_parallel_for",)  # other packages have a library _core as well

    def get_num_threads(self) -> int:
        """The number of threads that a call made here and now may use."""
        return _config.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """Set it for the whole process, as `fastnn.set_num_threads` does."""
        _config.set_num_threads(max(1, min(int(num_threads), _config.MAX_THREADS)))

    def get_version(self) -> str:
        """Fastnn's version."""
        from fastnn import __version__

        return __version__


if "fastnn" not in threadpoolctl._ALL_INTERNAL_APIS:
    threadpoolctl.register(Controller)
