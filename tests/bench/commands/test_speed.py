import re
from functools import partial

import numpy as np
import pandas as pd
import pytest

from sgdbench.commands.parse import split_list
from sgdbench.commands.speed import run_speed, select_variants
from sgdbench.study.load import load_study, to_toml, with_settings
from sgdbench.tables.formatting import MISSING
from sgdbench.timing import budget as targets
from sgdbench.timing.budget import ROOF, TARGETS, Target, measure_target, targets_table
from sgdbench.timing.paired import Timings
from sgdbench.timing.problem import Trained, classic, many
from sgdbench.timing.variants import VARIANTS, VARIANTS_BY_NAME
from sgdbench.timing.verify import NotVerifiedError, verify
from sgdbench.timing.workload import BATCH_RUNS, BATCH_UPDATES, batch_of_runs, study_problems

STUDY = load_study("quadratic")


@pytest.fixture
def short_study(tmp_path):
    """A file with the study of the quadratic, for few epochs."""
    path = tmp_path / "short.toml"
    path.write_text(to_toml(with_settings(STUDY, {"run.epochs": 2})), encoding="utf-8")
    return path


def test_a_study_is_a_problem_of_one_run_and_of_many():
    one, batch = study_problems(STUDY, STUDY.dataset()[0], optimizer="adam", batch_size="full", shuffle=True)
    assert one.model.expression == "a*x**2 + b*x + c"
    assert (one.runs, one.epochs, one.batch_size, one.shuffle, one.optimizer) == (1, 100, 800, True, "adam")
    assert one.rates[0, 0] == min(STUDY.grid.lr)
    np.testing.assert_array_equal(one.inits[0], STUDY.make_grid().starts(one.model)[0, 0])
    assert (batch.runs, batch.batch_size, batch.optimizer) == (BATCH_RUNS, 800, "adam")
    assert BATCH_UPDATES * 0.9 < batch.sample_updates <= BATCH_UPDATES
    assert batch.rates.max() == one.rates.max()


def test_large_data_make_no_longer_a_call():
    batch = batch_of_runs(classic(1, n=1_000_000))
    assert (batch.epochs, batch.runs) == (1, BATCH_RUNS)
    assert batch.sample_updates <= BATCH_UPDATES


def test_a_study_that_diverges_has_no_speed():
    with pytest.raises(ValueError, match="the smallest rate, 9, with sgd and batches of 1 diverges"):
        study_problems(with_settings(STUDY, {"grid.lr": [9.0, 10.0]}), STUDY.dataset()[0])


def test_variants_by_name_come_with_the_baseline():
    assert [variant.name for variant in select_variants(["C", "lanes"], peers=False)] == ["fused", "lanes", "C"]
    found = select_variants(split_list("lanes, all cores,lanes,JAX, many runs"), peers=False)
    assert [variant.name for variant in found] == [
        "fused", "lanes", "lanes, all cores", "JAX, many runs"
    ]  # fmt: skip
    assert all(variant.package is None for variant in select_variants(None, peers=False))
    assert select_variants(None, peers=True) == list(VARIANTS)
    with pytest.raises(ValueError, match=r"--only must name variants among reference; fused; .*, not 'warp'"):
        select_variants(["warp"], peers=False)
    with pytest.raises(ValueError, match=r"not 'fusedd' \(did you mean 'fused'\?\); your own come"):
        select_variants(["fusedd"], peers=False)
    with pytest.raises(ValueError, match="--peers and --only exclude each other; name the peers in --only"):
        select_variants(["fused"], peers=True)


