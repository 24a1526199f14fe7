"""A drill: bits of a run's files are flipped, and what is read then must be what was written, or nothing."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd

from sgdbench import sweep
from sgdbench.engine.confirm import confirm
from sgdbench.engine.problem import make_problem
from sgdbench.engine.train import Trainer
from sgdbench.report.run_data import run_data_of
from sgdbench.store.evidence import EVIDENCE_COLUMNS, read_tables, store_tables
from sgdbench.store.results import read_result
from sgdbench.store.run_folder import read_run
from sgdbench.study.load import load_study, to_toml
from sgdbench.tables.confirm import winners
from sgdbench.tables.rank import ranking
from tests.support.studies import sweep_settings

SAME, WRONG, TRACEBACK = "same", "wrong", "traceback"
STUDY = """
name = "drill"
data = { path = "table.csv", x = ["x"], y = "y" }
model.expression = "a*x**2 + b*x + c"
grid.lr = [0.05, 0.2]
grid.optimizer = ["sgd", "adam"]
grid.seed = [0, 1]
grid.init.near = [0.0, 0.0, 0.0]
run = { epochs = 6, target = 0.02, kernel = "fused", confirm = 2 }
"""


def write_study(place, text=STUDY):
    """Write a study and its data into a folder."""
    x = np.linspace(-1, 1, 40)
    pd.DataFrame({"x": x, "y": 2 * x**2 - 4 * x + 3}).to_csv(place / "table.csv", index=False)
    (place / "study.toml").write_text(text, encoding="utf-8")
    return load_study(place / "study.toml")


def make_run(place):
    """A run folder with a part of 3 epochs and one that continues it, evidence, and runs on fresh seeds.

    Also what was read after the 3 epochs, which is where a run stands whose continuation is lost.
    """
    study, folder = write_study(place), place / "run"
    resume(place, study, epochs=3)
    earlier = what_is_read(folder)
    result = resume(place, study)
    problem = make_problem(result.model, *samples(study), study.run.model_copy(update={"confirm": 2}), folder)
    trainer, grid = Trainer(problem, folder, to_toml(study)), study.make_grid()
    confirm(trainer, winners(ranking(result.frame)), grid.seed, grid)
    rounds = pd.DataFrame({"variant": ["fused", "C"] * 20, "round": np.arange(40), "ns": np.linspace(4, 6, 40)})
    store_tables(
        folder, speed_rounds=rounds, costs=pd.DataFrame([dict.fromkeys(sorted(EVIDENCE_COLUMNS["costs"]), 1e-9)])
    )
    return folder, earlier


def resume(place, study, **changed):
    """Train what is missing in the folder of a run."""
    settings = sweep_settings(study.run) | {"confirm": 0} | changed
    model, text = study.make_model(study.dataset()[0]), to_toml(study)
    return sweep(model, *samples(study), study.make_grid(), out=place / "run", study=text, **settings)


def samples(study):
    data, _ = study.dataset()
    return data.x, data.y


def files_of(folder):
    """The files of a run folder that anything is read from."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def what_is_read(folder):
    """All that a report is made of, piece by piece: name -> a value that == compares to the last bit."""
    data = run_data_of(read_result(read_run(folder)))  # of a search too
    pieces = {("planned",): data.result.planned}
    if data.result.run.study is not None:
        pieces["study",] = data.result.run.study
    for fact, value in data.result.run.environment.items():
        pieces["environment", fact] = value
    for name, result in (("run", data.result), ("fresh", data.result.confirmation)):
        if result is None:
            continue
        pieces[name, "identity"] = result.run.identity
        for about, table in read_tables(result.run.folder).items():
            pieces[name, "evidence", about] = [_bits(row) for row in table.itertuples(index=False)]
        for row, start in zip(result.frame.itertuples(index=False), result.starts, strict=True):
            pieces[name, "row", row.config_id] = _bits(row)
            pieces[name, "start", row.config_id] = _bits(start)
        for config_id, curve in result.curves.groupby("config_id", observed=True):
            pieces[name, "curve", config_id] = _bits(curve.drop(columns="config_id").to_numpy().ravel())
    return pieces


def _bits(values):
    return [value.hex() if isinstance(value, float) else str(value) for value in values]


def outcome_of(folder, expected, earlier):
    """What becomes of a damaged folder, and the words or the piece that say so."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = what_is_read(folder)
        except (ValueError, OSError) as error:
            # The command makes a line of these two, and of nothing else.
            return TRACEBACK if isinstance(error, UnicodeDecodeError) else "refused", str(error)
        except Exception as error:
            return TRACEBACK, repr(error)
    words = "; ".join(str(warning.message) for warning in told)
    if wrong := [key for key, value in found.items() if value not in (expected.get(key), words and earlier.get(key))]:
        return WRONG, f"{wrong[0]}; {words}"
    if found == expected:
        return SAME, words
    return ("warned", words) if words else (WRONG, "something is missing, and nothing is said")


def flip(path, rng):
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def truncate(path, rng):
    """Lose the end of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.integers(len(content))])


def count_outcomes(folder, earlier, damage, times):
    """Damage each file of a folder, alone, this many times.

    Return the counts of outcomes by file, and the words of what must not be.
    """
    rng, counts, failures = np.random.default_rng(0), {}, []
    expected = what_is_read(folder)
    for name in files_of(folder):
        kind = str(name.with_name("*.parquet") if name.parent.name in ("parts", "evidence") else name)
        whole = (folder / name).read_bytes()
        for _ in range(times):
            damage(folder / name, rng)
            outcome, words = outcome_of(folder, expected, earlier)
            (folder / name).write_bytes(whole)
            counts.setdefault(kind, Counter())[outcome] += 1
            if outcome in (WRONG, TRACEBACK) or "\n" in words:
                failures.append(f"{name}: {outcome}: {words}")
    return counts, failures
