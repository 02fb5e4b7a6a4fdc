"""The compiled core: instruction set, threads, scratch. Other doors cimport it."""

cimport numpy as cnp

from fastnn import _config
from fastnn.errors import OptionError

cnp.import_array()


cdef extern from "src/fastnn.h" nogil:
    const char *fastnn_isa_name(int level) noexcept
    const kernel_table *fastnn_table(int level, int is_double) noexcept
    void fastnn_set_interrupt_check(int (*check)() noexcept nogil) noexcept
    void fastnn_threads_init() noexcept
    size_t fastnn_clear_scratch() noexcept

cdef extern from "Python.h":
    # With Cython's own declaration the exception would be reported here and lost.
    int PyErr_CheckSignals() noexcept

cdef extern from *:
    """
    #if defined(__VERSION__)
    #define FASTNN_COMPILER __VERSION__
    #else
    #define FASTNN_COMPILER "unknown"
    #endif
    """
    const char *FASTNN_COMPILER


cdef const kernel_table *table_f32 = NULL
cdef const kernel_table *table_f64 = NULL


cdef tuple _available():
    names = []
    while fastnn_isa_name(<int>len(names)) != NULL:
        names.append(fastnn_isa_name(<int>len(names)).decode())
    return tuple(names)


cdef str _choose(tuple names):
    """Set the tables to the highest instruction set, or to the one that FASTNN_ISA names."""
    global table_f32, table_f64
    wanted = _config.environment.isa or names[len(names) - 1]
    if wanted not in names:
        raise OptionError(
            f"environment: FASTNN_ISA={wanted}; this build on this CPU has {', '.join(names)}"
        )
    level = names.index(wanted)
    table_f32 = fastnn_table(level, 0)
    table_f64 = fastnn_table(level, 1)
    return wanted


available_isas = _available()
isa = _choose(available_isas)
compiler = FASTNN_COMPILER.decode()


cdef int _signal_raised() noexcept nogil:
    with gil:
        return PyErr_CheckSignals()


fastnn_threads_init()
fastnn_set_interrupt_check(_signal_raised)


def clear_scratch() -> int:
    """Free cached scratch memory; the number of bytes."""
    return fastnn_clear_scratch()


cdef const kernel_table *kernels(cnp.ndarray a) except NULL:
    """The kernels for the element type of `a`, which the front has checked to be float."""
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32:
        return table_f32
    return table_f64


cdef void *data(object a) except? NULL:
    """Address of an array's first element; NULL for None."""
    if a is None:
        return NULL
    return cnp.PyArray_DATA(<cnp.ndarray?>a)


cdef int num_threads() except -1:
    return _config.get_num_threads()


cdef idx workspace() except -1:
    return _config.get_workspace()


cdef int check(int status) except -1:
    """Turn a kernel's status into an exception; for an interruption it is set already."""
    if status == 0:
        return 0
    if status == -1:
        raise MemoryError("fastnn: out of memory for a kernel's scratch space")
    return -1


def multiply_add(cnp.ndarray source not None, cnp.ndarray target not None, idx rounds):
    """The loop of limits.c; the number of vectors is 12 * 16 * threads * rounds."""
    cdef limits_args args
    cdef int status
    cdef const kernel_table *table = kernels(target)
    args.source, args.target = data(source), data(target)
    args.size, args.threads = rounds, num_threads()
    with nogil:
        status = table.limits_multiply_add(&args)
    check(status)


def copy(cnp.ndarray source not None, cnp.ndarray target not None):
    """Copy contiguous arrays of one size and type by all threads."""
    cdef limits_args args
    cdef int status
    cdef const kernel_table *table = kernels(target)
    args.source, args.target = data(source), data(target)
    args.size, args.threads = cnp.PyArray_SIZE(target), num_threads()
    with nogil:
        status = table.limits_copy(&args)
    check(status)
