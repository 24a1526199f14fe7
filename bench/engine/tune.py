"""tune(): Optuna proposes settings, the kernels train them, and the best ones are confirmed on fresh seeds."""

import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bench.engine.confirm import fresh_seeds, train_on_fresh_seeds
from bench.engine.final_test import confirmed_ranking, judge_choice
from bench.engine.jobs import MANY_OPTIONS
from bench.engine.memory import Memory
from bench.engine.plan import join_plans, plan_choices
from bench.engine.problem import Problem, make_problem
from bench.engine.recording import record_settings
from bench.engine.rounds import Round
from bench.engine.search import ROUND, Search, halving_epochs
from bench.engine.settings import TuneSettings, check_settings
from bench.engine.sweep import check_grid, check_progress, find_executor, open_folder, rank_runs, sweep
from bench.engine.train import Executor, Trainer, identity_of, loss_stride, rules_of
from bench.engine.yardstick import held_out_floor, settle_yardstick
from bench.store.evidence import store_tables
from bench.store.journal import open_journal, seal_journal
from bench.store.run_folder import OpenRun, check_study, explain_os_errors, hold_run, open_run
from bench.store.tuning import GRID, IMPORTANCE, IMPORTANCE_COLUMNS, TuneResult, load_tuning
from bench.study.grid import Grid
from bench.study.space import SearchSettings, Space, check_double
from bench.tables.excess import add_excess
from bench.tables.run_costs import CHOICES, loss_floor
from bench.tables.search_and_grid import join_grid, rank_with_grid
from bench.tables.trial_value import rank_trials, trial_value
from bench.tables.winners import MOST, winners
from kernels import Model
from kernels.base.checks import describe
from kernels.base.columns import Inputs
from kernels.base.run import CONVERGED, DIVERGED, MAX_EPOCHS, Floats

if TYPE_CHECKING:
    from distributed import Client
    from optuna import Trial


