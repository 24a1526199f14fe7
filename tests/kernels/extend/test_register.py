"""Rules of the user's own: registered, checked, used by name like a built-in one, told apart by what they compute."""

import importlib
import pickle
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from typer.main import get_command

from sgdbench import (
    Grid,
    Model,
    Space,
    fit,
    load_run,
    load_tuning,
    register_loss,
    register_model,
    register_optimizer,
    register_schedule,
    sweep,
    tune,
)
from sgdbench.cli import app
from sgdbench.kernels.base import plugins
from sgdbench.kernels.base.plugins import MODULE_PREFIX, load_installed, load_plugin
from sgdbench.kernels.base.registry import REGISTERED
from sgdbench.kernels.compile.build import name_of
from sgdbench.kernels.compile.kinds import is_exact
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss, Metric, Targets
from sgdbench.kernels.model.models import make_model, make_model_for_columns
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.optimizers.wrappers import SGD
from sgdbench.report.markdown import render_markdown
from sgdbench.report.page import render_page
from sgdbench.report.reproduce import reproduction
from sgdbench.report.run_data import read_run_data, run_data_of
from sgdbench.study.config_id import config_ids
from sgdbench.study.load import load_study
from sgdbench.study.schema import RunTable
from sgdbench.study.space import space_settings
from tests.support.constants import ROOT
from tests.support.refusals import refusal_of
from tests.support.rules import forget_rules

X = np.linspace(-1, 1, 24)
Y = 2 * X + 1
RULES = """
import numpy as np
from sgdbench import register_loss, register_model, register_optimizer, register_schedule

SLOWER = 0.5

def scaled(gradient):
    return SLOWER * gradient

@register_optimizer(slots=1, options={"beta": 0.9}, bounds={"beta": (0, 1)})
def heavy(theta, slots, gradient, lr, clock, options):
    velocity = options[0] * slots[0] + scaled(gradient)
    return theta - lr * velocity, (velocity,)

@register_loss(options={"scale": 1.0})
def fair(residual, options):
    size = np.abs(residual) / options[0]
    return options[0] ** 2 * (size - np.log1p(size)), residual / (1.0 + size)

@register_schedule(bounds={"period": (1, None)})
def sawtooth(epoch, epochs, period=10):
    return 1.0 - (epoch % period) / period

@register_model
def tilted(power=2):
    return f"a*x**{power} + b*x"
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch, rules_forgotten):
    """Nothing that a test registers or imports is known to the next."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def rules(tmp_path):
    """Load the file of rules, after an edit: (old text, new text)."""

    def load(old="", new="", name="my_rules.py"):
        assert old in RULES
        forget_rules()
        path = tmp_path / name
        path.write_text(RULES.replace(old, new), encoding="utf-8")
        return load_plugin(path)

    return load


def plain(theta, slots, gradient, lr, clock, options):
    return theta - lr * gradient, ()


HALF_SQUARE = Loss("", lambda r, options: 0.5 * r * r, lambda r, options: r)


def test_a_registered_rule_is_used_by_its_name_everywhere(rules, tmp_path):
    rules()
    assert make_optimizer("heavy(0.5)").text == "heavy(beta=0.5)"
    assert make_optimizer("averaged(heavy)").text == "averaged(heavy(beta=0.9))"
    assert make_loss("fair(2)").text == "fair(scale=2.0)"
    refusal = "optimizer 'heavy(2)': beta must be a number >= 0 and <= 1, not 2.0"
    assert refusal_of(make_optimizer, "heavy(2)") == refusal
    np.testing.assert_array_equal(learning_rates("sawtooth(4)", 2.0, 5), [2, 1.5, 1, 0.5, 2])
    assert make_model("tilted(3)").expression == "a*x**3 + b*x"
    assert make_model_for_columns("tilted", ["hp"]).params == ("a", "b")
    settings = {"optimizer": "heavy(0.5)", "loss": "fair", "schedule": "sawtooth", "kernel": "reference"}
    result = fit("tilted", X, Y, init=[0, 0], lr=0.1, epochs=3, **settings)
    assert result.loss[-1] < result.loss[0]
    assert result.trained == "fair(scale=1.0)"
    assert pickle.loads(pickle.dumps(result)).loss_at([1, 2]) == result.loss_at([1, 2])
    study = tmp_path / "study.toml"
    study.write_text(
        "name = 'own'\n[data]\nbuiltin = 'quadratic'\n[model]\nexpression = 'tilted'\n"
        "[grid]\noptimizer = ['sgd', 'heavy']\nschedule = 'sawtooth(5)'\n[run]\nloss = 'fair'\n"
    )
    assert load_study(study).make_grid().size == 2
    REGISTERED["optimizer"].clear()
    with pytest.raises(
        ValueError, match=r"line 7: grid.optimizer: unknown optimizer 'heavy'.*; .* --plugin FILE or sgdbench"
    ):
        load_study(study)


