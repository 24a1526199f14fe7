"""The losses of the recommended choice on samples that had no part in choosing it."""

import pandas as pd

from bench.engine.fingerprint import hash_columns
from bench.engine.problem import Problem
from bench.store.evidence import read_tables, store_tables
from bench.store.results import SweepResult
from bench.tables.excess import add_excess
from bench.tables.ranking import recommended_choice, runs_of
from bench.tables.run_costs import loss_floor
from bench.tables.shortfall import share_of_most_frequent
from bench.tables.winners import confirm, confirmation_of
from kernels.losses.classes import takes_classes
from kernels.model.param_columns import param_columns, params_from_columns
from kernels.train.fit_result import mean_loss, metrics_on
from kernels.train.yardstick import constant_loss


def confirmed_ranking(
    result: SweepResult, ranked: pd.DataFrame, problem: Problem, rivals: str = "optimizer"
) -> pd.DataFrame:
    """Return a ranking in which the runs on fresh seeds decide, where there are any: `bench.tables.winners.confirm`.

    Those of an earlier time count too, as in what is announced.
    """
    fresh = confirmation_of(result, ranked, read_tables(result.run.folder).get("settings"), rivals)
    if fresh is None:
        return ranked
    floor = loss_floor(problem.y)
    compared = add_excess(fresh.frame, result.yardstick, floor, result.frame)
    return confirm(ranked, compared, rivals=rivals, floor=floor)


def judge_choice(result: SweepResult, ranked: pd.DataFrame, problem: Problem) -> None:
    """Store the losses of the recommended choice on the samples for the test, run by run, in the folder of a sweep.

    They are the runs by which it was chosen and, where there are any, those on fresh seeds. This comes after all that
    is decided, and nothing is decided by it.
    """
    loss, test = problem.loss, problem.test
    if test is None or not len(ranked):
        return
    frames = [result.frame] if result.confirmation is None else [result.frame, result.confirmation.frame]
    model, columns = result.model, ["config_id", "samples_seen", *param_columns(result.model)]
    own = pd.concat([runs_of(frame, recommended_choice(ranked))[columns] for frame in frames], ignore_index=True)
    rows = [
        {"loss": mean_loss(model, loss, params, *test)} | metrics_on(model, loss, params, *test)
        for params in params_from_columns(model, own)
    ]
    about = own[columns[:2]].assign(rows=test[1].size, constant=constant_loss(loss, test[1]))
    if takes_classes(loss) and "accuracy" in rows[0]:
        about["most_frequent"] = share_of_most_frequent(test[1])
    about["data"] = hash_columns(*test[0], test[1])
    store_tables(result.run.folder, test=pd.concat([about, pd.DataFrame(rows)], axis=1))
