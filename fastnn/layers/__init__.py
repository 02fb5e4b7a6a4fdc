"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.conv import Conv1d as Conv1d
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.conv import ConvTranspose1d as ConvTranspose1d
from fastnn.layers.conv import ConvTranspose2d as ConvTranspose2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.shape import Flatten as Flatten
