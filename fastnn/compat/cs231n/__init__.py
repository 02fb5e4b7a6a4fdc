"""The layers of CS231n's assignments on fastnn: same names, signatures, caches and dictionaries.

The modules are called as the course's are, so that ``from cs231n.layers import *`` becomes ``from
fastnn.compat.cs231n.layers import *``; this one has all their names. What differs:

* Work is done in float32 if all arrays of a call are float32, else in float64.
* A max-pool gives the gradient to the first maximum of a window, never to several.
* The fast functions take any window and stride: rows that no whole window reaches are ignored.
* Shapes that do not fit raise `fastnn.ShapeError`, a ValueError, before anything is computed.
* Nothing reads or moves NumPy's global random state.

Examples
--------
>>> import numpy as np
>>> from fastnn.compat.cs231n import affine_relu_backward, affine_relu_forward
>>> x, w, b = np.ones((2, 3)), np.ones((3, 4)), np.zeros(4)
>>> out, cache = affine_relu_forward(x, w, b)
>>> out
array([[3., 3., 3., 3.],
       [3., 3., 3., 3.]])
>>> dx, dw, db = affine_relu_backward(np.ones((2, 4)), cache)
>>> db
array([2., 2., 2., 2.])
"""

from fastnn.compat.cs231n.fast_layers import *  # noqa: F403
from fastnn.compat.cs231n.gradient_check import *  # noqa: F403
from fastnn.compat.cs231n.layer_utils import *  # noqa: F403
from fastnn.compat.cs231n.layers import *  # noqa: F403
from fastnn.compat.cs231n.optim import *  # noqa: F403
from fastnn.compat.cs231n.rnn_layers import *  # noqa: F403
