"""The mathematics of sgdbench: models, update rules and training loops."""

from kernels import models
from kernels.fit import FitResult, fit
from kernels.model import Model

__all__ = ["FitResult", "Model", "fit", "models"]
