"""Registered rules get into another process as source, and are there what they were, or are refused."""

import copy
import linecache
import math
import pickle

import numpy as np
import pytest

from kernels import register, register_loss, register_optimizer
from kernels.losses import make_loss
from kernels.optimizer import Optimizer
from kernels.optimizers import make_optimizer
from kernels.registry import REGISTERED
from kernels.rule_source import pack_rules, register_rules

HALF = 0.5
TABLE = np.array([1.0, 2.0])
TABLE.setflags(write=False)


def scaled(gradient: "float", factor=2.0):
    return HALF * factor * gradient * TABLE[0]


def advanced(clock, options):
    return (clock[0] + 1.0,)


@pytest.fixture(autouse=True)
def _rules_are_forgotten(monkeypatch):
    """Nor are they compiled to be tried, which is tested elsewhere."""
    monkeypatch.setattr(register, "try_rule", lambda *_: True)
    before = {kind: dict(rules) for kind, rules in REGISTERED.items()}
    yield
    for kind, rules in before.items():
        REGISTERED[kind].clear()
        REGISTERED[kind].update(rules)


def register_all():
    """An update rule with a helper, a constant and an array; a clock; a closure; a builder; a loss."""

    @register_optimizer(slots=1, options={"beta": 0.9}, bounds={"beta": (0, 1)})
    def slow(theta: float, slots, gradient, lr, clock, options):
        """With a docstring."""
        velocity = options[0] * slots[0] + scaled(gradient)
        return theta - lr * velocity, (velocity,)

    @register_optimizer(clock=advanced, clock_start=(0.0,))
    def fading(theta, slots, gradient, lr, clock, options):
        return theta - lr / np.sqrt(clock[0]) * gradient, ()

    def make(scale):
        def shorter(theta, slots, gradient, lr, clock, options):
            return theta - lr * scale * gradient, ()

        return shorter

    register_optimizer(make(0.25))

    @register_optimizer
    def doubled(times=2.0):
        def rule(theta, slots, gradient, lr, clock, options):
            return theta - lr * options[0] * math.sqrt(1.0) * gradient, ()

        return Optimizer("doubled", rule, {"times": times})

    @register_loss(options={"scale": 1.0})
    def fair(residual, options):
        size = np.abs(residual) / options[0]
        return options[0] ** 2 * (size - np.log1p(size)), residual / (1.0 + size)


def sent(packed):
    """What arrives: nothing of it is the object that was sent."""
    return pickle.loads(pickle.dumps(packed))


def test_rules_are_the_same_where_they_arrive():
    register_all()
    made = [make_optimizer(text) for text in ("averaged(slow(0.8))", "fading", "shorter", "doubled(3)")]
    loss = make_loss("fair(2)")
    packed = [rule for one in made for rule in pack_rules(one, "optimizer")] + pack_rules(loss, "loss")
    assert [rule["name"] for rule in packed] == ["slow", "fading", "shorter", "doubled", "fair"]
    digests = {name: rule.digest for kind in ("optimizer", "loss") for name, rule in REGISTERED[kind].items()}
    for kind in ("optimizer", "loss"):
        REGISTERED[kind].clear()
    with pytest.raises(ValueError, match="optimizer 'fading' is not known"):
        make_optimizer("fading")
    register_rules(sent(packed))
    again = {name: rule.digest for kind in ("optimizer", "loss") for name, rule in REGISTERED[kind].items()}
    assert again == digests
    for one in made:
        other = make_optimizer(one.text)
        assert (other.text, other.slots, other.clock_start) == (one.text, one.slots, one.clock_start)
        theta, slots, clock = np.array([0.3, -2.0]), (np.array([0.1, 0.7]),) * one.slots, one.clock_start
        clock = one.clock(clock, ()) if one.clock else ()
        options = tuple(one.options.values())
        found, expected = (each.rule(theta, slots, np.array([1.5, 0.3]), 0.1, clock, options) for each in (other, one))
        np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(make_loss("fair(2)").value(theta, (2.0,)), loss.value(theta, (2.0,)))


def test_a_rule_that_is_there_already_stays():
    register_all()
    there = REGISTERED["optimizer"]["slow"]
    register_rules(sent(pack_rules(make_optimizer("slow"), "optimizer")))
    assert REGISTERED["optimizer"]["slow"] is there


def test_a_rule_that_was_edited_takes_the_place_of_the_old_one():
    def register_mine(step):
        @register_optimizer
        def mine(theta, slots, gradient, lr, clock, options):
            return theta - step * lr * gradient, ()

        return sent(pack_rules(make_optimizer("mine"), "optimizer"))

    old, new = register_mine(1.0), register_mine(0.5)
    for packed, step in ((old, 1.0), (new, 0.5), (old, 1.0)):
        register_rules(packed)
        theta, _ = make_optimizer("mine").rule(np.zeros(1), (), np.ones(1), 1.0, (), ())
        assert theta == -step


def test_source_with_another_hash_is_refused_before_it_is_run():
    register_all()
    (packed,) = sent(pack_rules(make_optimizer("slow"), "optimizer"))
    wrong = copy.deepcopy(packed)
    function = wrong["function"]["function"]
    function["text"] = function["text"].replace("lr * velocity", "lr / velocity")
    del REGISTERED["optimizer"]["slow"]
    files = len(linecache.cache)
    with pytest.raises(ValueError, match="source of the optimizer slow is not what was sent: its hash is another one"):
        register_rules([wrong])
    assert len(linecache.cache) == files
    assert "slow" not in REGISTERED["optimizer"]
    # Nor is one that is what was sent and computes something else.
    with pytest.raises(ValueError, match="optimizer slow is another one here than where it was registered"):
        register_rules([packed | {"digest": "0" * 64}])
    assert "slow" not in REGISTERED["optimizer"]
    register_rules([packed])


def test_what_cannot_be_sent_is_said_in_one_line():
    register_optimizer(lambda theta, slots, gradient, lr, clock, options: (theta - lr * gradient, ()), name="short")
    with pytest.raises(
        ValueError, match=r"optimizer short \(.*\) cannot be sent to a cluster: <lambda> is a lambda; w"
    ):
        pack_rules(make_optimizer("short"), "optimizer")

    @register_optimizer
    def counted(times=1.0):
        register_all_rules = pytest  # a module that a worker may not have
        assert register_all_rules

        def rule(theta, slots, gradient, lr, clock, options):
            return theta - lr * gradient, ()

        return Optimizer("counted", rule, {"times": times})

    with pytest.raises(ValueError, match=r"counted .* cannot be sent to a cluster: it uses <module 'pytest'"):
        pack_rules(make_optimizer("counted"), "optimizer")


def test_built_in_rules_need_not_be_sent():
    assert pack_rules(make_optimizer("averaged(adam)"), "optimizer") == pack_rules(make_loss("huber"), "loss") == []
