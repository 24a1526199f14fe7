"""The mathematics of sgdbench: models, update rules and training loops."""

from kernels.extend.register import register_loss, register_model, register_optimizer, register_schedule
from kernels.model import models
from kernels.model.model import Model
from kernels.train.fit import fit
from kernels.train.fit_result import FitResult
from kernels.train.minimize import minimize

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
