"""The mathematics of sgdbench: models, update rules and training loops."""

from kernels import models
from kernels.fit import FitResult, fit
from kernels.model import Model
from kernels.register import register_loss, register_model, register_optimizer, register_schedule

__all__ = [
    "FitResult",
    "Model",
    "fit",
    "models",
    "register_loss",
    "register_model",
    "register_optimizer",
    "register_schedule",
]
