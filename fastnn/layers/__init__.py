"""Layers: parameters, gradients and one context around the operations of `fastnn.ops`."""

from fastnn.layers.activation import ReLU as ReLU
from fastnn.layers.base import Layer as Layer
from fastnn.layers.combinators import Sequential as Sequential
from fastnn.layers.conv import Conv2d as Conv2d
from fastnn.layers.dropout import Dropout as Dropout
from fastnn.layers.embedding import Embedding as Embedding
from fastnn.layers.linear import Linear as Linear
from fastnn.layers.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from fastnn.layers.loss import CrossEntropyLoss as CrossEntropyLoss
from fastnn.layers.loss import HuberLoss as HuberLoss
from fastnn.layers.loss import KLDivLoss as KLDivLoss
from fastnn.layers.loss import L1Loss as L1Loss
from fastnn.layers.loss import Loss as Loss
from fastnn.layers.loss import MSELoss as MSELoss
from fastnn.layers.loss import MultiMarginLoss as MultiMarginLoss
from fastnn.layers.norm import BatchNorm1d as BatchNorm1d
from fastnn.layers.norm import BatchNorm2d as BatchNorm2d
from fastnn.layers.pool import MaxPool2d as MaxPool2d
from fastnn.layers.shape import Flatten as Flatten