def test_the_command_knows_the_rules_of_a_plugin(rules, tmp_path, ran, refused):
    rules()
    forget_rules()
    settings = ["--optimizer", "heavy", "--loss", "fair", "--kernel", "reference", "--epochs", "1", "--json"]
    given = ["fit", "quadratic", "--model", "tilted", *settings]
    out = ran(*given, "--plugin", tmp_path / "my_rules.py", "--plugin", tmp_path / "my_rules.py")
    assert '"status": "max_epochs"' in out
    forget_rules()
    err = refused(*given)
    assert re.search(r"unknown loss 'fair'; .*; your own come with --plugin FILE or sgdbench.register_loss\n$", err)


def test_the_command_that_new_prints_loads_the_plugins(rules, tmp_path, ran):
    """Their paths may have any name."""
    table, study, plugin = (tmp_path / name for name in ("own.csv", "own study.toml", "rules of mine (2).py"))
    rules(name=plugin.name)
    assert {rule.plugin for rule in REGISTERED["optimizer"].values()} == {str(plugin)}
    forget_rules()
    table.write_text("u,y\n" + "".join(f"{k},{2 * k + k % 3}\n" for k in range(30)))
    out = ran("new", table, "--y", "y", "--loss", "fair", "--plugin", plugin, "--out", study)
    assert out.splitlines()[-1] == f"Run it with: sgdbench run '{study}' --plugin '{plugin}'"


def test_every_command_takes_plugins():
    for name, command in get_command(app).commands.items():
        options = {option: parameter for parameter in command.params for option in parameter.opts}
        assert options["--plugin"].multiple, name


def test_builders_are_registered_too():
    """Functions of the options alone, which return an optimizer or a loss."""
    loss_of = {"value": lambda r, options: 0.5 * r * r, "derivative": lambda r, options: r}

    @register_optimizer
    def mine(factor=2.0):
        return Optimizer("called otherwise", plain, {"factor": factor})

    @register_loss
    def half(scale=1):
        return Loss("called otherwise", **loss_of, options={"scale": scale})

    first, second = make_optimizer("mine"), make_optimizer("mine(3)")
    assert (first.text, second.text) == ("mine(factor=2.0)", "mine(factor=3.0)")
    assert first.rule is second.rule  # else each would be compiled anew
    register_optimizer(lambda times=X[-1] + 1: Optimizer("", plain), name="numpy")
    assert make_optimizer(make_optimizer("numpy").text).text == "numpy(times=2.0)"
    assert make_loss("half").text == make_loss("half(1.0)").text == "half(scale=1.0)"


def test_an_option_that_a_rule_has_in_itself_is_no_other_run_of_the_same_name(tmp_path):
    """The options of what a function returns need not be its own: texts, ids and grids have those of the call."""

    @register_optimizer
    def faster(times=1, inner=SGD):
        return Optimizer("", lambda theta, slots, gradient, lr, clock, options: (theta - times * lr * gradient, ()))

    @register_loss
    def steeper(times=1):
        return Loss("", lambda r, options: times * abs(r), lambda r, options: times * np.sign(r), records="size")

    assert make_optimizer("averaged(faster(2))").text == "averaged(faster(times=2, inner=sgd))"
    assert (make_loss("steeper").text, make_loss("steeper(2)").text) == ("steeper(times=1)", "steeper(times=2)")
    grid = Grid(lr=[0.1, 0.2], optimizer=["faster", "faster(2)"], init=[[0, 0]])
    found = sweep(MODEL, X, Y, grid, epochs=2, kernel="reference", confirm=0, loss="steeper(2)").frame
    settings = {"init": [0, 0], "epochs": 2, "kernel": "reference", "loss": "steeper(2)"}
    wanted = [fit(MODEL, X, Y, lr=row.lr, optimizer=row.optimizer, **settings).loss[-1] for row in found.itertuples()]
    assert (found["final_loss"].tolist(), found["final_loss"].nunique()) == (wanted, 3)
    other = Loss("squared", lambda r, options: abs(r), lambda r, options: np.sign(r), records="size")
    with pytest.raises(ValueError, match="loss must be a registered one: <Loss squared> is not what the text"):
        sweep(MODEL, X, Y, grid, epochs=2, loss=other)


