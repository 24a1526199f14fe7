"""A drill: every two features meet in some run, which must train, print, report, extend and hand out what holds."""

import io
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from sgdbench import Grid, load_run, sweep
from sgdbench.cli import main as main_of_commands
from sgdbench.kernels.base.plugins import load_plugin
from sgdbench.kernels.compile.kinds import FLOAT32_LOSSES, FLOAT32_OPTIMIZERS, is_exact
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.train.attainable_loss import find_attainable_loss
from sgdbench.report.answer import find_answer
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import run_data_of
from sgdbench.study.load import load_study, study_of_table, to_toml
from sgdbench.tables.rank import recommended_choice, runs_of
from tests.support.consistency import contradictions
from tests.support.studies import sweep_settings

ROWS, EPOCHS = 48, 4
MODELS = {
    "line": ("a*u + b", ("u",)),
    "plane": ("a*u + b*v + c", ("u", "v")),
    "decay": ("a*exp(b*u) + c", ("u",)),
    "vector": ("w @ x + b", ("u", "v")),
    "matrix": ("W @ x + b", ("u", "v")),
    "network": ("mlp(2)", ("u", "v")),
    "objective": ("(1 - p)**2 + 2*(q - p)**2 - 1", ()),
}
TARGETS = {"logistic": "label", "hinge": "label", "softmax": "kind", "poisson": "count"}
FACTORS = {
    "model": list(MODELS),
    "loss": ["squared", "huber(0.5)", "absolute", "own_loss", "logistic", "hinge", "softmax", "poisson", "objective"],
    "optimizer": ["sgd", "momentum(0.9)", "adam", "polyak", "averaged(sgd)", "own_step"],
    "dtype": ["float64", "float32", "float64,float32"],
    "kernel": ["reference", "fused", "lanes", "lanes-fma"],
    "batch": [1, 7, "full"],
    "shuffle": [False, True],
    "shuffling": ["all", "blocks(size=8, buffer=16)"],
    "schedule": ["constant", "halve(2)", "own_fall"],
    "record": ["log", "epoch", 1],
    "target": ["none", "met by the start", "easy", "out of reach"],
    "held_out": ["nothing", "validation", "patience"],
    "test": [False, True],
    "confirm": [0, 3],
    "refine": [0, 1],
    "extension": ["none", "epochs", "seeds"],
    "starts": ["one", "two", "random"],
    "scaling": ["none", "both", "x", "none of them"],
    "drop_last": [True, False],
    "table": ["table.csv", "table.parquet", "table.arrow"],
    "by": ["Python", "the command line"],
}
TAKEN = ("loss", "kernel", "record", "confirm", "refine", "drop_last", "shuffling")
RULES = Path(__file__).parent / "pair_rules.py"


def is_possible(case):
    """Whether features go together, of which some may not be chosen yet."""
    allowed = []
    if "objective" in (case.get("model"), case.get("loss")):
        # Of no inputs there is one sample.
        allowed.append({"model": ["objective"], "loss": ["objective"], "batch": [1]})
        allowed.append({"held_out": ["nothing"], "test": [False], "scaling": ["none"]})
    if case.get("model") == "matrix":
        allowed.append({"loss": ["softmax"]})
    if case.get("loss") == "softmax":
        allowed.append({"model": ["matrix", "network"]})
    if "float32" in case.get("dtype", ""):
        losses = [name for name in FACTORS["loss"] if name.partition("(")[0] in FLOAT32_LOSSES]
        optimizers = [name for name in FACTORS["optimizer"] if name.partition("(")[0] in FLOAT32_OPTIMIZERS]
        exact = [name for name in MODELS if name not in ("decay", "network")]
        kernels = ["reference", "fused", "lanes"]
        allowed.append({"loss": losses, "optimizer": optimizers, "model": exact, "kernel": kernels})
    return all(case.get(name, values[0]) in values for rule in allowed for name, values in rule.items())


