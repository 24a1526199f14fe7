"""The loops of models with vectors, bound to a kernel."""

import sys
from typing import Any

import numpy as np

from kernels.compile.binding import Binder
from kernels.compile.unrolled import Ingredients, define
from kernels.compile.unrolled_network import takes_four_samples, takes_losses_by_eight, unroll_network
from kernels.loops import loops, network
from kernels.optimizers.optimizer import add_weight_decay
from kernels.simd import lanes, tuples
from kernels.simd.compiled_functions import COMPILED

FIRST_CACHE = 40 * 1024
"""The bytes of weights that the first cache of a core holds beside the samples."""
NEVER = sys.maxsize
# Within these all is inlined.
CALLED_OF_NETWORK = {
    network.shuffle_places.__name__,
    network.each_sample.__name__,
    network.each_batch.__name__,
    network.mean_of_losses.__name__,
    "take_dots",
    "take_dots_of_loss",
    "gradient_of_samples",
}


def common_names(made_of: Ingredients) -> dict[str, Any]:
    """Return the meanings of names that all loops declare."""
    return {
        "loss_derivative": made_of.loss_derivative,
        "loss_value": made_of.loss_value,
        "point_of_gradient": made_of.gradient_at,
        "rule": made_of.rule,
        "step_clock": made_of.clock,
        "per_sample_step": made_of.per_sample,
        "add_weight_decay": add_weight_decay,
        "as_number": lanes.as_float32 if made_of.dtype == "float32" else lanes.as_float64,
        "WIDTH": made_of.width,
        "GATHERS": made_of.gathers,
    }


def bind_network(made_of: Ingredients) -> Binder:
    """Return a binder of `loops.train` or `loops.train_blocks` for a model with vectors."""
    written = define(unroll_network(made_of))
    binder = Binder(common_names(made_of) | written | {"softmax": network.softmax, "maximum": COMPILED["maximum"]})
    given, leaf = binder.given, network.leaf_of_one if made_of.width == 1 else network.leaf_of_lanes
    given |= {"take": network.take_places, "SUMS": int(made_of.needs_loss)}
    # Where the norm of the gradient is needed, a sample is trained like a batch of one.
    leg = network.by_batch_size if made_of.batches else network.each_sample
    given["leg"] = network.each_batch if made_of.needs_norm else leg
    given |= {
        "TURNS": NEVER,
        "sum_of_terms": network.sum_in_order if made_of.fma and made_of.width > 1 else network.sum_by_eight,
        "no_sum": written["nothing"],
        "sum_at": written["get"],
        "keep_sum": written["put"],
        "join": written["plus"],
    }

    def dot(name: str, source: str, **own: Any) -> Any:
        own |= {"touch": written[name], "touch_eight": written.get(f"{name}_eight"), "input_at": written[source]}
        return binder.bind(network.dot, leaf=leaf, **own)

    # Of the weights of fewer inputs a pass finds all in the first cache.
    bytes_of_weight = made_of.width * np.dtype(made_of.dtype).itemsize * (1 + made_of.slots)
    turns = FIRST_CACHE // bytes_of_weight if made_of.width > 1 else NEVER

    add_four = {"no_sum": written["four_nothings"], "join": tuples.add}

    def four(name: str) -> Any:
        sums = {"sum_at": written["get_four"], "keep_sum": written["put_four"]} | add_four
        sums |= {"terms": written["four_terms"], "add_up": tuples.sum_lanes, "product": network.product_of_four}
        sums |= {"touch": written[name], "touch_eight": written.get(f"{name}_eight")}
        leaf = network.leaf_of_samples_of_one if made_of.width == 1 else network.leaf_of_four
        return binder.bind(network.dot, leaf=leaf, **sums)

    def sums(product: str, **sums: Any) -> Any:
        return binder.bind(given["sum_of_terms"], product=written[product], **sums)

    # Most gradients are taken where the loss is: functions that are the same are compiled once.
    read = "weight_of_gradient" if made_of.gradient_at else "weight_of_loss"
    given |= {
        "dot_of_gradient": dot(read, "number_at"),
        "dot_of_loss": dot("weight_of_loss", "number_at"),
        "learn": dot("move_weight", "number_at", TURNS=turns),
        "hidden_of_gradient": dot(read, "get"),
        "hidden_of_loss": dot("weight_of_loss", "get"),
        "take_dots": written["take_dots" if made_of.gradient_at else "take_dots_of_loss"],
        "weight_of_gradient": written[read],
        "sum_numbers": sums("number_at_step"),
    }
    if takes_four_samples(made_of):
        given |= {"four_of_gradient": four(read), "four_of_loss": four("weight_of_loss")}
    if made_of.batches:
        several = sums("term_times_four", **add_four)
        if made_of.width == 1:
            several = sums("term_times_eight", no_sum=written["eight_nothings"])
        given |= {"sum_with_input": sums("term_times_input"), "sum_with_inputs": several}
        given["sum_with_hidden"] = sums("term_times_hidden")
    leaf_of_losses = network.leaf_of_losses
    if takes_losses_by_eight(made_of):
        names = {"no_sum": "eight_nothings", "sum_at": "get_eight", "keep_sum": "put_eight", "touch": "weight_of_loss"}
        names |= {
            "touch_eight": "weight_of_loss_eight",
            "eight_terms": "eight_terms_of_eight",
            "terms": "terms_of_eight",
        }
        own = {name: written[meaning] for name, meaning in names.items()} | {"add_up": tuples.sum_each}
        given["eight_of_loss"] = binder.bind(network.dot, leaf=network.leaf_of_samples_of_one, **own)
        leaf_of_losses = network.leaf_of_losses_by_eight
    given["add_losses"] = binder.bind(network.sum_of_losses, leaf=leaf_of_losses)
    entry = loops.train if made_of.width == 1 else loops.train_blocks
    binder.bind(entry, recorded_loss=network.mean_of_losses, train_next=network.train_rows)
    return binder
