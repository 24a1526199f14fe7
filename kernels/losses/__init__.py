"""The losses by name."""

from sgdbench.kernels.base.registry import Table
from sgdbench.kernels.base.spec import make_from_spec
from sgdbench.kernels.losses import prediction_losses, residual_losses, softmax_loss
from sgdbench.kernels.losses.loss import Loss

LOSSES: Table[Loss] = Table(
    "loss",
    {
        "squared": residual_losses.squared,
        "huber": residual_losses.huber,
        "logcosh": residual_losses.logcosh,
        "absolute": residual_losses.absolute_loss,
        "quantile": residual_losses.quantile,
        "cauchy": residual_losses.cauchy,
        "epsilon_insensitive": residual_losses.epsilon_insensitive,
        "logistic": prediction_losses.logistic,
        "hinge": prediction_losses.hinge,
        "softmax": softmax_loss.softmax,
        "poisson": prediction_losses.poisson,
        "objective": prediction_losses.objective,
    },
    names_elsewhere={
        "mse": "squared",
        "l2": "squared",
        "mae": "absolute",
        "l1": "absolute",
        "pinball": "quantile",
        "log_loss": "logistic",
        "bce": "logistic",
        "cross_entropy": "softmax",
    },
)


def __dir__() -> list[str]:
    """Return the names for consoles to complete."""
    return ["LOSSES", "Loss", "make_loss"]


def make_loss(loss: str | Loss) -> Loss:
    """Return the loss that a text such as ``"huber(1.5)"`` names; return a Loss unchanged.

    Raises
    ------
    ValueError
        If a name or an option is unknown, or a value is out of its range.
    """
    return loss if isinstance(loss, Loss) else make_from_spec(loss, LOSSES, "loss")
