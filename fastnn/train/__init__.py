"""Training: a loop with figures, penalties and callbacks, around layers, losses and optimisers.

::

    trainer = Trainer(model, CrossEntropyLoss(), Adam(model), metrics=[accuracy], rng=0)
    history = trainer.fit((x, y), (x_val, y_val), epochs=20, callbacks=[EarlyStopping(patience=3)])
"""

from fastnn.train._callbacks import Callback as Callback
from fastnn.train._callbacks import Checkpoint as Checkpoint
from fastnn.train._callbacks import CSVLog as CSVLog
from fastnn.train._callbacks import EarlyStopping as EarlyStopping
from fastnn.train._callbacks import JSONLog as JSONLog
from fastnn.train._callbacks import LearningRate as LearningRate
from fastnn.train._callbacks import StopOnNaN as StopOnNaN
from fastnn.train._history import History as History
from fastnn.train._minimize import MinimizeResult as MinimizeResult
from fastnn.train._minimize import minimize as minimize
from fastnn.train._penalties import L1 as L1
from fastnn.train._penalties import L2 as L2
from fastnn.train._penalties import ActivityPenalty as ActivityPenalty
from fastnn.train._penalties import KLSparsity as KLSparsity
from fastnn.train._run import Run as Run
from fastnn.train._trainer import Trainer as Trainer
