"""The jobs of a user who has installed the wheel, from an empty folder, and sees no clone."""

import shutil
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

import sgdbench
from tests.installed.neighbours import FROM_WHEEL, run, script

HERE = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not FROM_WHEEL,
    reason="sgdbench is imported from its clone, where other tests do the same: `make wheel` runs this",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


@pytest.fixture
def call(folder):
    return partial(run, folder, script("sgdbench"))


@pytest.fixture
def python(folder):
    """Run code from a file, which processes that it spawns can import."""

    def run_code(name, code):
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
        return run(folder, sys.executable, "-W", "error", f"{name}.py")

    return run_code


def test_the_package_is_the_installed_one(folder):
    code = "import sys, sgdbench, sgdbench.kernels as k; print(sgdbench.__file__, k.__file__); import bench"
    with pytest.raises(AssertionError, match="No module named 'bench'"):
        run(folder, sys.executable, "-c", code)
    for module in ("sgdbench", "sgdbench.kernels", "sgdbench.estimators.regressor", "sgdbench.timing.peers"):
        assert "site-packages" in find_spec(module).origin
    assert (Path(sgdbench.__file__).parent / "py.typed").exists()


def test_the_main_job_writes_a_page_and_report_writes_it_again(call, folder):
    words = ["run", "--epochs", "20", "--optimizer", "sgd,adam", "--out", "small"]
    assert "Report" in call(*words)
    page = folder / "small" / "report.html"
    first = page.read_text("utf-8")
    page.unlink()
    call("report", "small")
    assert len(page.read_text("utf-8")) == len(first)


def test_the_page_opens(folder):
    """Its scripts draw charts."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("no browser: install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    options += ["--virtual-time-budget=20000", f"--user-data-dir={folder / 'profile'}"]
    opened = run(folder, browser, *options, "--dump-dom", (folder / "small" / "report.html").as_uri())
    assert opened.count('<svg class="main-svg"') > 3
    run(folder, browser, *options, f"--screenshot={folder / 'page.png'}", (folder / "small" / "report.html").as_uri())
    assert (folder / "page.png").stat().st_size > 20_000


def test_everything_that_is_read_from_a_file_of_the_package_is_there(call, folder):
    assert "optimizers" in call("studies")
    for kind in ("optimizers", "losses", "schedules", "models", "functions", "peers"):
        assert call("list", kind)
    for name in ("cars", "digits"):
        call("new", "--example", f"{name}.csv")
    call("new", "cars.csv", "--y", "mpg", "--x", "hp", "--out", "mine.toml")
    assert "a*hp + b" in call("fit", "cars.csv", "--y", "mpg", "--x", "hp", "--model", "a*hp + b", "--standardize")
    code = "from sgdbench.data import builtin; print(builtin('diabetes').y.size, builtin('digits').y.size)"
    assert run(folder, sys.executable, "-c", code) == "442 1797\n"
    words = ["--init", "1,1,1", "--epochs", "2", "--animate", "film.html", "--kernel", "reference"]
    call("fit", "quadratic", "--model", "quadratic", *words)
    assert (folder / "film.html").stat().st_size > 10_000


def test_the_published_bits(call):
    call("info", "--verify")


def test_a_kernel_stands_alone(call, folder):
    call("kernel", "a*x + b", "--standalone", "alone.py")
    code = (
        "import sys; sys.modules['sgdbench'] = None; import numpy as np; from alone import train; "
        "x = np.arange(8.0) / 8; print(train(x, 2 * x + 1, np.zeros(2), np.full(500, 0.5))[0].round(6))"
    )
    assert run(folder, sys.executable, "-c", code) == "[2. 1.]\n"


SWEEP = """
import numpy as np
from sgdbench import Grid, load_run, register_schedule, sweep

x = np.arange(-400, 400) / 400
y = 2 * x**2 - 4 * x + 3
grid = Grid(lr=[0.1, 0.5], init=[-1, 10, 26], seed=range(3), shuffle=True)
"""


def test_a_sweep(python):
    code = """
found = sweep("a*x**2 + b*x + c", x, y, grid, epochs=20, target=1e-5, out="swept")
print(len(load_run("swept").frame), found.best().refit(x, y).status)
"""
    assert python("swept_here", SWEEP + code) == "6 converged\n"


def test_a_sweep_on_a_cluster_has_the_same_bits(python):
    """A schedule of the user's own goes to its processes by cloudpickle."""
    code = """
def main():
    from distributed import Client, LocalCluster

    register_schedule(lambda epoch, epochs: 1.0 - 0.5 * epoch / epochs, name="own")
    own = Grid(lr=[0.1, 0.5], init=[-1, 10, 26], seed=range(3), shuffle=True, schedule="own")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            there = sweep("a*x**2 + b*x + c", x, y, own, epochs=5, executor=client, confirm=0)
    here = sweep("a*x**2 + b*x + c", x, y, own, epochs=5, confirm=0)
    print(np.array_equal(here.frame["final_loss"], there.frame["final_loss"]), len(there.frame))


if __name__ == "__main__":
    main()
"""
    assert python("swept_there", SWEEP + code) == "True 6\n"


def test_processes_that_are_spawned(python):
    code = """
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from sgdbench import Model, fit

x = np.arange(20.0) / 20


def loss_of(model):
    return float(fit(model, x, 2 * x + 1, init=[0, 0], lr=0.5, epochs=20).loss[-1])


if __name__ == "__main__":
    model = Model("a*x + b")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(loss_of, [model, pickle.loads(pickle.dumps(model))])) == [loss_of(model)] * 2
"""
    assert python("spawned", code) == ""


def test_the_estimators(python):
    code = """
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV
from sgdbench import SGDCurveClassifier, SGDCurveRegressor

X, y = load_diabetes(return_X_y=True)
search = GridSearchCV(SGDCurveRegressor(random_state=0), {"batch_size": [8, 32]}, n_jobs=2).fit(X, y)
X, kind = load_breast_cancer(return_X_y=True)
print(search.best_score_ > 0.4, SGDCurveClassifier(random_state=0).fit(X, kind).score(X, kind) > 0.95)
"""
    assert python("estimators", code) == "True True\n"
