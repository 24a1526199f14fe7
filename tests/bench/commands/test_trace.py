import numpy as np
import pytest

from sgdbench import fit, models
from sgdbench.commands.trace import Trace, gradient
from sgdbench.data.table import builtin

DATA = builtin("quadratic")
SETTINGS = {"init": [-1, 10, 26], "lr": 0.5, "schedule": "halve(10)", "kernel": "reference", "batch_size": 100}


def traced(every, capsys, remark="", **settings):
    """The result, and the lines below the header as text."""
    trace = Trace(models.quadratic, every, remark)
    result = fit(models.quadratic, DATA.x, DATA.y, callback=lambda so_far: trace(so_far, DATA), **SETTINGS | settings)
    trace.finish(result, DATA)
    header, *lines = capsys.readouterr().out.splitlines()
    return result, header, [line.split() for line in lines]


@pytest.mark.parametrize(
    ("every", "settings", "epochs"),
    [
        (5, {"epochs": 15}, [0, 5, 10, 15]),
        (10, {"epochs": 14}, [0, 10, 14]),
        (4, {"epochs": 100, "target": 1e-3}, [0, 4, 8, 10]),
        (10, {"epochs": 100, "lr": 1e6}, None),
    ],
)
def test_the_start_every_so_many_epochs_and_the_last_one(every, settings, epochs, capsys):
    result, header, lines = traced(every, capsys, **settings)
    expected = epochs or [*range(0, result.epochs, every), result.epochs]
    assert header.split() == ["epoch", "rate", "loss", "d/da", "d/db", "d/dc", "a", "b", "c"]
    assert [int(line[0]) for line in lines] == expected
    assert lines[0][1] == "-"
    for epoch, rate, loss, *rest in lines[1:]:
        assert float(rate) == pytest.approx(result.rates[int(epoch) - 1], rel=1e-4)
        np.testing.assert_allclose(
            [float(loss), *map(float, rest[3:])], [result.loss[int(epoch)], *result.trajectory[int(epoch)]], rtol=1e-4
        )


def test_lines_come_as_training_goes_on(capsys):
    trace = Trace(models.quadratic, 1)
    seen = []

    def watch(so_far):
        trace(so_far, DATA)
        seen.append((so_far.epochs, len(capsys.readouterr().out.splitlines())))

    fit(models.quadratic, DATA.x, DATA.y, callback=watch, epochs=40, **SETTINGS)
    assert len(seen) > 1
    assert sum(lines for _, lines in seen) == 42  # a header, the start, 40 epochs
    assert seen[0] == (seen[0][0], seen[0][0] + 2)


def test_the_gradient_is_that_of_the_loss_that_is_trained():
    params, x = np.array([1.0, -2.0, 0.5]), DATA.x.ravel()
    huber = fit(models.quadratic, x, DATA.y, epochs=1, kernel="reference", loss="huber(0.5)")
    slope = (models.quadratic.predict(params, x) - DATA.y).clip(-0.5, 0.5)
    expected = [np.mean(slope * derivative) for derivative in (x**2, x, np.ones_like(x))]
    np.testing.assert_allclose(gradient(huber, DATA, params), expected, rtol=1e-12)
