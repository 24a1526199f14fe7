"""The mathematics of sgdbench: models, update rules and training loops."""

from kernels import models
from kernels.fit import fit
from kernels.fit_result import FitResult
from kernels.minimize import minimize
from kernels.model import Model
from kernels.register import register_loss, register_model, register_optimizer, register_schedule

__all__ = [
    "FitResult",
    "Model",
    "fit",
    "minimize",
    "models",
    "register_loss",
    "register_model",
    "register_optimizer",
    "register_schedule",
]
