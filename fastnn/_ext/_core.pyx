"""The compiled core: instruction set, threads, scratch. Other doors cimport it."""

import os
import threading

cimport numpy as cnp
from cpython.exc cimport PyErr_SetString
from cpython.pycapsule cimport PyCapsule_New
from libc.string cimport memcpy, memset, strncpy

from fastnn import _config
from fastnn.errors import OptionError

cnp.import_array()


cdef extern from "src/fastnn.h" nogil:
    const char *fastnn_isa_name(int level) noexcept
    const kernel_table *fastnn_table(int level, int is_double) noexcept
    void fastnn_set_interrupt_check(int (*check)() noexcept nogil) noexcept
    void fastnn_threads_init() noexcept
    unsigned fastnn_forks() noexcept
    void *fastnn_block(size_t bytes) noexcept
    void fastnn_block_release(void *block) noexcept
    size_t fastnn_block_bytes(const void *block) noexcept
    void fastnn_keep_blocks(size_t bytes) noexcept
    size_t fastnn_clear_blocks() noexcept
    size_t fastnn_scratch_most() noexcept

cdef extern from "Python.h":
    # With Cython's own declaration the exception would be reported here and lost.
    int PyErr_CheckSignals() noexcept
    unsigned long PyThread_get_thread_ident() noexcept nogil

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


# Handlers run in Python's main thread, so that others need not take the GIL to ask.
cdef unsigned long _main_thread = threading.main_thread().ident


def _after_fork_in_child():
    global _main_thread
    _main_thread = PyThread_get_thread_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


cdef int _signal_raised() noexcept nogil:
    cdef unsigned before
    if PyThread_get_thread_ident() != _main_thread:
        return 0
    before = fastnn_forks()
    with gil:
        if PyErr_CheckSignals():
            return 1
        if fastnn_forks() != before:
            PyErr_SetString(
                RuntimeError,
                "fastnn: a signal handler forked the process during a call; the child cannot "
                "finish it, for it has no workers"
            )
            return 1
    return 0


fastnn_threads_init()
fastnn_set_interrupt_check(_signal_raised)
fastnn_keep_blocks(_config.environment.cache)


def clear_blocks() -> int:
    """Free cached memory; the number of bytes."""
    return fastnn_clear_blocks()


def scratch_most() -> int:
    """The most bytes of scratch that were in use at a time since the last call of this."""
    return fastnn_scratch_most()


# -- arrays ----------------------------------------------------------------------------------------

cdef extern from "numpy/ndarraytypes.h" nogil:
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept
        void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
        void *(*realloc)(void *ctx, void *block, size_t size) noexcept
        void (*free)(void *ctx, void *block, size_t size) noexcept

    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator

cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(object handler)


cdef void *array_malloc(void *ctx, size_t size) noexcept nogil:
    return fastnn_block(size)


cdef void *array_calloc(void *ctx, size_t count, size_t size) noexcept nogil:
    if size and count > (<size_t>-1) // size:
        return NULL
    cdef void *block = fastnn_block(count * size)
    if block != NULL:
        memset(block, 0, count * size)
    return block


cdef void *array_realloc(void *ctx, void *old, size_t size) noexcept nogil:
    cdef void *block = fastnn_block(size)
    if block == NULL or old == NULL:
        return block
    memcpy(block, old, min(size, fastnn_block_bytes(old)))
    fastnn_block_release(old)
    return block


cdef void array_free(void *ctx, void *block, size_t size) noexcept nogil:
    fastnn_block_release(block)


cdef PyDataMem_Handler _handler
memset(&_handler, 0, sizeof(_handler))
strncpy(_handler.name, b"fastnn", 126)
_handler.version = 1
_handler.allocator.malloc = array_malloc
_handler.allocator.calloc = array_calloc
_handler.allocator.realloc = array_realloc
_handler.allocator.free = array_free
cdef object _handler_capsule = PyCapsule_New(&_handler, b"mem_handler", NULL)

# Smaller arrays cost less than to change NumPy's allocator, 0.3 us, and no fresh pages.
cdef enum:
    RECYCLED = 1 << 15


cdef cnp.ndarray new_array(int axes, cnp.npy_intp *sizes, int typenum):
    """An uninitialised array; the memory of large ones comes from and returns to the cache."""
    cdef size_t bytes = 8
    cdef int i
    for i in range(axes):
        bytes *= <size_t>sizes[i]
    if bytes < RECYCLED:
        return cnp.PyArray_EMPTY(axes, sizes, typenum, 0)
    before = PyDataMem_SetHandler(_handler_capsule)
    try:
        return cnp.PyArray_EMPTY(axes, sizes, typenum, 0)
    finally:
        PyDataMem_SetHandler(before)


cdef dict _typenums = {
    name: cnp.dtype(name).num for name in ("float32", "float64", "uint8", "int32", "int64")
}


def empty(shape, str dtype not None):
    """An uninitialised array; as `numpy.empty`, but for its memory."""
    cdef cnp.npy_intp sizes[64]
    cdef Py_ssize_t i
    cdef tuple given = shape if type(shape) is tuple else (shape,)
    if len(given) > 64:
        raise ValueError(f"an array of {len(given)} axes; NumPy has at most 64")
    for i in range(len(given)):
        sizes[i] = given[i]
    cdef object number = _typenums.get(dtype)
    if number is None:  # naive code may be asked for complex numbers
        number = cnp.dtype(dtype).num
    return new_array(<int>len(given), sizes, number)


cdef object _f4 = cnp.dtype("float32"), _f8 = cnp.dtype("float64")


cdef bint is_plain(object a, object dtype):
    return (type(a) is cnp.ndarray and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a)
            and (<cnp.ndarray>a).descr is dtype)


def plain_floats(x, w, b):
    """Whether a front has nothing to check or convert: native, aligned, C-contiguous arrays of one
    float dtype; b may be None."""
    cdef object dtype = _f4 if type(x) is cnp.ndarray and (<cnp.ndarray>x).descr is _f4 else _f8
    return is_plain(x, dtype) and is_plain(w, dtype) and (b is None or is_plain(b, dtype))


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
    """The loop of limits.c, a task for every 16 of `target`; vectors: 12 * tasks * rounds."""
    cdef limits_args args
    cdef int status
    cdef const kernel_table *table = kernels(target)
    args.source, args.target = data(source), data(target)
    args.size, args.tasks = rounds, cnp.PyArray_SIZE(target) // 16
    args.threads = num_threads()
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
