"""What is available, and what does not fit."""

import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sgdbench import fit, minimize, models
from sgdbench.kernels.base import memory
from sgdbench.kernels.base.memory import available_memory

X = np.linspace(-1, 1, 4)


@pytest.mark.parametrize(
    ("model", "inputs", "validation", "each"),
    [("a*x + b", 1, None, 96), ("w @ x", 8, None, 192), ("w @ x", 40, None, 64), ("w @ x", 40, 0.4, 80)],
    ids=[
        "parameters at each checkpoint",
        "of short vectors too",
        "of long ones at the end",
        "losses on held-out samples",
    ],
)
def test_epochs_that_do_not_fit_are_refused_with_the_figure(model, inputs, validation, each):
    if available_memory() is None:
        pytest.skip("the size of memory is unknown here")
    x = np.ones((3, inputs))
    with pytest.raises(
        ValueError, match=rf"epochs must be fewer than 1,000,000,000,000, .* {each},000.0 GB of memory, "
    ):
        fit(model, x, x[:, 0], lr=0.1, epochs=10**12, validation=validation)
    with pytest.raises(ValueError, match="epochs and record must ask for fewer checkpoints than 4,000,000,000,001"):
        fit(model, x, x[:, 0], epochs=10**12, record=1)


def test_steps_that_do_not_fit_are_called_steps():
    if available_memory() is None:
        pytest.skip("the size of memory is unknown here")
    with pytest.raises(ValueError, match=r"^steps must be fewer than 1,000,000,000,000, .* 80,000.0 GB of memory, "):
        minimize("(a - 1)**2", steps=10**12)


def test_the_memory_is_that_of_the_machine_or_less(monkeypatch):
    found = available_memory()
    if found is None:
        pytest.skip("the size of memory is unknown here")
    with open("/proc/meminfo") as file:
        assert found <= 1024 * int(re.search(r"MemTotal:\s*(\d+)", file.read())[1])
    files, read_text = {}, Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **how: files.get(str(path)) or read_text(path, **how))
    files["/sys/fs/cgroup/memory.max"] = "123456\n"
    assert available_memory() == 123456
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert available_memory() > 123456
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert available_memory() > 123456


@pytest.mark.parametrize("settings", [{"epochs": 50_000}, {"epochs": 5000, "record": 1}, {"validation": 0.5}], ids=str)
def test_a_run_takes_no_more_than_its_estimate(settings, monkeypatch):
    """So where a little less than it took is available, it is refused."""

    def run(**changed):
        return fit(models.quadratic, X, 2 * X, init=[0, 0, 0], **{"epochs": 30_000} | settings | changed)

    run(epochs=1)  # its kernel is compiled
    tracemalloc.start()
    run()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    monkeypatch.setattr(memory, "UNCHECKED_BYTES", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: taken - 2**16)  # what does not grow with the epochs
    with pytest.raises(ValueError, match="GB of memory, and"):
        run()
    monkeypatch.setattr(memory, "available_memory", lambda: 1.3 * taken)
    assert run().loss.size > 10_000
