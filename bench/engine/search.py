"""The search for good settings of one optimizer: Optuna proposes trials, and abandons some early.

Trials are proposed and trained in rounds, so that lanes are full. Runs side by side visit the same batches, so as many
trials as fill a lane share the batch size and the order of samples; fewer if these were most of a round.
"""

from functools import cached_property
from typing import Any

from sgdbench.store.journal import (  # first: it imports Optuna without warnings, or says how to get it
    ended_trials,
    quiet,
)

# isort: split
import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from sgdbench.kernels.train.block import BLOCK_WIDTH
from sgdbench.study.space import SearchSettings, Space, Template
from sgdbench.tables.search import HOPELESS

MAX_ROUND_SIZE, MIN_ROUND_SIZE, TARGET_ROUNDS = BLOCK_WIDTH, 8, 8
"""Trials of a round: the width of a lane, which is then full even with one run for each trial. The trials of a round do
not know of each other, so a search of few has smaller rounds: an eighth of its trials, but not of fewer than 8."""
REDUCTION_FACTOR = 3
"""About one in this many trials continues beyond each epoch of `halving_epochs`."""
# Losses this many times as far above the best as the median count as hopeless.
HOPELESS_FACTOR = 10.0
# Parameters that trials side by side share.
SHARED_PARAMETERS = ("batch_size", "shuffle")
# CMA-ES starts from the best tenth of earlier trials.
MIN_SOURCE_TRIALS = 10
# The prefix of the pruner's notes, by which it compares trials.
_RUNG_PREFIX = "completed_rung_"
# The attribute of a study in the journal that holds the last requested round.
_LAST_ROUND_KEY = "asked"


class _CmaEs(CmaEsSampler):
    """CMA-ES without `SHARED_PARAMETERS`, whose equal values it would take for convergence."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return _without_common(super().infer_relative_search_space(study, trial))


class _Sobol(QMCSampler):
    """Sobol's sequence without `SHARED_PARAMETERS`: it may confine them to 1/8 of their range in every eighth point."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return _without_common(super().infer_relative_search_space(study, trial))