def test_a_loss_whose_metric_is_a_new_function_each_time_has_sweeps():
    def told(scale=1):
        functions = {"metric": Metric("size", lambda f, y: float(np.mean(f))), "mean": lambda f: f}
        targets = Targets(lambda y: y == y, "numbers")
        return replace(HALF_SQUARE, options={"scale": scale}, records="told", targets=targets, **functions)

    digests = {register_loss(told) and REGISTERED["loss"]["told"].digest for _ in range(2)}
    assert len(digests) == 1  # although repr() of a function contains its address
    settings = {"epochs": 1, "kernel": "reference", "confirm": 0}
    for loss in ("told(2)", make_loss("told(2)")):
        found = sweep(MODEL, X, Y, Grid(init=[[0, 0]]), loss=loss, **settings).frame
        assert found["final_loss"].tolist() == [
            fit(MODEL, X, Y, init=[0, 0], loss="told(2)", epochs=1, kernel="reference").loss[-1]
        ]
        judged = sweep(MODEL, X, Y, Grid(init=[[0, 0]]), loss=loss, test=0.25, **settings)
        assert "On test rows" in judged.verdict()


def test_a_search_leaves_options_that_a_rule_does_not_take_as_ranges():
    register_optimizer(plain, options={"momentum": 0.3}, bounds={"momentum": (0, 0.5)})

    @register_optimizer
    def made(momentum=0.9, times=1):
        return Optimizer("", plain, {"momentum": momentum * times})

    grid = Grid(optimizer=["plain", "made(times=2)", "momentum"])
    ranged = "momentum(momentum=log1m:0.5:0.995)"
    assert space_settings(grid, 24, 10)["optimizer"] == ["plain", "made(times=2)", ranged]


def test_the_same_function_replaces_itself_and_another_is_refused():
    register_optimizer(plain)
    register_optimizer(plain, options={"beta": 1.0})
    assert make_optimizer("plain").options == {"beta": 1.0}

    def other(theta, slots, gradient, lr, clock, options):
        return theta, ()

    with pytest.raises(ValueError, match=r"optimizer 'plain' is registered already, by line \d+ of .*test_register.py"):
        register_optimizer(other, name="plain")


def test_a_file_that_is_imported_may_be_a_plugin_too(rules, tmp_path):
    """As code that a report hands out loads it, where a notebook has imported it."""
    rules()
    (tmp_path / "named.py").write_text("import sgdbench\nsgdbench.register_model('a*x', name='line')\n")
    load_plugin(tmp_path / "named.py")
    (tmp_path / "link").symlink_to(tmp_path)
    sys.path.append(str(tmp_path / "link"))
    try:
        importlib.import_module("my_rules")
        importlib.import_module("named")
    finally:
        del sys.modules["my_rules"], sys.modules["named"]
    with pytest.raises(ValueError, match=r"^model 'line' is registered already, by line 2 of .*named.py: choose"):
        register_model("a*x**2", name="line")


def test_functions_that_are_not_correctly_rounded_promise_no_bits():
    def bell(theta, slots, gradient, lr, clock, options):
        return theta - lr * np.exp(-gradient * gradient), ()

    register_optimizer(lambda factor=1.0: Optimizer("", bell), name="bell")
    register_optimizer(lambda factor=1.0: Optimizer("", plain), name="simple")
    model = Model("a*x + b")
    assert not make_optimizer("averaged(bell)").is_exact
    assert [is_exact(model, "lanes", "squared", name) for name in ("bell", "simple")] == [False, True]