def tune(
    model: Model | str,
    x: Inputs,
    y: ArrayLike,
    space: Space,
    *,
    grid: Grid | None = None,
    executor: Union[str, "Client", Executor] = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
    **settings: Unpack[TuneSettings],
) -> TuneResult:
    """Search a space for the best settings, and return a `bench.TuneResult`.

    Each optimizer of the space has the same number of trials. A trial is a choice of settings, trained from every
    start with every seed. Its value is the logarithm, to base 10, of the number of samples that all of its runs have
    seen for each run that reached the target; without a target, the mean logarithm of the final losses, or of those on
    held-out samples, with the parameters that runs keep. A trial is given up if one of its runs diverges, or if the
    pruner decides so. The best trials are then trained again with fresh seeds.

    The same arguments give the same trials. A search that was stopped goes on from all trials that it had asked for;
    the trials that follow may differ from those of a search that was not stopped.

    Parameters
    ----------
    model, x, y, executor, out, study
        As for `bench.sweep`.
    space : Space
        The ranges, the starts and the seeds.
    grid : Grid, optional
        Trained too, into a folder of its own, as a yardstick.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of trials done.
    **settings
        Those of a study's tables. [tune]: `trials`, their number in all, 1,000 by default; a larger number goes on
        with a search that `out` holds. `sampler`: ``"tpe"``, the default, ``"cmaes"``, ``"random"`` or ``"qmc"``.
        `pruner`: ``"asha"``, the default, or ``"hyperband"``, which compare trials after
        `bench.engine.search.halving_epochs`, or ``"none"``. [run] and [data]: `epochs`, `target`, `loss`, `drop_last`,
        `shuffling`, `kernel`, `record`, `confirm`, `patience`, `validation` and `test`, as for `bench.sweep`. And
        `sampler_seed`, 0 by default, which studies do not have.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C, after what is done has reached the disk.
    """
    if not isinstance(space, Space):
        raise ValueError(f"space must be a Space, not {describe(space)}")
    shared, held_out, about_search = check_settings("tune", TuneSettings, settings, Space)
    searched = SearchSettings(**about_search)
    run_jobs = find_executor(executor)
    check_progress(resume, progress)
    check_study(study)
    with ExitStack() as stack:
        folder = open_folder(stack, out)
        problem = make_problem(model, x, y, shared, folder, **held_out)
        if grid is not None:  # one that does not fit the data is refused before the search
            check_grid(grid, problem)
            check_double(grid)
            grid.frame(problem.model, problem.y.size)

        def train_grid() -> None:
            if grid is not None:
                about = shared.of_sweep() | held_out | {"confirm": 0, "executor": run_jobs}
                sweep(problem.model, x, y, grid, **about, out=folder / GRID, study=study)

        search = _Tuning(problem, space, searched, run_jobs)
        with hold_run(folder):
            search.train(folder, study, train_grid, resume=resume, progress=progress)
            drawn = space.repeats.drawn
            record_settings(folder, shared.epochs, **held_out, classes=problem.classes, drawn=drawn)
            result, floor = load_tuning(folder), loss_floor(problem.y)
            settle_yardstick(problem, result.result.starts, folder)
            if shared.confirm and len(choices := choices_to_confirm(result, floor)):
                known = {*space.repeats.seed, *(result.grid.frame["seed"] if result.grid else ())}
                seeds = fresh_seeds(known, shared.confirm)
                train_on_fresh_seeds(Trainer(problem, folder, study, run_jobs), choices, seeds, space.repeats)
            if problem.test is not None and len(result.result.frame):
                joined, of_grid = join_grid(result, floor)
                runs = add_excess(result.result.frame, joined.yardstick, floor)
                ranked = rank_with_grid(runs, result.trials, of_grid, floor=floor)
                judge_choice(joined, confirmed_ranking(joined, ranked, problem, rivals="family"), problem)
        weakref.finalize(result.result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return result


def choices_to_confirm(result: TuneResult, floor: float) -> pd.DataFrame:
    """Return the choices that are trained again with fresh seeds; none where no trial was trained to its end.

    They are the first of those that are tied, the first of each optimizer, and those of the grid that a sweep of it
    would train again.
    """
    if result.result.frame.empty:
        return pd.DataFrame(columns=CHOICES)
    ranked = _rank(result, floor)
    leading = ranked["tied"] & (ranked["tied"].cumsum() <= MOST)
    chosen = [ranked[leading | ~ranked["family"].duplicated()][CHOICES]]
    if result.grid is not None and len(result.grid.frame):
        chosen.append(winners(rank_runs(result.grid, floor))[CHOICES])
    joined = pd.concat([part.astype({"optimizer": object, "schedule": object}) for part in chosen])
    return joined.drop_duplicates().reset_index(drop=True)


def _rank(result: TuneResult, floor: float) -> pd.DataFrame:
    """Rank the choices of the trials that were trained to their end."""
    runs = add_excess(result.result.frame, result.result.yardstick, floor)
    return rank_trials(runs, result.trials, floor=floor)


class _Tuning:
    """A search for the settings of a problem: the searches of the optimizers, and the runs of their trials."""

    def __init__(self, problem: Problem, space: Space, searched: SearchSettings, executor: Executor) -> None:
        self.problem, self.space, self.searched, self.executor = problem, space, searched, executor
        settings, n, families = problem.settings, problem.y.size, len(space.families)
        if searched.trials < families:
            raise ValueError(f"trials must be at least {families}, one for each optimizer, not {searched.trials}")
        self.epochs, self.floor = [*halving_epochs(settings.epochs), settings.epochs], loss_floor(problem.y)
        if problem.counted_loss == "validation_loss":
            self.floor = max(self.floor, held_out_floor(problem))
        self.least_batch = space.least_batch(n)
        Memory.of(problem).check(ROUND * space.pairs, self.least_batch)
        self.plan = pd.DataFrame()

    def train(
        self,
        folder: Path,
        study: str,
        train_grid: Callable[[], None],
        *,
        resume: bool,
        progress: Callable[[int], None],
    ) -> None:
        """Train rounds of the optimizers in turn, into a folder, until there are all trials.

        The grid comes first: one that the folder refuses is refused before the search goes on.
        """
        last = self.problem.clock.last_mark(self.least_batch, self.epochs[-1])
        every = loss_stride(self.searched.trials * self.space.pairs, last)
        identity = identity_of(self.problem) | self.space.identity() | self.searched.identity()
        # A trial is judged after this number of epochs: trials of another number are no rivals.
        identity["epochs"] = str(self.problem.settings.epochs)
        with open_run(folder, study, identity, resume=resume, every=every) as run:
            train_grid()
            optimizers, schedules = self.space.families, self.space.schedules
            named = [one.lowest for one in optimizers], [one.lowest for one in schedules]
            run.record_rules(rules_of(self.problem, *named, study))
            run.record_study(study)
            searches = self._open_searches(run)
            budgets = np.full(len(searches), self.searched.trials // len(searches))
            budgets[: self.searched.trials % len(searches)] += 1
            while True:
                done = np.array([len(search.trials) for search in searches])
                progress(int(done.sum()))
                if (done >= budgets).all():
                    break
                place = int(np.argmin(np.where(done < budgets, done, np.inf)))
                # Rounds begin at multiples: one that was cut short by the number of trials is completed first.
                search = searches[place]
                count = min(search.round_size - done[place] % search.round_size, budgets[place] - done[place])
                self._train_round(run, search, search.ask(count))
                with explain_os_errors(folder):
                    search.write()
                    seal_journal(folder)
        importance = [
            {"family": search.family.text, "parameter": name, "importance": share}
            for search in searches
            for name, share in search.importance().items()
        ]
        store_tables(folder, **{IMPORTANCE: pd.DataFrame(importance, columns=IMPORTANCE_COLUMNS)})

    def _open_searches(self, run: OpenRun) -> list[Search]:
        """Return the searches of the optimizers, with the trials that the folder holds."""
        self.known = set(run.configurations(["config_id"])["config_id"])
        n, families = self.problem.y.size, self.space.families
        logarithmic = self.problem.settings.target is not None or self.problem.loss.nonnegative
        with explain_os_errors(run.folder):
            studies = open_journal(run.folder, [family.text for family in families], begun=bool(self.known))
        searches = [
            Search(self.space, family, n, self.epochs[-1], self.searched, study, logarithmic=logarithmic)
            for family, study in zip(families, studies, strict=True)
        ]
        trials = [trial.user_attrs for search in searches for trial in search.trials]
        trials.sort(key=lambda facts: facts["round"])
        self.rounds = 1 + trials[-1]["round"] if trials else 0
        if trials:
            self.plan = self._make_plan(_distinct(trials)[0])
            run.record_plan(self.plan)  # in the place of one that is damaged
            self._train_lost(run, [facts for facts in trials if facts["state"] == "complete"])
        return searches

    def _train_lost(self, run: OpenRun, complete: list[dict[str, Any]]) -> None:
        """Train the runs of trials again that were trained to their end, where a part that held them is damaged."""
        if complete:
            plan = self._make_plan(_distinct(complete)[0])
            Round(run, self.problem, plan, self.known, self.executor).train(self.epochs[-1])
            self.known |= set(plan["config_id"])

    def _train_round(self, run: OpenRun, search: Search, asked: "list[Trial]") -> None:
        """Train trials of one optimizer together, each to its end, and tell the search their values."""
        # Trials with the same settings are the same runs.
        distinct, places = _distinct([trial.user_attrs for trial in asked])
        plan = self._make_plan(distinct)
        own = np.arange(len(plan)).reshape(len(distinct), -1)[places]
        whole = join_plans([self.plan, plan]) if len(self.plan) else plan
        self.plan = whole.drop_duplicates("config_id").reset_index(drop=True)
        run.record_plan(self.plan)
        # Options that the search draws differ from run to run, also where there are few.
        many = 1 if search.family.ranges else MANY_OPTIONS
        runs = Round(run, self.problem, plan, self.known, self.executor, many)
        self.known |= set(plan["config_id"])
        going = dict(enumerate(asked))
        for epoch in self.epochs:
            losses, state, samples = runs.train(epoch)
            for place, trial in list(going.items()):
                mine = own[place]
                diverged = state[mine] == DIVERGED
                over = bool((state[mine] != MAX_EPOCHS).all()) or epoch == self.epochs[-1]
                value = math.inf if diverged.any() else self._value(trial, state[mine], samples[mine], losses[mine])
                # The pruner is asked about every trial, so that others compete with those that are over too.
                trial.report(value, epoch)
                is_pruned = trial.should_prune()
                if over or diverged.any() or is_pruned:
                    search.tell(
                        going.pop(place),
                        "diverged" if diverged.any() else "complete" if over else "pruned",
                        value,
                        epochs=epoch,
                        samples=int(samples[mine].sum()),
                        round=self.rounds,
                        converged=int((state[mine] == CONVERGED).sum()),
                        runs=len(mine),
                        diverged_after=int(samples[mine][diverged].min()) if diverged.any() else -1,
                    )
            left = np.ones(len(plan), np.bool_)
            left[own[list(going)].ravel()] = False
            runs.progress.finished[left] = True
            if not going:
                break
        self.rounds += 1

    def _make_plan(self, settings: pd.DataFrame) -> pd.DataFrame:
        return self.problem.with_ids(plan_choices(settings, self.space.repeats, self.problem))

    def _value(self, trial: "Trial", state: NDArray[np.int64], samples: NDArray[np.integer], losses: Floats) -> float:
        """Return the value of a trial; runs that are not over count as if they never reached the target."""
        settings, nonnegative = self.problem.settings, self.problem.loss.nonnegative
        whole = settings.epochs * self.problem.clock.samples_per_epoch(trial.user_attrs["batch_size"])
        spent = np.where(state == MAX_EPOCHS, whole, samples)
        return trial_value(spent, state == CONVERGED, losses, settings.target, self.floor, nonnegative=nonnegative)


def _distinct(settings: list[dict[str, Any]]) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the distinct settings, and the place among them of each of those given."""
    keys = [tuple(one[name] for name in CHOICES) for one in settings]
    found = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return pd.DataFrame(list(found), columns=CHOICES), np.array([found[key] for key in keys])
