"""The operations, a folder per family; one line each here."""

from fastnn.ops.activation import elu as elu
from fastnn.ops.activation import gelu as gelu
from fastnn.ops.activation import hardsigmoid as hardsigmoid
from fastnn.ops.activation import hardswish as hardswish
from fastnn.ops.activation import leaky_relu as leaky_relu
from fastnn.ops.activation import relu as relu
from fastnn.ops.activation import selu as selu
from fastnn.ops.activation import sigmoid as sigmoid
from fastnn.ops.activation import silu as silu
from fastnn.ops.activation import softplus as softplus
from fastnn.ops.activation import tanh as tanh
from fastnn.ops.conv import conv2d as conv2d
from fastnn.ops.dropout import dropout as dropout
from fastnn.ops.linear import linear as linear
from fastnn.ops.loss import softmax_cross_entropy as softmax_cross_entropy
from fastnn.ops.norm import batch_norm as batch_norm
from fastnn.ops.pool import max_pool2d as max_pool2d
from fastnn.ops.prelu import prelu as prelu
from fastnn.ops.softmax import log_softmax as log_softmax
from fastnn.ops.softmax import softmax as softmax