def kernel_digest():
    """The digest of the kernel of `heavy`, which names the file in the cache; nothing is compiled."""
    return name_of(module_of(KernelSpec("fused", Model("a*x + b"), make_loss("squared"), make_optimizer("heavy"))))


@pytest.mark.parametrize(
    ("old", "new", "is_other"),
    [
        ("theta - lr * velocity", "theta - 2.0 * lr * velocity", True),
        ("return SLOWER * gradient", "return gradient * gradient", True),
        ("SLOWER = 0.5", "SLOWER = 0.25", True),
        ("return SLOWER * gradient", "'''Half of it.'''\n\n    return (SLOWER\n            * gradient)  # half", False),
    ],
    ids=["rule", "helper", "constant", "comments and layout"],
)
def test_an_edit_of_what_is_computed_makes_another_kernel_and_another_rule(rules, old, new, is_other):
    rules()
    before, known = kernel_digest(), REGISTERED["optimizer"]["heavy"].digest
    rules()
    assert (kernel_digest(), REGISTERED["optimizer"]["heavy"].digest) == (before, known)
    rules(old, new)
    assert (REGISTERED["optimizer"]["heavy"].digest != known) is is_other
    assert kernel_digest() != before or not is_other


def test_a_helper_that_was_edited_after_its_import_is_not_the_one_on_disk(tmp_path, monkeypatch):
    """In a notebook, say, which trains with the helper that it imported: a folder would hold it for the edited one."""
    path = tmp_path / "helper_of_rules.py"
    path.write_text("def shrink(g):\n    return 0.5 * g\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("helper_of_rules")
    path.write_text("def shrink(g):\n    return 0.25 * g\n")

    def registered():
        shrink = module.shrink
        register_optimizer(lambda theta, slots, g, lr, clock, options: (theta - lr * shrink(g), ()), name="own")
        return REGISTERED["optimizer"]["own"]

    before = registered()
    assert "# The source of shrink is not on disk." in before.source
    importlib.reload(module)
    after = registered()
    del sys.modules["helper_of_rules"]
    assert "return 0.25 * g" in after.source
    assert after.digest != before.digest


def test_a_rule_stays_what_it_was_when_it_was_registered(rules):
    """Else the reference would follow a constant that changes, and a compiled kernel would not."""
    module = rules()
    module.SLOWER = 100.0
    theta, _ = make_optimizer("heavy").rule(1.0, (0.0,), 1.0, 1.0, (), (0.9,))
    assert theta == 0.5


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("SLOWER = 0.5", "SLOWER = 0.25", [False, True, True, False]),
        ("(epoch % period) / period", "(epoch % period) / (2 * period)", [False, False, False, True]),
        ("(1.0 + size)", "(1.0 + size + 0.0)", [True, True, True, True]),
    ],
    ids=["optimizer", "schedule", "loss"],
)
def test_another_rule_is_another_configuration(rules, old, new, changed):
    def ids():
        loss = "fair" if "size" in old else "squared"
        found = []
        for optimizer, schedule in (("sgd", "constant"), ("heavy", "constant"), ("averaged(heavy)", "constant")):
            found.append(Grid(optimizer=optimizer, schedule=schedule))
        found.append(Grid(schedule="sawtooth"))
        shared = RunTable(loss=loss, epochs=5)
        return [config_ids(grid.frame(MODEL, 24), MODEL, "", shared)[0] for grid in found]

    rules()
    before = ids()
    rules(old, new)
    assert [now != then for now, then in zip(ids(), before, strict=True)] == changed


MODEL = Model("a*x + b")


def run(folder, optimizers=("sgd", "heavy"), schedule="sawtooth(3)", **changes):
    grid = Grid(lr=[0.1, 0.2], optimizer=optimizers, init=[[0, 0]], schedule=schedule)
    return sweep(MODEL, X, Y, grid, **{"epochs": 2, "kernel": "reference", "confirm": 0, "out": folder} | changes)


