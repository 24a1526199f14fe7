"""tune(): Optuna proposes settings, the kernels train them, and the best ones are confirmed on fresh seeds."""

import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bench.engine.confirm import fresh_seeds, join_plans, plan_choices
from bench.engine.memory import Memory, longest_run
from bench.engine.optuna_storage import open_trials_file
from bench.engine.problem import Problem, make_problem
from bench.engine.rounds import Round
from bench.engine.search import ROUND, Asked, Search, halving_epochs
from bench.engine.sweep import check_settings, find_executor, record_settings, sweep
from bench.engine.train import Executor, identity_of, loss_stride, rules_of, train_plan
from bench.store.evidence import read_table_of, store_tables
from bench.store.results import CONFIRMATION
from bench.store.run_folder import OpenRun, explain_os_errors, open_run
from bench.store.tuning import GRID, IMPORTANCE, TRIALS, TuneResult, load_tuning
from bench.study.grid import Grid
from bench.study.space import Space, check_double, check_pruner, check_sampler
from bench.tables.choice_ranking import ranking, recommended_choice
from bench.tables.run_costs import CHOICES, loss_floor
from bench.tables.trial_value import families_of, value_by_loss, value_by_target
from kernels import Model
from kernels.checks import check_integer, check_seed, describe
from kernels.columns import Inputs
from kernels.loss import Loss
from kernels.models import make_model
from kernels.run import CONVERGED, DIVERGED, MAX_EPOCHS, Floats

# So many of the tied choices are confirmed, besides the first of each optimizer.
MOST_CONFIRMED = 20


