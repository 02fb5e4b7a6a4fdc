"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers._summary import Summary as Summary
from fastnn.layers._summary import summary as summary
from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Concat as Concat
from fastnn.layers.combinators import Residual as Residual
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.combinators import TimeDistributed as TimeDistributed
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.recurrent import GRU as GRU
from fastnn.layers.recurrent import LSTM as LSTM
from fastnn.layers.recurrent import RNN as RNN
from fastnn.layers.shape import Flatten as Flatten
from fastnn.layers.shape import Reshape as Reshape