def test_a_run_goes_on_with_the_same_rule_only(rules, tmp_path):
    folder = tmp_path / "run"
    rules()
    first = run(folder)
    assert list(first.run.rules) == ["optimizer heavy", "schedule sawtooth"]
    recorded = first.run.rules["optimizer heavy"]
    assert "def scaled(gradient):\n    return SLOWER * gradient" in recorded["source"]
    assert "# SLOWER = 0.5" in recorded["source"]
    assert recorded["plugin"].endswith("/my_rules.py")
    assert len(run(folder, epochs=3).frame) == 4
    rules("SLOWER = 0.5", "SLOWER = 0.25")
    told = refusal_of(run, folder, epochs=3)
    assert re.search(r" holds runs with another optimizer heavy, as it was at line \d+ of .*: ch", told)
    assert load_run(folder).run.rules == load_run(folder).run.rules | {"optimizer heavy": recorded}
    # Rules that are not used do not matter, and no file with them is asked for.
    rules("SLOWER = 0.5", "SLOWER = 0.25", name="other_rules.py")
    assert "(optimizer heavy): choose another folder" in refusal_of(run, folder, optimizers=["sgd", "adam"], epochs=3)
    without = run(tmp_path / "without", optimizers=["sgd", "adam"], epochs=3)
    assert len(without.frame) == 4
    assert re.findall(r"load_plugin\('.*/(.*)'\)", without.best().code()) == ["other_rules.py"]


def test_a_rule_that_options_choose_is_on_record_too(tmp_path):
    """A folder went on with another one, as only the rule of the default options was compared."""

    def with_factor(factor):
        def faster(theta, slots, gradient, lr, clock, options):
            return theta - factor * lr * gradient, ()

        @register_optimizer(name="either")
        def either(fast=False):
            return Optimizer("either", faster if fast else plain)

        return run(tmp_path / "run", ["either", "averaged(either(true))"], schedule="constant").run.rules

    rules = with_factor(2.0)
    assert list(rules) == ["optimizer either", "optimizer either(fast=true)"]
    assert ["factor * lr" in rule["source"] for rule in rules.values()] == [False, True]
    assert with_factor(2.0) == rules
    assert "holds runs with another optimizer either(fast=true), as it was" in refusal_of(with_factor, 3.0)


