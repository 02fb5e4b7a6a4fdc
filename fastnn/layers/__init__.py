"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.rownorm import GroupNorm as GroupNorm
from fastnn.layers.rownorm import InstanceNorm1d as InstanceNorm1d
from fastnn.layers.rownorm import InstanceNorm2d as InstanceNorm2d
from fastnn.layers.rownorm import LayerNorm as LayerNorm
from fastnn.layers.rownorm import RMSNorm as RMSNorm
from fastnn.layers.shape import Flatten as Flatten
