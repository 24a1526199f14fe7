"""The search for good settings of one optimizer, by Optuna: it proposes trials, and gives some up early.

Optuna is asked for trials in rounds, and told of a round when it has been trained, so that lanes are full. As many
trials as it takes to fill them have the same batch size and the same order of samples, as runs side by side must.
"""

from functools import cached_property
from typing import Any

from bench.store.journal import ended_trials, quiet  # first: it imports Optuna without warnings, or says how to get it

# isort: split
import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.study.space import SearchSettings, Space, Template
from bench.tables.trial_value import HOPELESS
from kernels.train.block import WIDTH

ROUND = WIDTH
"""Trials that are trained together: as many as a lane is wide, so that it is full even with one run for each."""
REDUCTION = 3
"""Of the trials that reach an epoch of `halving_epochs`, about one in this number goes on."""
# Parameters that trials have in common when they are trained side by side.
COMMON = ("batch_size", "shuffle")
# Optuna takes the best tenth of the trials that CMA-ES starts from.
LEAST_SOURCES = 10
# The notes of the pruner, by which trials are compared.
_RUNG = "completed_rung_"
# The attribute of a study in the journal that holds the round that was asked for last.
_ASKED = "asked"


class _CmaEs(CmaEsSampler):
    """CMA-ES without the parameters that trials have in common, which it would take for an agreement."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        space = super().infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in space.items() if name not in COMMON}


def halving_epochs(epochs: int) -> list[int]:
    """Return the epochs after which trials are compared, and after which most are not trained further."""
    least = max(1, epochs // REDUCTION**2)
    found = []
    while 2 * least <= epochs:
        found.append(least)
        least *= REDUCTION
    return found


def _make_pruner(pruner: str, epochs: int) -> BasePruner:
    first = next(iter(halving_epochs(epochs)), None)
    if pruner == "none" or first is None:
        return NopPruner()
    if pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    return HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=REDUCTION)


class Search:
    """The search among the settings of one optimizer.

    It goes on from the trials that the journal holds. TPE and random draws depend on these alone; CMA-ES starts anew,
    around the best of them, and a quasi-random sequence with another scrambling.

    Parameters
    ----------
    space : Space
    family : Template
        One of the space's.
    n_samples : int
        In the data.
    epochs : int
    settings : SearchSettings
    journal : optuna.Study
        From `bench.store.journal.open_journal`.

    Attributes
    ----------
    study : optuna.Study
        In memory, where the sampler and the pruner keep their notes.
    """

    def __init__(
        self,
        space: Space,
        family: Template,
        n_samples: int,
        epochs: int,
        settings: SearchSettings,
        journal: optuna.Study,
    ) -> None:
        self.space, self.family, self.n_samples, self.settings = space, family, n_samples, settings
        self.journal = journal
        with quiet():
            self.study = optuna.create_study(study_name=family.text, pruner=_make_pruner(settings.pruner, epochs))
        self.study.add_trials([_without_notes(trial) for trial in ended_trials(journal)])
        self.restored = self._written = len(self.trials)
        last = journal.user_attrs.get(_ASKED, {"number": 0, "params": []})
        self._stopped = last["params"][self.restored - last["number"] :]
        self._scrambling = self.restored + len(self._stopped)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that were asked for, in this order."""
        return self.study.get_trials(deepcopy=False)

    def ask(self, count: int) -> list[optuna.Trial]:
        """Return trials to be trained together, with their settings as attributes, and put them on record.

        The first ones are those of a round that was stopped: it was asked for, and is not in the journal.
        """
        done, asked = len(self.trials), list[optuna.Trial]()
        together = self.space.trials_of_a_lane(WIDTH)
        for place in range(count):
            fixed = {}
            if self._stopped:
                fixed = self._stopped.pop(0)
            elif place % together:
                first = asked[place - place % together].params
                fixed = {name: first[name] for name in COMMON if name in first}
            if fixed:
                self.study.enqueue_trial(fixed)
            with quiet():
                self.study.sampler = self._make_sampler(len(self.trials))
                asked.append(self.study.ask())
                settings = self.space.propose(asked[-1], self.family, self.n_samples)
            for name, value in settings.items():
                asked[-1].set_user_attr(name, value)
        self.journal.set_user_attr(_ASKED, {"number": done, "params": [trial.params for trial in asked]})
        return asked

    def _make_sampler(self, number: int) -> BaseSampler:
        """Return the sampler of a trial; its seed is made of the search's and the trial's number."""
        name, seed = self.settings.sampler, (self.settings.sampler_seed * 1_000_003 + number) % 2**32
        if name == "random":
            return RandomSampler(seed)
        if name == "qmc":
            common = (self.settings.sampler_seed + self._scrambling) % 2**32
            return QMCSampler(
                scramble=True,
                seed=common,
                independent_sampler=RandomSampler(common),
                warn_independent_sampling=False,
                warn_asynchronous_seeding=False,
            )
        # Without the penalty for trials that are running, those of a round would lie close together.
        tpe = TPESampler(seed=seed, constant_liar=True)
        if name == "tpe":
            return tpe
        return _CmaEs(
            source_trials=self._sources,
            seed=seed,
            popsize=ROUND,
            independent_sampler=tpe,
            warn_independent_sampling=False,
            # Their last values are on the scale of the others, see `bench.tables.trial_value`.
            consider_pruned_trials=True,
        )

    @cached_property
    def _sources(self) -> list[FrozenTrial] | None:
        """The restored trials with the parameters that CMA-ES samples; None if there are too few to start from."""
        trials = self.trials[: self.restored]
        if len(trials) < LEAST_SOURCES:
            return None
        space = _CmaEs().infer_relative_search_space(self.study, trials[0])
        return [
            create_trial(value=trial.value, params={name: trial.params[name] for name in space}, distributions=space)
            for trial in trials
        ]

    def tell(self, trial: optuna.Trial, state: str, value: float, **facts: Any) -> None:
        """Tell how a trial ended: "complete", "pruned" or "diverged", its value then, and facts to be kept with it."""
        for name, fact in {"state": state, "value": value, **facts}.items():
            trial.set_user_attr(name, fact)
        if state == "complete":
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=TrialState.PRUNED)

    def write(self) -> None:
        """Write the trials that have ended since to the journal."""
        self.journal.add_trials([_without_notes(trial) for trial in self.trials[self._written :]])
        self._written = len(self.trials)

    def importance(self) -> dict[str, float]:
        """Return the importance of each parameter for the values of the trials, as shares of 1; empty for few trials.

        Trials that were given up count with their last value, and hopeless ones as `HOPELESS` more than the best. By a
        functional analysis of variance on a random forest: F. Hutter, H. Hoos, K. Leyton-Brown, An efficient approach
        for assessing hyperparameter importance (ICML 2014).
        """
        trials = self.trials
        last = np.array([trial.user_attrs["value"] for trial in trials])
        if np.isfinite(last).sum() < ROUND // 2:
            return {}
        values = np.minimum(last, last.min() + HOPELESS)
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
    """Return a trial without the notes of samplers, one of which is a pickle; those of the pruner are numbers."""
    rungs = {name: float(value) for name, value in trial.system_attrs.items() if name.startswith(_RUNG)}
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=rungs,
        intermediate_values=trial.intermediate_values,
    )
