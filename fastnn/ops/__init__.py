"""The operations, a folder per family; one line each here."""

from fastnn.ops.conv import conv2d as conv2d
