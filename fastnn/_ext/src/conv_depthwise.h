/* Depthwise convolution plane by plane, see conv_depthwise_planes.c. */
#ifndef FASTNN_CONV_DEPTHWISE_H
#define FASTNN_CONV_DEPTHWISE_H

#include "conv_cells.h"

/* Whether it can, and is faster. */
int FN(depthwise_planes_suit)(const conv *v);
int FN(depthwise_planes_forward)(const conv *v);
int FN(depthwise_planes_image)(const conv *v); /* for K = C */

#endif