def test_a_run_says_that_a_rule_is_no_longer_that_with_which_it_was_trained(rules, tmp_path):
    """What it hands out would train with the edited one; and of data nothing is said by another loss."""
    (tmp_path / "table.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(X, Y, strict=True)))
    data = f"data = {{path = '{tmp_path}/table.csv', x = 'x', y = 'y'}}\n"
    study = f"name = 'own'\n{data}model.expression = 'a*x + b'\nrun = {{loss = 'fair', epochs = 2}}\n"
    rules()
    found = run(tmp_path / "run", loss="fair", study=study)
    assert found.best(optimizer="heavy").refit(X, Y, kernel="reference").loss[-1] in found.frame["final_loss"].tolist()
    rules("SLOWER = 0.5", "SLOWER = 0.25")
    with pytest.warns(RuntimeWarning, match="run: The optimizer heavy has changed since the run, whose source is in"):
        assert run_data_of(found).data
    rules("np.log1p(size)", "np.log1p(size) + 1.0")
    with pytest.warns(RuntimeWarning, match="run: The loss fair has changed since the run"):
        assert not run_data_of(found).data


def test_a_search_goes_on_with_the_same_rules_only(rules, tmp_path):
    """It is refused before its next trials, which may be of another optimizer, and before those on fresh seeds."""
    rules()
    space = Space(optimizer=["sgd", "heavy(beta=lin:0.5:0.9)"], schedule="sawtooth(int:2:4)", seed=[0])
    about = {"epochs": 2, "kernel": "reference", "out": tmp_path / "run"}
    first = tune(MODEL, X, Y, space, trials=4, confirm=0, **about)
    rules("SLOWER = 0.5", "SLOWER = 0.25", name="other_rules.py")
    for changes in ({"trials": 6, "confirm": 0}, {"trials": 4, "confirm": 1}):
        assert "holds runs with another optimizer heavy" in refusal_of(tune, MODEL, X, Y, space, **about | changes)
    after = load_tuning(tmp_path / "run")
    assert (len(after.trials), after.result.confirmation, after.result.run.rules) == (4, None, first.result.run.rules)


def test_a_run_that_stopped_before_its_first_result_takes_another_rule(rules, tmp_path):
    def stop(problem, jobs, stopped):
        raise KeyboardInterrupt

    rules()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", executor=stop)
    rules("SLOWER = 0.5", "SLOWER = 0.25")
    assert "# SLOWER = 0.25" in run(tmp_path / "run").run.rules["optimizer heavy"]["source"]


def test_rules_on_record_are_sealed(rules, tmp_path):
    folder = tmp_path / "run"
    rules()
    run(folder)
    path = folder / "rules.json"
    path.write_text(path.read_text().replace("SLOWER", "FASTER"))
    with pytest.warns(RuntimeWarning, match=r"rules.json is damaged \(its content was changed.*own rules is ignored"):
        assert load_run(folder).run.rules == {}


def test_a_report_names_rules_that_are_not_there(rules, tmp_path):
    """It trains nothing: who reads a folder need not have them."""
    folder = tmp_path / "run"
    rules()
    study = (
        "name = 'own'\n[data]\nbuiltin = 'quadratic'\nstandardize = true\n[model]\nexpression = 'tilted'\n[grid]\n"
        "optimizer = ['sgd', 'heavy']\nschedule = 'sawtooth(3)'\n[run]\nloss = 'fair(0.5)'\n"
    )
    run(folder, study=study, loss="fair(0.5)")
    with pytest.warns(RuntimeWarning, match="The data have changed since the run"):
        known = reproduction(read_run_data(folder))["python"][0]
    assert "data, scaling = standardize(builtin('quadratic'))\n" in known
    forget_rules()
    with pytest.warns(RuntimeWarning, match="The data can no longer be read: unknown loss 'fair'"):
        run_data = read_run_data(folder)
    assert (run_data.data, run_data.criterion.text) == (None, "fair(scale=0.5)")
    assert run_data.study.grid.optimizer == ["sgd", "heavy"]
    page = render_page(run_data, {})
    text = render_markdown(run_data, {})
    for made in (page, text.replace("\\", "")):
        assert re.search(r"The optimizer heavy \(line 10 of my_rules.py, sha256 [0-9a-f]{16}\)", made)
        assert "return SLOWER * gradient" in made
        assert re.search(r"The model tilted \(line \d+ of my_rules.py, sha256 [0-9a-f]{16}\)", made)
        assert re.search(r"sgdbench run run.toml --out FOLDER --plugin \S*my_rules.py", made)
        assert "Losses are the mean fair loss." in made
    assert "# these lines depend on the loss" in page


def test_a_plugin_is_one_by_whatever_path_it_is_named(rules, tmp_path):
    module = rules()
    (tmp_path / "link.py").symlink_to(tmp_path / "my_rules.py")
    for name in ("link.py", f"../{tmp_path.name}/my_rules.py"):
        assert load_plugin(tmp_path / name) is module
    (tmp_path / "loop.py").symlink_to("loop.py")
    assert "loop.py is not a file" in refusal_of(load_plugin, tmp_path / "loop.py")
    (tmp_path / "wrong.py").write_text("x = 1 +")
    assert "invalid syntax" in refusal_of(load_plugin, tmp_path / "wrong.py")
    assert [name for name in sys.modules if name.startswith(MODULE_PREFIX)] == [module.__name__]


def test_a_plugin_imports_what_lies_beside_it_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "beside_it.py").write_text("VALUE = 7\n")
    (tmp_path / "own.py").write_text("from beside_it import VALUE\n")
    module = load_plugin(tmp_path / "own.py")
    assert module.VALUE == 7
    assert load_plugin(tmp_path / "own.py") is module
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside_it.py", "own.py"]
    del sys.modules["beside_it"]


class Point:
    """An entry point of an installed package."""

    dist = None

    def __init__(self, name, load):
        self.name = self.module = name
        self.value = object()  # each is loaded once in a process
        self.load = load


@pytest.fixture
def installed(monkeypatch):
    def install(*points):
        monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "sgdbench.plugins" else ())

    return install


