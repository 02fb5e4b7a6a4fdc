"""The door to the compiled optimisers; arrays come checked, contiguous and of one dtype."""

from libc.math cimport INFINITY
from libc.stdlib cimport calloc, free

cimport numpy as cnp

from fastnn._ext._core cimport check, data, kernel_table, kernels, num_threads, optim_args, tensor

cnp.import_array()


cdef class Plan:
    """Addresses of parameters, gradients and state, found once; it keeps the arrays alive."""

    cdef tensor *tensors
    cdef optim_args args
    cdef const kernel_table *table
    cdef list rows

    def __cinit__(self, list rows):
        """`rows` has a list (param, grad, state, state, state) per parameter; None is absent."""
        cdef Py_ssize_t i, j, start = 0
        self.tensors = <tensor *>calloc(len(rows), sizeof(tensor))
        if self.tensors == NULL:
            raise MemoryError("fastnn: out of memory for an optimiser's plan")
        self.rows = rows
        self.table = kernels(rows[0][0])
        for i, row in enumerate(rows):
            self.tensors[i].param, self.tensors[i].grad = data(row[0]), data(row[1])
            for j in range(3):
                self.tensors[i].state[j] = data(row[2 + j])
            self.tensors[i].size, self.tensors[i].start = cnp.PyArray_SIZE(row[0]), start
            start += self.tensors[i].size
        self.args.tensors, self.args.count, self.args.size = self.tensors, len(rows), start

    def __dealloc__(self):
        free(self.tensors)

    def step(
        self, int kind, double rate, double keep, double decay, double first, double second,
        double root, double eps, bint nesterov, double scale, double limit,
    ):
        """Update every parameter and its state."""
        cdef optim_args args = self.args
        cdef int status
        args.kind, args.rate, args.keep, args.decay = kind, rate, keep, decay
        args.first, args.second, args.root, args.eps = first, second, root, eps
        args.nesterov, args.scale, args.limit = nesterov, scale, limit
        args.threads = num_threads()
        with nogil:
            status = self.table.optim_step(&args)
        check(status)

    def squares(self):
        """The sum of the squares of all gradients, in float64."""
        cdef optim_args args = self.args
        cdef double total = 0
        cdef int status
        args.total, args.threads = &total, num_threads()
        with nogil:
            status = self.table.optim_squares(&args)
        check(status)
        return total

    def clip(self, double scale, double limit=INFINITY):
        """Multiply every gradient by `scale`, then hold it within -limit .. limit."""
        cdef optim_args args = self.args
        cdef int status
        args.scale, args.limit, args.threads = scale, limit, num_threads()
        with nogil:
            status = self.table.optim_clip(&args)
        check(status)
