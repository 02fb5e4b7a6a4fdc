"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers.activation import ELU as ELU
from fastnn.layers.activation import GELU as GELU
from fastnn.layers.activation import SELU as SELU
from fastnn.layers.activation import Hardsigmoid as Hardsigmoid
from fastnn.layers.activation import Hardswish as Hardswish
from fastnn.layers.activation import LeakyReLU as LeakyReLU
from fastnn.layers.activation import LogSoftmax as LogSoftmax
from fastnn.layers.activation import PReLU as PReLU
from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.activation import Sigmoid as Sigmoid
from fastnn.layers.activation import SiLU as SiLU
from fastnn.layers.activation import Softmax as Softmax
from fastnn.layers.activation import Softplus as Softplus
from fastnn.layers.activation import Tanh as Tanh
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.shape import Flatten as Flatten
