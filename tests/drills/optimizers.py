"""Every optimizer in whole kernels: `fused` and `lanes` against the reference, on models drawn at random.

The suite compares each rule by itself and one kernel for each form that rules have. This compiles two kernels for each
optimizer, and takes minutes: `python -m tests.drills.optimizers --models 1`.
"""

import argparse

import numpy as np

from kernels import Model
from kernels.base.run import Hyperparameters
from kernels.data.samples import allocate_data
from kernels.losses import make_loss
from kernels.optimizers import OPTIMIZERS, make_optimizer
from kernels.optimizers.run_options import option_values
from kernels.train.block import train_runs

FLAGS = ["adam(amsgrad=true)", "adamw(amsgrad=true)", "rmsprop(centered=true)", "rmsprop(momentum=0.9)"]
FLAGS += [
    "nadam(decoupled_weight_decay=true)",
    "radam(weight_decay=0.1)",
    "momentum(dampening=0.5)",
    "adagrad(lr_decay=0.1)",
]
FLAGS += ["averaged(adam(weight_decay=0.1))", "lookahead(adamw)", "clipped(adam(weight_decay=0.1))", "averaged(polyak)"]
TERMS = ["a*x", "b", "a*b*x**2", "b/(2 + x)", "a*x/(2 + b**2)", "sqrt(1 + a**2)*x", "abs(b - x)"]
EPOCHS, RUNS = 4, 37


def draw_model(rng):
    """A model of two parameters, of which each stands in some term."""
    return Model(" + ".join(["a*x", "b", *rng.choice(TERMS, 2, replace=False)]))


def compare(model, optimizer, rng):
    """Return how many of the comparisons differ in a bit, and how many there were."""
    x = rng.uniform(-1, 1, 61)
    data = {shuffle: allocate_data((x,), np.cos(3 * x), shuffle=shuffle) for shuffle in (False, True)}
    loss, rule = make_loss("squared"), make_optimizer(optimizer)
    starts, rates = rng.standard_normal((RUNS, 2)), np.tile(np.geomspace(1e-3, 10, RUNS), (EPOCHS, 1))
    different = count = 0
    for size, shuffle in ((1, False), (1, True), (9, True), (61, False)):
        hyper = Hyperparameters(rates, option_values(loss, rule), size, False, shuffle, 5, 1e-3)
        memory = rule.initial_memory(starts)
        reference, *others = (
            train_runs(kernel, model, loss, rule, data[shuffle], hyper, starts, memory)
            for kernel in ("reference", "fused", "lanes")
        )
        for other in others:
            same = all(
                np.array_equal(getattr(other, name), getattr(reference, name), equal_nan=True)
                for name in ("params", "memory", "status", "marks")
            )
            different, count = different + (not same), count + 1
    return different, count


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=1, help="how many models for each optimizer")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng, total = np.random.default_rng(asked.seed), np.zeros(2, int)
    for optimizer in [*OPTIMIZERS, *FLAGS]:
        for _ in range(asked.models):
            model = draw_model(rng)
            found = compare(model, optimizer, rng)
            total += found
            if found[0]:
                print(f"{optimizer}: {found[0]} of {found[1]} differ for {model.expression}", flush=True)
    print(f"{total[0]} of {total[1]} comparisons differ")


if __name__ == "__main__":
    main()
