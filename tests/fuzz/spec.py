"""Texts given as optimizers, schedules and losses: read, or refused in one line."""

from functools import partial

from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from tests.fuzz.harness import Target, mutations, refusal

CORPUS = ["averaged(clipped(adam(beta1=0.8, amsgrad=true), max_norm=2))", "adan(0.9, 0.8, 0.95, 1e-3)", "polyak(0.5)"]
CORPUS += ["multistep([30, 60], gamma=0.1)", "one_cycle(0.45, 10, 100)", "huber(delta=1.5)", "\ud800", "f('\\d')"]
CORPUS += ["f(1if 1else 2)", "halve(" + "-" * 199 + "1)"]
PIECES = ["adam", "sgd", "cosine", "quantile", "beta1", "gamma", "0x1for", "1is", "None", "9" * 50, "0x" + "f" * 60]
PIECES += [*"()[]{},=-+*.:'\"\\#\n @", "**", "==", "nan", "-1e-320", "[1, 2]", "lambda: "]
MAKE = (make_optimizer, make_loss, partial(learning_rates, lr=0.1, epochs=9))


def make_target(place):
    """Return the target."""
    corpus, pieces = ([text.encode("utf-8", "surrogatepass") for text in texts] for texts in (CORPUS, PIECES))
    return Target(mutations(corpus, pieces), examine, corpus)


def examine(data):
    """Read a text as each of them."""
    text = data.decode("utf-8", "surrogateescape")
    made = [refusal(partial(make, text), ValueError) for make in MAKE]
    return "refused" if all(one is None for one in made) else "accepted"
