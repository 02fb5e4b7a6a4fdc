"""Optimisers: they write new numbers into the parameters that layers own, and know no layer.

A step is one pass over memory for all parameters of a group. `SGD`, `Adam`, `AdamW`, `RMSprop` and
`AdaGrad` follow PyTorch's formulas; schedules set their learning rates between steps.
"""

from fastnn.optim.adagrad import AdaGrad
from fastnn.optim.adam import Adam, AdamW
from fastnn.optim.base import Group, Optimizer
from fastnn.optim.clip import clip_grad_norm, clip_grad_value
from fastnn.optim.parameters import Parameters
from fastnn.optim.rmsprop import RMSprop
from fastnn.optim.schedules import CosineLR, ExponentialLR, PlateauLR, Schedule, StepLR, WarmupLR
from fastnn.optim.sgd import SGD

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CosineLR",
    "ExponentialLR",
    "Group",
    "Optimizer",
    "Parameters",
    "PlateauLR",
    "RMSprop",
    "Schedule",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm",
    "clip_grad_value",
]