def tune(
    model: Model | str,
    x: Inputs,
    y: ArrayLike,
    space: Space,
    *,
    trials: int = 1000,
    sampler: str = "tpe",
    pruner: str = "asha",
    sampler_seed: int = 0,
    grid: Grid | None = None,
    epochs: int = 100,
    target: float | None = None,
    loss: str | Loss = "squared",
    drop_last: bool = True,
    kernel: str = "lanes",
    record: str | int = "log",
    confirm: int = 20,
    validation: float | tuple[Inputs, ArrayLike] | None = None,
    patience: int | None = None,
    executor: object = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> TuneResult:
    """Search a space for the best settings.

    Each optimizer of the space has as many trials as any other. A trial is a choice of settings, trained from every
    start with every seed. Its value is what it costs to reach the target once, the samples that all of its runs have
    seen for each run that reached it; without a target, the mean logarithm of the final losses, or of the lowest on
    held-out samples. A trial of which a run diverges is given up, and so is one that `pruner` finds not worth going on
    with. The best trials are then trained again with fresh seeds.

    The same arguments give the same trials, also where a search is interrupted and goes on.

    Parameters
    ----------
    model, x, y, epochs, target, loss, drop_last, kernel, record, validation, patience, executor, out, study
        As for `bench.sweep`.
    space : Space
        What may be tuned, from which starts and with which seeds.
    trials : int
        How many in all. More of them go on with a search that `out` holds.
    sampler : str
        What proposes settings: ``"tpe"``, ``"cmaes"``, ``"random"`` or ``"qmc"``.
    pruner : str
        What gives trials up: ``"asha"`` or ``"hyperband"``, which compare them after `search.halving_epochs`, or
        ``"none"``.
    sampler_seed : int
        Another one gives other trials.
    grid : Grid, optional
        Trained too, into a folder of its own, as a yardstick.
    confirm : int
        On so many fresh seeds; 0 leaves that out.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of trials done.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C, after what is done has reached the disk.
    """
    model = model if isinstance(model, Model) else make_model(model)
    if not isinstance(space, Space):
        raise ValueError(f"space must be a Space, not {describe(space)}")
    if grid is not None:
        check_double(grid)
    trials, sampler, pruner = check_integer("trials", trials), check_sampler(sampler), check_pruner(pruner)
    sampler_seed = check_seed(sampler_seed)
    settings = check_settings(epochs, target, loss, drop_last, kernel, record, confirm, 0, patience)
    run_jobs = find_executor(executor)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sgdbench-")) if out is None else out)
        problem = make_problem(model, x, y, settings, folder, validation)
        searches = [
            Search(
                space,
                family,
                problem.y.size,
                epochs=settings.epochs,
                sampler=sampler,
                pruner=pruner,
                seed=sampler_seed,
            )
            for family in space.families
        ]
        about = space.identity() | {"sampler": sampler, "sampler_seed": str(sampler_seed), "pruner": pruner}
        size = trials * space.pairs
        n, least = problem.y.size, space.least_batch(problem.y.size)
        length = longest_run(settings.record, n, least, settings.epochs, drop_last=settings.drop_last)
        Memory.of(model, settings, held_out=validation is not None).check(ROUND * space.pairs, length)
        longest = problem.clock.marks(least, settings.epochs).size
        every = loss_stride(size, longest)
        with open_run(folder, study, identity_of(problem) | about, resume=resume, every=every) as run:
            run.record_study(study)
            tuning = _Tuning(run, problem, space, searches, run_jobs)
            with open_trials_file(folder, searches) as copy:
                tuning.train(trials, copy, progress)
        if grid is not None:
            shared = settings.model_dump() | {
                "confirm": 0,
                "validation": validation,
                "resume": True,
                "executor": run_jobs,
            }
            sweep(model, x, y, grid, **shared, out=folder / GRID, study=study)
        importance = [
            {"family": search.family.text, "parameter": name, "importance": share}
            for search in searches
            for name, share in search.importance().items()
        ]
        record_settings(folder, settings)
        columns = ["family", "parameter", "importance"]
        store_tables(folder, **{IMPORTANCE: pd.DataFrame(importance, columns=columns)})
        result = load_tuning(folder)
        if settings.confirm:
            choices = choices_to_confirm(result, loss_floor(problem.y))
            if len(choices):
                used = {*space.repeats.seed, *(grid.seed if grid else ())}
                rows = plan_choices(choices, fresh_seeds(used, settings.confirm), space.repeats, problem)
                train_plan(problem, rows, folder / CONFIRMATION, study, resume=True, executor=run_jobs)
        weakref.finalize(result.result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return result


def choices_to_confirm(result: TuneResult, floor: float) -> pd.DataFrame:
    """Return the choices that are trained again with fresh seeds.

    The first ones of those that are tied, the first one of each optimizer, and the one that the grid recommends; none
    where no trial was trained to its end.
    """
    frame = result.result.frame
    if frame.empty:
        return pd.DataFrame(columns=CHOICES)
    ranked = ranking(frame, floor=floor)
    leading = ranked["tied"] & (ranked["tied"].cumsum() <= MOST_CONFIRMED)
    first = ~pd.Series(families_of(ranked, result.trials)).duplicated()
    chosen = [ranked[leading | first][CHOICES]]
    if result.grid is not None and len(result.grid.frame):
        chosen.append(recommended_choice(ranking(result.grid.frame, floor=floor))[CHOICES].to_frame().T)
    joined = pd.concat([part.astype({"optimizer": object, "schedule": object}) for part in chosen])
    return joined.drop_duplicates().reset_index(drop=True)


def plan_trials(settings: pd.DataFrame, space: Space, model: Model, n_samples: int) -> pd.DataFrame:
    """Return the rows of a plan: each of the choices, from each start of a space with each of its seeds."""
    repeats = space.repeats.frame(model, n_samples)
    count = len(repeats)
    plan = pd.concat([repeats] * len(settings), ignore_index=True)
    for name in CHOICES:
        values = np.repeat(settings[name].to_numpy(), count)
        plan[name] = pd.Categorical(values) if name in {"optimizer", "schedule"} else values
    return plan.astype({"lr": float, "batch_size": np.int64, "shuffle": bool})


class _Tuning:
    """The search as it goes on in an open folder."""

    def __init__(
        self, run: OpenRun, problem: Problem, space: Space, searches: list[Search], executor: Executor
    ) -> None:
        self.run, self.problem, self.space, self.searches = run, problem, space, searches
        self.executor = executor
        self.epochs = [*halving_epochs(problem.settings.epochs), problem.settings.epochs]
        self.floor = loss_floor(problem.y)
        stored = run.configurations(["config_id"])["config_id"]
        self.known = set(stored)
        self.rows = read_table_of(run.folder, TRIALS) if self.known else pd.DataFrame()
        for search in searches:
            own = self.rows[self.rows["family"] == search.family.text] if len(self.rows) else self.rows
            search.restore(own)
        settings = self.rows[CHOICES].drop_duplicates() if len(self.rows) else self.rows
        self.plan = self._make_plan(settings) if len(settings) else pd.DataFrame()

    def train(self, trials: int, copy: Callable[[Search], None], progress: Callable[[int], None]) -> None:
        """Train rounds of the optimizers in turn, until there are so many trials in all."""
        share, rest = divmod(trials, len(self.searches))
        budgets = [share + (place < rest) for place in range(len(self.searches))]
        progress(len(self.rows))
        while True:
            done = [len(search.study.get_trials(deepcopy=False)) for search in self.searches]
            left = [budget - count for budget, count in zip(budgets, done, strict=True)]
            if max(left) <= 0:
                break
            place = min((place for place in range(len(left)) if left[place] > 0), key=lambda place: done[place])
            search = self.searches[place]
            # A round that was cut short by the number of trials is completed first: rounds begin at multiples.
            self._train_round(search, search.ask(min(ROUND - done[place] % ROUND, left[place])))
            copy(search)
            progress(len(self.rows))

    def _train_round(self, search: Search, asked: list[Asked]) -> None:
        """Train some trials of one optimizer, as far as each is worth it, and store what they gave."""
        # Trials with the same settings are the same runs.
        distinct, places = _distinct([one.settings for one in asked])
        plan = self._make_plan(distinct)
        own = np.arange(len(plan)).reshape(len(distinct), -1)[places]
        self._record(plan)
        runs = Round.begin(
            self.run,
            self.problem,
            plan,
            self.known,
            options_per_run=bool(search.family.ranges),
            executor=self.executor,
        )
        self.known |= set(plan["config_id"])
        round_number = int(self.rows["round"].max()) + 1 if len(self.rows) else 0
        going = dict(enumerate(asked))
        rows: dict[int, dict[str, Any]] = {}
        for epoch in self.epochs:
            losses = runs.train(epoch)
            state = runs.state_after(epoch)
            samples = runs.samples_after(epoch)
            for place, one in list(going.items()):
                mine = own[place]
                diverged = state[mine] == DIVERGED
                over = bool((state[mine] != MAX_EPOCHS).all()) or epoch == self.epochs[-1]
                value = math.inf if diverged.any() else self._value(one, state[mine], samples[mine], losses[mine])
                # Asked of all of them, so that the others compete with those that are over too.
                is_pruned = one.report(epoch, value)
                if over or diverged.any() or is_pruned:
                    rows[place] = search.tell(
                        one,
                        "diverged" if diverged.any() else "complete" if over else "pruned",
                        value,
                        epochs=epoch,
                        samples=int(samples[mine].sum()),
                        round=round_number,
                        converged=int((state[mine] == CONVERGED).sum()),
                        runs=len(mine),
                        diverged_after=int(samples[mine][diverged].min()) if diverged.any() else -1,
                    )
                    del going[place]
            left = np.ones(len(plan), np.bool_)
            left[own[list(going)].ravel()] = False
            runs.leave_out(left)
            if not going:
                break
        self._store(search, [rows[place] for place in range(len(asked))])

    def _make_plan(self, settings: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a plan for the settings of trials, with their ids."""
        return self.problem.with_ids(plan_trials(settings, self.space, self.problem.model, self.problem.y.size))

    def _value(self, one: Asked, state: NDArray[np.int64], samples: NDArray[np.integer], losses: Floats) -> float:
        """Return what a trial is worth; runs that are not over count as if they never reached the target."""
        settings = self.problem.settings
        if settings.target is None:
            return value_by_loss(losses, self.floor, nonnegative=self.problem.loss.nonnegative)
        whole = settings.epochs * self.problem.clock.samples_per_epoch(one.settings["batch_size"])
        spent = np.where(state == MAX_EPOCHS, whole, samples)
        return value_by_target(spent, state == CONVERGED, losses, settings.target, self.floor)

    def _record(self, plan: pd.DataFrame) -> None:
        """Put the rows of a round on record, with all before them."""
        self.run.record_rules(rules_of(self.problem, plan))
        whole = join_plans([self.plan, plan]) if len(self.plan) else plan
        self.plan = whole.drop_duplicates("config_id").reset_index(drop=True)
        self.run.record_plan(self.plan)

    def _store(self, search: Search, rows: list[dict[str, Any]]) -> None:
        """Store the rows of a round."""
        self.rows = pd.concat([self.rows, pd.DataFrame(rows)], ignore_index=True)
        with explain_os_errors(self.run.folder):
            store_tables(self.run.folder, **{TRIALS: self.rows})


def _distinct(settings: list[dict[str, Any]]) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the settings that differ, and the place among them of each of those given."""
    keys = [tuple(one[name] for name in CHOICES) for one in settings]
    found = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return pd.DataFrame(list(found), columns=CHOICES), np.array([found[key] for key in keys])