def test_a_race_leaves_tables_and_a_figure(tmp_path, capsys):
    settings = {"peers": False, "optimizer": "sgd", "batch_size": 1, "shuffle": False, "targets": False}
    study = with_settings(STUDY, {"run.epochs": 2})
    assert run_speed(study, ["reference", "C"], seconds=0.1, out=tmp_path / "speed", **settings)
    written = {path.name for path in (tmp_path / "speed").iterdir()}
    tables = {f"speed.{kind}" for kind in ("csv", "parquet", "md", "tex")}
    assert written == tables | {"speed_rounds.parquet", "environment.json", "speed.png"}
    assert "| ✓ bit for bit |" in (tmp_path / "speed" / "speed.md").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    first, blank, problem = said.splitlines()[:3]
    assert (first.partition(":")[0], blank) == ("Fastest kernel", "")
    assert problem == "a*x**2 + b*x + c, 800 samples, sgd, sample by sample, in sequence"
    assert "Noise: fused against itself differs by " in said
    assert " share of the roof " in said
    table = pd.read_parquet(tmp_path / "speed" / "speed.parquet")
    assert table["variant"].tolist() == ["reference", "fused", "C"]
    assert table["share"].notna().tolist() == [False, True, False]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sgdbench.json").touch()
    with pytest.raises(ValueError, match="run is the folder of a run and was not changed: choose another one"):
        run_speed(study, ["C"], seconds=0.1, out=tmp_path / "run", **settings)
    assert len(list((tmp_path / "run").iterdir())) == 1
    with pytest.raises(
        ValueError, match=r"sgdbench.json cannot be written: File exists; choose another one with --out"
    ):
        run_speed(study, ["C"], seconds=0.1, out=tmp_path / "run" / "sgdbench.json", **settings)


def test_a_wrong_baseline_is_named_with_its_error_and_the_others_are_timed(
    wrong_fused, sgdbench, short_study, tmp_path
):
    only = ["--only", "reference,lanes,C"]
    code, out, err = sgdbench("speed", short_study, *only, "--seconds", 0.1, "--out", "speed")
    assert (code, err) == (1, "")
    assert re.search(rf"^ *fused +no: off by 0\.\d+ +{MISSING} ", out, re.MULTILINE)
    assert re.search(r"^ +lanes +bit for bit +\d", out, re.MULTILINE)
    assert re.search(r"^fused was not timed: the first call is off by 0\.\d+; allowed: 0$", out, re.MULTILINE)
    assert "Noise: reference against itself differs by" in out
    table = pd.read_parquet(tmp_path / "speed" / "speed.parquet").set_index("variant")
    right = {"reference": True, "fused": False, "lanes": True, "C": True}
    assert table["verified"].to_dict() == table["ns"].notna().to_dict() == right
    assert table.loc[["lanes", "C"], "to_reference"].notna().all()
    assert set(pd.read_parquet(tmp_path / "speed" / "speed_rounds.parquet")["variant"]) == {"reference", "lanes", "C"}
    assert "✗ no: off by 0." in (tmp_path / "speed" / "speed.md").read_text(encoding="utf-8")


def test_a_wrong_baseline_does_not_make_a_study_diverge(monkeypatch):
    fused = VARIANTS_BY_NAME["fused"]
    nowhere = Trained(np.full((1, 3), np.nan), np.full((2, 1), np.nan))
    monkeypatch.setitem(VARIANTS_BY_NAME, "fused", fused._replace(prepare=lambda problem: lambda: nowhere))
    one, _ = study_problems(with_settings(STUDY, {"run.epochs": 1}), STUDY.dataset()[0])
    with pytest.raises(NotVerifiedError, match="the first call is off by inf"):
        verify(VARIANTS_BY_NAME["fused"], one)


def test_every_target_is_of_variants_that_take_its_problem():
    for target in TARGETS:
        others = [] if target.other == ROOF else [(target.other, target.other_on())]
        for name, problem in [(target.ours, target.ours_on()), *others]:
            assert VARIANTS_BY_NAME[name].lacks(problem) is None
            assert VARIANTS_BY_NAME[name].many == (problem.runs > 1)


def estimate(row):
    return row["faster_low"], row["faster"], row["faster_high"]


def turns_of(**times):
    """What takes turns: each call takes the time that is given for it."""

    def take_turns(calls, **settings):
        row = [*(times[name] for name in calls), times["ours"]]
        return Timings((*calls, "ours again"), np.tile(row, (20, 1)), (1,) * len(row))

    return take_turns


