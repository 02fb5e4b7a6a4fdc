"""The operations, a folder per family; one line each here."""

from fastnn.ops.activation import relu as relu
from fastnn.ops.adaptive import adaptive_avg_pool2d as adaptive_avg_pool2d
from fastnn.ops.adaptive import adaptive_max_pool2d as adaptive_max_pool2d
from fastnn.ops.adaptive import global_avg_pool as global_avg_pool
from fastnn.ops.adaptive import global_max_pool as global_max_pool
from fastnn.ops.avgpool import avg_pool1d as avg_pool1d
from fastnn.ops.avgpool import avg_pool2d as avg_pool2d
from fastnn.ops.conv import conv2d as conv2d
from fastnn.ops.linear import linear as linear
from fastnn.ops.loss import softmax_cross_entropy as softmax_cross_entropy
from fastnn.ops.norm import batch_norm as batch_norm
from fastnn.ops.pool import max_pool1d as max_pool1d
from fastnn.ops.pool import max_pool2d as max_pool2d
from fastnn.ops.pool import max_pool2d_with_indices as max_pool2d_with_indices
from fastnn.ops.pool import max_unpool2d as max_unpool2d
from fastnn.ops.resample import interpolate as interpolate
from fastnn.ops.resample import pad as pad
