"""The operations, a folder per family; one line each here."""

from fastnn.ops.activation import relu as relu
from fastnn.ops.conv import conv2d as conv2d
from fastnn.ops.linear import linear as linear
from fastnn.ops.loss import softmax_cross_entropy as softmax_cross_entropy
from fastnn.ops.norm import batch_norm as batch_norm
from fastnn.ops.pool import max_pool2d as max_pool2d
from fastnn.ops.recurrent import gru as gru
from fastnn.ops.recurrent import gru_step as gru_step
from fastnn.ops.recurrent import lstm as lstm
from fastnn.ops.recurrent import lstm_step as lstm_step
from fastnn.ops.recurrent import rnn as rnn
from fastnn.ops.recurrent import rnn_step as rnn_step
