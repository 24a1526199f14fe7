"""The search of `sgdbench.tune`: Optuna proposes settings in rounds, and the pipeline of sweeps does the rest."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.engine.attainable_loss import held_out_floor, settle_attainable_loss
from sgdbench.engine.confirm import confirm
from sgdbench.engine.jobs import MIN_SHARED_OPTIMIZERS
from sgdbench.engine.memory import Memory
from sgdbench.engine.pipeline import check_grid, judge, train_grid
from sgdbench.engine.plan import join_plans, plan_choices
from sgdbench.engine.recording import record_settings
from sgdbench.engine.rounds import Round
from sgdbench.engine.search import MAX_ROUND_SIZE, Search, halving_epochs
from sgdbench.engine.train import Trainer, identity_of, loss_stride, rules_of
from sgdbench.kernels.base.run import CONVERGED, DIVERGED, MAX_EPOCHS, Floats
from sgdbench.store.evidence import store_tables
from sgdbench.store.journal import open_journal, seal_journal
from sgdbench.store.run_folder import OpenRun, explain_os_errors, hold_run, open_run
from sgdbench.store.tuning import GRID_FOLDER, IMPORTANCE_COLUMNS, IMPORTANCE_TABLE, StoredSearch, read_search
from sgdbench.study.grid import Grid
from sgdbench.study.space import SearchSettings, Space, check_double
from sgdbench.tables.confirm import rank_stored
from sgdbench.tables.costs import CHOICES, loss_floor
from sgdbench.tables.search import choices_to_confirm, rank_search, trial_value

if TYPE_CHECKING:
    from optuna import Trial


def train_search(
    trainer: Trainer,
    space: Space,
    searched: SearchSettings,
    grid: Grid | None,
    *,
    resume: bool,
    progress: Callable[[int], None],
) -> StoredSearch:
    """Search a space and return the search; see `sgdbench.tune`."""
    problem, folder = trainer.problem, trainer.folder
    if grid is not None:  # one that does not fit the data is refused before the search
        check_grid(grid, problem)
        check_double(grid)
        grid.frame(problem.model, problem.y.size)

    def train_first() -> None:
        if grid is not None:
            of_grid = replace(trainer, problem=problem.recorded_in(folder / GRID_FOLDER), folder=folder / GRID_FOLDER)
            with train_grid(of_grid, grid) as result:
                judge(problem, rank_stored(result))

    rounds = _Rounds(trainer, space, searched)
    with hold_run(folder):
        rounds.train(train_first, resume=resume, progress=progress)
        record_settings(folder, problem.settings.epochs, **trainer.about, drawn=space.repeats.drawn)
        search = read_search(folder)
        settle_attainable_loss(problem, search.result.starts, folder)
        used = {*space.repeats.seed, *(search.grid.frame["seed"] if search.grid else ())}
        confirm(trainer, choices_to_confirm(search), used, space.repeats)
        if problem.test is not None and len(search.result.frame):
            judge(problem, rank_search(search))
    return search


class _Rounds:
    """The rounds of a search for the settings of a problem: the optimizers' searches, and their trials' runs."""

    def __init__(self, trainer: Trainer, space: Space, searched: SearchSettings) -> None:
        self.trainer, self.problem, self.space, self.searched = trainer, trainer.problem, space, searched
        problem = self.problem
        settings, n, families = problem.settings, problem.y.size, len(space.families)
        if searched.trials < families:
            raise ValueError(f"trials must be at least {families}, one for each optimizer, not {searched.trials}")
        self.epochs, self.floor = [*halving_epochs(settings.epochs), settings.epochs], loss_floor(problem.y)
        if problem.counted_loss == "validation_loss":
            self.floor = max(self.floor, held_out_floor(problem))
        self.least_batch = space.least_batch(n)
        Memory.of(problem).check(MAX_ROUND_SIZE * space.pairs, self.least_batch)
        self.plan = pd.DataFrame()

    def train(self, train_first: Callable[[], None], *, resume: bool, progress: Callable[[int], None]) -> None:
        """Train rounds of the optimizers in turn until all trials are done.

        The grid is trained first, by `train_first`: a grid that its folder refuses fails before the search continues.
        """
        folder, study = self.trainer.folder, self.trainer.study
        last = self.problem.clock.last_checkpoint(self.least_batch, self.epochs[-1])
        every = loss_stride(self.searched.trials * self.space.pairs, last)
        identity = identity_of(self.problem) | self.space.identity() | self.searched.identity()
        # A trial is judged after this number of epochs: trials with another number are not comparable.
        identity["epochs"] = str(self.problem.settings.epochs)
        with open_run(folder, study, identity, resume=resume, every=every) as run:
            train_first()
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
        store_tables(folder, **{IMPORTANCE_TABLE: pd.DataFrame(importance, columns=IMPORTANCE_COLUMNS)})

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
            run.record_plan(self.plan)  # replaces a damaged one
            self._train_lost(run, [facts for facts in trials if facts["state"] == "complete"])
        return searches

    def _train_lost(self, run: OpenRun, complete: list[dict[str, Any]]) -> None:
        """Train the runs of complete trials again if a part that held them is damaged."""
        if complete:
            plan = self._make_plan(_distinct(complete)[0])
            Round(run, self.problem, plan, self.known, self.trainer.executor).train(self.epochs[-1])
            self.known |= set(plan["config_id"])

    def _train_round(self, run: OpenRun, search: Search, trials: "list[Trial]") -> None:
        """Train trials of one optimizer together, each to its end, and report their values to the search."""
        # Trials with the same settings share runs.
        distinct, places = _distinct([trial.user_attrs for trial in trials])
        plan = self._make_plan(distinct)
        own = np.arange(len(plan)).reshape(len(distinct), -1)[places]
        whole = join_plans([self.plan, plan]) if len(self.plan) else plan
        self.plan = whole.drop_duplicates("config_id").reset_index(drop=True)
        run.record_plan(self.plan)
        # Options that the search draws differ between runs, even if there are few.
        many = 1 if search.family.ranges else MIN_SHARED_OPTIMIZERS
        runs = Round(run, self.problem, plan, self.known, self.trainer.executor, many)
        self.known |= set(plan["config_id"])
        going = dict(enumerate(trials))
        for epoch in self.epochs:
            losses, state, samples = runs.train(epoch)
            for place, trial in list(going.items()):
                mine = own[place]
                diverged = state[mine] == DIVERGED
                over = bool((state[mine] != MAX_EPOCHS).all()) or epoch == self.epochs[-1]
                value = math.inf if diverged.any() else self._value(trial, state[mine], samples[mine], losses[mine])
                # The pruner is asked about every trial, so that others also compete with those that have ended.
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
            runs.states.finished[left] = True
            if not going:
                break
        self.rounds += 1

    def _make_plan(self, settings: pd.DataFrame) -> pd.DataFrame:
        return self.problem.with_ids(plan_choices(settings, self.space.repeats, self.problem))

    def _value(self, trial: "Trial", state: NDArray[np.int64], samples: NDArray[np.integer], losses: Floats) -> float:
        """Return the value of a trial; unfinished runs count as if they never reached the target."""
        settings, nonnegative = self.problem.settings, self.problem.loss.nonnegative
        whole = settings.epochs * self.problem.clock.samples_per_epoch(trial.user_attrs["batch_size"])
        spent = np.where(state == MAX_EPOCHS, whole, samples)
        return trial_value(spent, state == CONVERGED, losses, settings.target, self.floor, nonnegative=nonnegative)


def _distinct(settings: list[dict[str, Any]]) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the distinct settings, and the index among them of each of those given."""
    keys = [tuple(one[name] for name in CHOICES) for one in settings]
    first_places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return pd.DataFrame(list(first_places), columns=CHOICES), np.array([first_places[key] for key in keys])
