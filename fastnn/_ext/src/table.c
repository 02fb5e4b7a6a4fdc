/* The table of kernels of one instruction set and element type. */
#include "simd.h"

#define KERNEL(name, args) int FN(name)(const args *);
FASTNN_KERNELS(KERNEL)
#undef KERNEL

const fastnn_kernels FN(table) = {
#define KERNEL(name, args) .name = FN(name),
    FASTNN_KERNELS(KERNEL)
#undef KERNEL
};
