from fastnn.ops import *
from fastnn.ops import conv2d
