"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from fastnn.layers.pool import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from fastnn.layers.pool import AvgPool1d as AvgPool1d
from fastnn.layers.pool import AvgPool2d as AvgPool2d
from fastnn.layers.pool import GlobalAvgPool as GlobalAvgPool
from fastnn.layers.pool import GlobalMaxPool as GlobalMaxPool
from fastnn.layers.pool import MaxPool1d as MaxPool1d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.pool import MaxUnpool2d as MaxUnpool2d
from fastnn.layers.resample import ReflectionPad2d as ReflectionPad2d
from fastnn.layers.resample import ReplicationPad2d as ReplicationPad2d
from fastnn.layers.resample import Upsample as Upsample
from fastnn.layers.resample import ZeroPad2d as ZeroPad2d
from fastnn.layers.shape import Flatten as Flatten