def test_a_target_is_held_against_the_time_of_a_sample_update(monkeypatch):
    """The same problem against a tenth of it, in half of its time: five times as fast for a sample-update."""
    monkeypatch.setattr("sgdbench.timing.budget.take_turns", turns_of(ours=2.0, other=1.0, roof=1.0))
    whole, tenth = (lambda: classic(200)), (lambda: classic(20))
    found = measure_target(Target("itself", "fused", whole, "fused", tenth, 1), seconds=0.2)
    assert estimate(found) == pytest.approx((5, 5, 5))


def test_the_share_of_the_roof_is_a_row_of_the_budget(monkeypatch):
    monkeypatch.setattr("sgdbench.timing.budget.take_turns", turns_of(ours=2.0, other=1.8))
    (target,) = [target for target in TARGETS if target.other == ROOF]
    few = target._replace(ours_on=lambda: many(runs=32, epochs=1), other_on=lambda: many(runs=32, epochs=1))
    assert estimate(measure_target(few, seconds=0.2)) == pytest.approx((0.9, 0.9, 0.9))
    none = few._replace(ours="fused", ours_on=lambda: classic(1, 16), other_on=lambda: classic(1, 16))
    assert measure_target(none, seconds=0.2)["note"].startswith("its roof: in batches neither")


def test_rows_of_kernels_with_a_roof_have_their_share_of_it(monkeypatch):
    monkeypatch.setattr("sgdbench.timing.budget.take_turns", turns_of(ours=2.0, other=6.0, roof=1.5))
    single, batches = (lambda: classic(1)), (lambda: classic(1, 16))
    found = measure_target(Target("per sample", "fused", single, "NumPy scalars", single, 1), seconds=0.2)
    assert (found["faster"], found["share"]) == pytest.approx((3, 0.75))
    found = measure_target(Target("batches", "fused", batches, "fused", batches, 1), seconds=0.2)
    assert found["faster"] == pytest.approx(3)
    assert "share" not in found


def test_a_target_that_cannot_be_measured_says_why(monkeypatch):
    target = Target("no adam in C", "fused", partial(classic, 1), "C", lambda: classic(1, optimizer="adam"), 2)
    monkeypatch.setattr("sgdbench.timing.budget.TARGETS", (target,))
    (row,) = targets_table(seconds=0.1).to_dict("records")
    assert row["note"] == "C: it does not support adam"
    assert pd.isna(row["faster"])
    assert pd.isna(row["met"])
    assert pd.isna(row["verified"])


def test_a_target_that_is_not_verified_says_so(monkeypatch, wrong_fused):
    short = partial(classic, 3)
    monkeypatch.setattr("sgdbench.timing.budget.TARGETS", (Target("all", "C", short, "fused", short, 2),))
    (row,) = targets_table(seconds=0.1).to_dict("records")
    assert row["verified"] is False
    assert re.fullmatch(r"fused: not verified: the first call is off by 0\.\d+; allowed: 0", row["note"])
    assert pd.isna(row["faster"])
    assert pd.isna(row["met"])


@pytest.mark.parametrize(("verified", "code", "reached"), [(True, 0, "yes"), (False, 1, "not verified")])
def test_a_budget_that_is_not_verified_is_told_and_fails(monkeypatch, sgdbench, short_study, verified, code, reached):
    def measured(**settings):
        row = {"what": "all", "variant": "fused", "against": "C", "verified": verified, "target": 2.0, "note": ""}
        if verified is True:
            row |= {"faster": 3.0, "faster_low": 2.5, "faster_high": 3.5}
        else:
            row |= {"note": "C: it has a reason"}
        return pd.DataFrame([row], columns=targets.TARGET_COLUMNS).astype({"verified": "boolean"})

    monkeypatch.setattr("sgdbench.commands.speed.targets_table", measured)
    given = ["--only", "C", "--batch-size", 16, "--seconds", 0.1, "--targets", "--out", "speed"]
    ended, out, _ = sgdbench("speed", short_study, *given)
    assert ended == code
    assert "fused: no roof, because in batches neither the latencies nor the units alone limit one run" in out
    assert out.count("share of the roof") == 1  # in the table of targets
    assert re.search(rf"^ *all +fused +C .* {reached}$", out, re.MULTILINE)
    assert ("fused against C: C: it has a reason\n" in out) == (verified is not True)
