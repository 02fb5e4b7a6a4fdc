/* Depthwise convolution: what conv_depthwise.c and, plane by plane, conv_depthwise_planes.c share.
 */
#ifndef FASTNN_CONV_DEPTHWISE_H
#define FASTNN_CONV_DEPTHWISE_H

#include "conv_cells.h"

/* Outputs of a plane that are made at once. */
typedef struct {
    idx i, rows, j, cols;
} tile_place;

static inline idx taps(const conv *v) { return v->R * v->S; }
static inline idx per_channel(const conv *v) { return v->K / v->C; }

/* Whether it can, and is faster. */
int FN(depthwise_planes_suit)(const conv *v);
int FN(depthwise_planes_forward)(const conv *v);
int FN(depthwise_planes_image)(const conv *v); /* for K = C */

#endif