@cache
def make_cases():
    """The features of each run, so that every pair of them that goes together is in one: greedily, at random."""
    rng = np.random.default_rng(0)
    pairs = {
        frozenset(pair)
        for one, other in combinations(FACTORS, 2)
        for pair in product(((one, value) for value in FACTORS[one]), ((other, value) for value in FACTORS[other]))
        if is_possible(dict(pair))
    }
    cases, left = [], set(pairs)
    while left:
        first = min(left, key=lambda pair: sorted(map(repr, pair)))
        found = [case for _ in range(12) if (case := _complete(dict(first), left, rng))]
        if not found:
            left.discard(first)  # each goes with something, and both with nothing
            continue
        best = max(found, key=lambda case: len(left & _pairs_of(case)))
        cases.append({name: best[name] for name in FACTORS})
        left -= _pairs_of(best)
    return cases


def _pairs_of(case):
    return {frozenset(pair) for pair in combinations(case.items(), 2)}


def _complete(case, left, rng):
    """Choose the other features, each for the pairs that are left; None where nothing goes with what is chosen."""
    for name in rng.permutation([name for name in FACTORS if name not in case]).tolist():
        options = [case | {name: value} for value in FACTORS[name] if is_possible(case | {name: value})]
        if not options:
            return None
        gains = [len(left & {frozenset([(name, one[name]), item]) for item in case.items()}) for one in options]
        case = options[int(rng.choice(np.flatnonzero(np.array(gains) == max(gains))))]
    return case


def write_table(path):
    rng = np.random.default_rng(5)
    u, v = rng.uniform(0, 2, (2, ROWS)).round(3)
    y = (3 * np.exp(-u) + 0.5 * v + 0.2 * rng.normal(size=ROWS)).round(3)
    columns = {"u": u, "v": v, "number": y, "label": np.where(y > 1.5, "high", "low"), "count": rng.poisson(y.clip(0))}
    columns["kind"] = np.select([y > 2, y > 1], ["high", "middle"], "low")
    table = pd.DataFrame(columns)
    write = {".csv": partial(table.to_csv, index=False), ".parquet": table.to_parquet}
    write.get(path.suffix, partial(table.to_feather, compression="uncompressed"))(path)


def find_target(case, model, x, y):
    """The target in units of training."""
    if case["target"] in ("none", "met by the start"):
        return None if case["target"] == "none" else 1e6
    loss = make_loss(case["loss"])
    samples = model.columns(x) if model.inputs else (), y
    found = find_attainable_loss(model, loss, samples, [np.full(len(model.params), 0.1)])
    if case["target"] == "easy":
        return found.target if found.target is not None else found.loss + 0.5
    return found.loss - 1 if not loss.nonnegative else 0.5 * found.loss


def study_of(case, folder, target):
    """The study of a case as a file."""
    expression, inputs = MODELS[case["model"]]
    data = {"builtin": "none"}
    if inputs:
        data = {"path": str(folder / case["table"]), "x": list(inputs), "y": TARGETS.get(case["loss"], "number")}
    if case["scaling"] != "none":
        data |= {"standardize": True, "center": "none" if case["scaling"] == "none of them" else case["scaling"]}
    data |= {"validation": 0.25} if case["held_out"] != "nothing" else {}
    data |= {"test": 0.2} if case["test"] else {}
    model = make_model(expression, inputs)
    size = len((model.with_classes(3) if case["loss"] == "softmax" else model).params)
    near, far = {"near": [0.1] * size}, {"far": [0.3] * size}
    grid = {
        "lr": [0.01, 0.05, 0.2],
        "batch_size": case["batch"],
        "optimizer": [case["optimizer"], "sgd(weight_decay=0.001)"],
        "schedule": case["schedule"],
        "seed": [0, 1],
        "shuffle": case["shuffle"],
        "dtype": case["dtype"].split(","),
        "init": {"one": near, "two": near | far, "random": {"drawn": "normal:0.3:2"}}[case["starts"]],
    }
    run = {"epochs": EPOCHS} | {name: case[name] for name in TAKEN}
    run |= {} if target is None else {"target": target}
    run |= {"patience": 1} if case["held_out"] == "patience" else {}
    table = {"name": "pair", "data": data, "model": {"expression": expression}, "grid": grid, "run": run}
    study = folder / "pair.toml"
    study.write_text(to_toml(study_of_table(table)), "utf-8")
    return study


