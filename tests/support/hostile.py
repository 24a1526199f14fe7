"""A small study whose every name is up to something, for the tests of reports."""

from dataclasses import replace

import numpy as np
import pandas as pd

from sgdbench.analysis.paths import recorded_paths, typical_paths
from sgdbench.engine.check import check
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import read_run_data
from sgdbench.store.evidence import store_tables
from sgdbench.study.load import load_study
from sgdbench.tables.costs import COST_SETTINGS, PER_UPDATE
from tests.support.studies import train_study

X, Y = '<script>alert("x")</script>|$x$', "$y|\\alpha<img src=x onerror=hacked()>"
STARTS = ["<script>alert(1)</script>", "$x$|`a*b*`", "```\n# ../x</script><script>alert(2)</script>%{x}&lt;"]
TITLE = '# <script>alert("title")</script> $x$ [a](javascript:b) `c` <!-- \u2028'
STUDY = """
name = "../<b>$x$|*"
title = '''{title}'''
description = '''```
<script>'''
data = {{ path = "table.csv", x = ['{x}'], y = '{y}', standardize = true }}
model = {{ expression = "a*x**2 + b*x + c", inputs = ["x"] }}
[grid]
lr = [0.02, 0.2, 5.0]
batch_size = [4, "full"]
optimizer = ["sgd", "momentum(0.9)"]
seed = [0, 1]
shuffle = true
[grid.init]
'{starts[0]}' = [0.0, 0.0, 0.0]
'{starts[1]}' = [90.0, -90.0, 90.0]
"{third}" = [-1.0, 1.0, 0.0]
[run]
epochs = 30
target = 0.02
kernel = "fused"
"""


def hostile_study(place):
    """Write the study and its data into a folder."""
    x = np.linspace(10, 30, 60)
    noise = np.random.default_rng(0).normal(0, 1, 60)
    pd.DataFrame({X: x, Y: 0.5 * x**2 - 3 * x + 7 + noise}).to_csv(place / "table.csv", index=False)
    study = STUDY.format(title=TITLE, x=X, y=Y, starts=STARTS, third=STARTS[2].replace("\n", "\\n"))
    (place / "study.toml").write_text(study, encoding="utf-8")
    return load_study(place / "study.toml")


def hostile_run(place):
    """Run it, without the measurements of speed, and write its report; returns the run's folder."""
    study, folder = hostile_study(place), place / "run"
    data, _ = study.dataset()
    result = train_study(study, folder)
    chosen = replace(result, frame=result.frame.head(2), starts=result.starts[:2])
    checked = check(chosen, study.run, data.x, data.y)
    replayed = {
        "typical_paths": typical_paths(result, study.run, data),
        "paths": recorded_paths(result, study.run, data),
    }
    store_tables(folder, check=checked, costs=make_costs(result.frame), **replayed)
    write_run_report(read_run_data(folder))
    return folder


def make_costs(frame):
    """Times of an update, made up: nothing here is about how fast the machine is."""
    costs = frame[COST_SETTINGS].drop_duplicates().assign(variant="fused", note="")
    return costs.assign(**dict(zip(PER_UPDATE, (2e-8, 1.9e-8, 2.2e-8), strict=True)))