def _without_common(space: dict[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {name: distribution for name, distribution in space.items() if name not in SHARED_PARAMETERS}


def halving_epochs(epochs: int) -> list[int]:
    """Return the epochs after which trials are compared, and most of them abandoned."""
    least = max(1, epochs // REDUCTION_FACTOR**2)
    epochs_of_rungs = []
    while 2 * least <= epochs:
        epochs_of_rungs.append(least)
        least *= REDUCTION_FACTOR
    return epochs_of_rungs


def _make_pruner(pruner: str, epochs: int) -> BasePruner:
    first = next(iter(halving_epochs(epochs)), None)
    if pruner == "none" or first is None:
        return NopPruner()
    if pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION_FACTOR)
    return HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=REDUCTION_FACTOR)


class Search:
    """The search among the settings of one optimizer, one of the families of a space.

    It continues from the trials of a study in the journal (`sgdbench.store.journal.open_journal`). TPE and random draws
    depend on these alone; CMA-ES restarts around the best of them, and a quasi-random sequence restarts with another
    scrambling. The sampler and the pruner keep their notes in `study`, which is in memory.
    """

    def __init__(
        self,
        space: Space,
        family: Template,
        n_samples: int,
        epochs: int,
        settings: SearchSettings,
        journal: optuna.Study,
        *,
        logarithmic: bool = True,
    ) -> None:
        self.space, self.family, self.n_samples, self.settings = space, family, n_samples, settings
        self.logarithmic = logarithmic
        self.journal = journal
        self.round_size = min(
            MAX_ROUND_SIZE, max(MIN_ROUND_SIZE, settings.trials // len(space.families) // TARGET_ROUNDS)
        )
        with quiet():
            self.study = optuna.create_study(study_name=family.text, pruner=_make_pruner(settings.pruner, epochs))
        self.study.add_trials([_without_notes(trial) for trial in ended_trials(journal)])
        self.restored = self._written = len(self.trials)
        last = journal.user_attrs.get(_LAST_ROUND_KEY, {"number": 0, "params": []})
        self._stopped = last["params"][self.restored - last["number"] :]
        self._scrambling = self.restored + len(self._stopped)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All requested trials, in order."""
        return self.study.get_trials(deepcopy=False)

    def ask(self, count: int) -> list[optuna.Trial]:
        """Return trials to train together, with their settings as attributes, and record their parameters.

        The first ones repeat those of a round that was interrupted.
        """
        finished, trials = len(self.trials), list[optuna.Trial]()
        together = self.space.trials_of_a_lane(BLOCK_WIDTH)
        if together > self.round_size // 2:  # nearly all of a round would have the same batch size
            together = self.round_size // 4
        for place in range(count):
            fixed = {}
            if self._stopped:
                fixed = self._stopped.pop(0)
            elif place % together:
                first = trials[place - place % together].params
                fixed = {name: first[name] for name in SHARED_PARAMETERS if name in first}
            if fixed:
                self.study.enqueue_trial(fixed)
            with quiet():
                self.study.sampler = self._make_sampler(finished + place)
                trials.append(self.study.ask())
                settings = self.space.propose(trials[-1], self.family, self.n_samples)
            for name, value in settings.items():
                trials[-1].set_user_attr(name, value)
        self.journal.set_user_attr(_LAST_ROUND_KEY, {"number": finished, "params": [trial.params for trial in trials]})
        return trials

    def _make_sampler(self, number: int) -> BaseSampler:
        """Return the sampler of a trial, seeded by the seed of the search and the number of the trial."""
        name, seed = self.settings.sampler, (self.settings.sampler_seed * 1_000_003 + number) % 2**32
        if name == "random":
            return RandomSampler(seed)
        if name == "qmc":
            common = (self.settings.sampler_seed + self._scrambling) % 2**32
            return _Sobol(
                scramble=True,
                seed=common,
                independent_sampler=RandomSampler(seed),
                warn_independent_sampling=False,
                warn_asynchronous_seeding=False,
            )
        # Without its penalty for running trials (constant liar), the trials of a round would be close together.
        tpe = TPESampler(seed=seed, constant_liar=True)
        if name == "tpe":
            return tpe
        return _CmaEs(
            source_trials=self._sources,
            seed=seed,
            popsize=self.round_size,
            independent_sampler=tpe,
            warn_independent_sampling=False,
            # The last values of pruned trials are on the scale of the others: `sgdbench.tables.search`.
            consider_pruned_trials=True,
        )

    @cached_property
    def _sources(self) -> list[FrozenTrial] | None:
        """The restored trials with the parameters that CMA-ES samples; None if there are too few."""
        trials = self.trials[: self.restored]
        if len(trials) < MIN_SOURCE_TRIALS:
            return None
        space = _CmaEs().infer_relative_search_space(self.study, trials[0])
        return [
            create_trial(value=trial.value, params={name: trial.params[name] for name in space}, distributions=space)
            for trial in trials
        ]

    def tell(self, trial: optuna.Trial, state: str, value: float, **facts: Any) -> None:
        """Record how a trial ended: its state ("complete", "pruned", "diverged"), value, and facts to store with it."""
        for name, fact in {"state": state, "value": value, **facts}.items():
            trial.set_user_attr(name, fact)
        if state == "complete":
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=TrialState.PRUNED)

    def write(self) -> None:
        """Write the trials that have ended since the last call to the journal."""
        self.journal.add_trials([_without_notes(trial) for trial in self.trials[self._written :]])
        self._written = len(self.trials)

    def importance(self) -> dict[str, float]:
        """Return the main effect of each parameter on the values of the trials, as shares of 1; empty for few trials.

        The method is a functional analysis of variance on a random forest: F. Hutter, H. Hoos, K. Leyton-Brown, An
        efficient approach for assessing hyperparameter importance (ICML 2014). Joint effects of parameters are in no
        share. Abandoned trials count with their last value, and hopeless ones as `HOPELESS` more than the best or, if
        values are not logarithms, as `HOPELESS_FACTOR` times as far above the best as the median.
        """
        trials = self.trials
        last = np.array([trial.user_attrs["value"] for trial in trials])
        finite = last[np.isfinite(last)]
        if finite.size < MAX_ROUND_SIZE // 2:
            return {}
        most = HOPELESS if self.logarithmic else HOPELESS_FACTOR * (np.median(finite) - finite.min())
        values = np.minimum(last, finite.min() + most)
        if np.ptp(values) == 0:
            return {}
        with quiet():
            study = optuna.create_study()
            study.add_trials(
                [
                    create_trial(value=value, params=trial.params, distributions=trial.distributions)
                    for trial, value in zip(trials, values.tolist(), strict=True)
                ]
            )
            seed = self.settings.sampler_seed
            evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=seed)
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _without_notes(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial with the numeric notes of the pruner, but not those of samplers, one of which is a pickle."""
    rungs = {name: float(value) for name, value in trial.system_attrs.items() if name.startswith(_RUNG_PREFIX)}
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=rungs,
        intermediate_values=trial.intermediate_values,
    )
