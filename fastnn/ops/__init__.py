"""The operations, a folder per family; one line each here."""

from fastnn.ops.activation import relu as relu
from fastnn.ops.conv import conv2d as conv2d
from fastnn.ops.embedding import embedding as embedding
from fastnn.ops.linear import linear as linear
from fastnn.ops.loss import multi_margin_loss as multi_margin_loss
from fastnn.ops.loss import soft_cross_entropy as soft_cross_entropy
from fastnn.ops.loss import softmax_cross_entropy as softmax_cross_entropy
from fastnn.ops.norm import batch_norm as batch_norm
from fastnn.ops.pointwise_loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from fastnn.ops.pointwise_loss import huber_loss as huber_loss
from fastnn.ops.pointwise_loss import kl_div as kl_div
from fastnn.ops.pointwise_loss import l1_loss as l1_loss
from fastnn.ops.pointwise_loss import mse_loss as mse_loss
from fastnn.ops.pool import max_pool2d as max_pool2d
from fastnn.ops.sparsity import kl_sparsity as kl_sparsity