def train(case, folder, target, *, extended=False):
    """Train the runs of a case, or more of them; return the words of the command line where it failed."""
    epochs = 2 * EPOCHS if extended and case["extension"] == "epochs" else EPOCHS
    seeds = 4 if extended and case["extension"] == "seeds" else 2
    study = study_of(case, folder, target)
    if case["by"] == "the command line":
        options = ["--epochs", epochs, "--seed", f"0-{seeds - 1}", "--plugin", RULES, *["--resume"] * extended]
        code, said = run_command("run", study, "--out", folder / "run", *options)
        return f"exit code {code}: {said[-800:]}" if code or "Traceback" in said else ""
    loaded = load_study(study)
    data, _ = loaded.dataset()
    grid = Grid(**dict(loaded.grid) | {"seed": range(seeds)})
    settings = sweep_settings(loaded.run) | {"epochs": epochs, "validation": data.validation, "test": data.test}
    sweep(loaded.make_model(data), data.x, data.y, grid, **settings, out=folder / "run")
    return ""


def run_command(*words):
    """Run the command line in this process, which has its kernels and its modules; return its exit code and errors."""
    before, said = sys.argv, io.StringIO()
    sys.argv = ["sgdbench", *map(str, words)]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            main_of_commands()
    except SystemExit as ended:
        return ended.code or 0, said.getvalue()
    finally:
        sys.argv = before
    return 0, said.getvalue()


def faults_of(case, folder):
    """What is wrong with the results of a case, and with what they say and hand out."""
    result = load_run(folder / "run")
    run_data = run_data_of(result)
    found = contradictions(
        run_data.ranked,
        None if run_data.fresh is None else run_data.compared,
        run_data.conclusions,
        run_data.samples,
    )
    # The command line has written the page.
    page = folder / "run" / "report.html"
    text, page = str(result), page if case["by"] == "the command line" else write_run_report(run_data)
    if "Best choice" not in text or not page.exists():
        found.append("there is no best choice, or no page")
    attainable, frame = result.optimum, result.frame
    lowest = frame["final_loss"][np.isfinite(frame["final_loss"])].min()
    if np.isfinite(attainable.loss) and lowest < attainable.loss - 1e-6 * max(abs(attainable.loss), 1e-12):
        found.append(f"a run ends at {lowest}, below the attainable loss {attainable.loss}")
    return found + _faults_of_code(case, run_data)


def _faults_of_code(case, run_data):
    """Execute what the page hands out as Python; it must end in a row of the sweep."""
    best = recommended_choice(run_data.ranked)
    copies = find_answer(run_data).copies
    if not copies:
        return []  # every run diverged
    code = copies[0].content
    if run_data.study is None:
        data, _ = load_study(run_data.result.run.folder.parent / "pair.toml").dataset()
        code = code.replace("x, y = ..., ...  # your data", "").replace("...,  # your held-out data", "None,\n")
        scope = {"x": data.x, "y": data.y}
        code = "\n".join(line for line in code.splitlines() if not line.strip().startswith(("validation=", "test=")))
        code = code.rstrip().removesuffix(")") + "    validation=held,\n)\n"
        scope["held"] = data.validation
    else:
        scope = {}
    exec(code, scope)
    params = scope["result"].params
    own = runs_of(run_data.frame, best)[[f"param_{name}" for name in run_data.result.model.params]].to_numpy(float)
    run = run_data.result.run.identity
    exact = is_exact(run_data.result.model, case["kernel"], run["loss"])
    alike = (own == params) if exact else np.isclose(own, params, rtol=1e-5, atol=1e-8)
    alike |= np.isnan(own) & np.isnan(params)
    return [] if alike.all(axis=1).any() else [f"the code ends at {params}, and the runs at {own.tolist()}"]


def conduct(case, folder):
    """Run a case in a folder; return its faults, a sentence for each."""
    write_table(folder / case["table"])
    load_plugin(RULES)
    try:
        study = study_of(case, folder, None)
        data, _ = load_study(study).dataset()
        target = find_target(case, load_study(study).make_model(data), data.x, data.y)
        if fault := train(case, folder, target):
            return [fault]
        found = faults_of(case, folder)
        if case["extension"] != "none":
            if fault := train(case, folder, target, extended=True):
                return [*found, f"extended: {fault}"]
            found += [f"extended: {fault}" for fault in faults_of(case, folder)]
    except Exception:
        return [traceback.format_exc(limit=-6)]
    return found
