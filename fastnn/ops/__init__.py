"""The operations, a folder per family; one line each here."""

from fastnn.ops.activation import relu as relu
from fastnn.ops.conv import conv1d as conv1d
from fastnn.ops.conv import conv2d as conv2d
from fastnn.ops.conv_transpose import conv_transpose1d as conv_transpose1d
from fastnn.ops.conv_transpose import conv_transpose2d as conv_transpose2d
from fastnn.ops.linear import linear as linear
from fastnn.ops.loss import softmax_cross_entropy as softmax_cross_entropy
from fastnn.ops.norm import batch_norm as batch_norm
from fastnn.ops.pool import max_pool2d as max_pool2d
from fastnn.ops.unfold import fold as fold
from fastnn.ops.unfold import unfold as unfold