def test_installed_plugins_are_loaded_for_a_name_that_is_not_known(installed):
    asked = []

    def load():
        asked.append("good")
        register_optimizer(plain)

    installed(Point("good", load))
    make_optimizer("adam")
    make_loss("huber")
    make_model("a*x + b")
    learning_rates("halve(3)", 1.0, 2)
    assert asked == []
    assert make_optimizer("plain").text == "plain"
    with pytest.raises(ValueError, match="unknown optimizer"):
        make_optimizer("other")
    load_installed()
    assert asked == ["good"]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_broken_installed_plugin_is_a_warning(installed, error):
    def broken():
        raise error("out of order")

    installed(Point("broken", broken), Point("good", lambda: register_optimizer(plain)))
    message = f"the plug-in broken of broken is ignored: {error.__name__}: out of order"
    with pytest.warns(RuntimeWarning, match=message):
        make_optimizer("plain")


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "bench/docs/tutorials/own-optimizer.md").read_text("utf-8").partition("\n## Time your own")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (source,) = [block for language, block in blocks if language == "python"]
    (tmp_path / "my_rules.py").write_text(source)
    load_plugin(tmp_path / "my_rules.py")
    settings = {"optimizer": "averaged(heavy(0.8))", "loss": "fair", "schedule": "sawtooth(4)", "kernel": "reference"}
    assert fit("fourier(1)", X, Y, epochs=5, **settings).status == "max_epochs"
    (commands,) = [block for language, block in blocks if not language]
    assert commands.count("--plugin my_rules.py") == len(commands.splitlines()) == 2


def test_a_loss_of_the_residual_may_be_negative(rules):
    """Then losses have no logarithm, by which a search would compare them."""
    rules()
    register_loss(
        lambda residual, options: (np.log(0.5 + residual**2), 2 * residual / (0.5 + residual**2)), name="student"
    )
    assert [make_loss(name).nonnegative for name in ("fair", "student")] == [True, False]
    assert fit("a*x + b", X, Y, loss="student", kernel="reference", epochs=1, target=-0.1).status == "max_epochs"


def test_a_model_with_vectors_is_for_all_columns():
    """As the ready-made `mlp` is; inputs that are named are those that it has."""

    @register_model
    def wide(bias=1):
        return "w @ x" + " + b" * int(bias)

    x = np.column_stack([X, X**2])
    settings = {"kernel": "reference", "epochs": 1, "lr": 0.1}
    assert fit("wide", x, Y, **settings).param_names == ("w[x1]", "w[x2]", "b")
    assert fit("wide(0)", {"u": X, "v": X**2}, Y, **settings).param_names == ("w[u]", "w[v]")
    assert make_model_for_columns("wide", ["hp", "weight"]).params == ("w[hp]", "w[weight]", "b")
    register_model("w @ x + b", name="pair", inputs=("u", "v"))
    with pytest.raises(ValueError, match="the model 'pair' has the inputs u, v, not x"):
        fit("pair", X, Y, **settings)


def squared_hinge(prediction, target, options):
    side = 2.0 * target - 1.0
    short = np.maximum(1.0 - side * prediction, 0.0)
    return short * short, -2.0 * side * short


def test_a_loss_of_prediction_and_target_is_registered_too():
    """It is recorded itself, and trains as the built-in ones do."""
    register_loss(squared_hinge)
    made = make_loss("squared_hinge")
    assert (made.of_residual, made.records, made.is_exact) == (False, "squared_hinge loss", True)
    y = (X > 0.2).astype(float)
    run = fit("a*x + b", X, y, init=[0, 0], lr=0.05, epochs=3, loss="squared_hinge", kernel="reference")
    short = np.maximum(1 - (2 * y - 1) * run.predict(X), 0)
    assert run.loss[-1] == pytest.approx(np.mean(short**2), rel=1e-14)


def test_a_schedule_that_gives_others_than_when_it_was_registered_is_refused():
    """What it uses was changed in place; a run's folder would name it by what it gave before."""
    factors = np.array([1.0, 0.5])

    @register_schedule
    def alternating(epoch, epochs):
        return factors[epoch.astype(int) % 2]

    assert learning_rates("alternating", 1.0, 3).tolist() == [1.0, 0.5, 1.0]
    factors[0] = 2.0
    with pytest.raises(ValueError, match=r"alternating .* other factors than when it was registered: register it aga"):
        learning_rates("alternating", 1.0, 3)
    register_schedule(alternating)
    assert learning_rates("alternating", 1.0, 3).tolist() == [2.0, 0.5, 2.0]
