"""The search for good settings of one optimizer, by Optuna: what is tried next, and what is not trained to the end.

Optuna is asked for trials in rounds, and told of a round when it has been trained, so that lanes are full. As many
trials as it takes to fill them have the same batch size and the same order of samples, as runs side by side must.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.study.space import Space, Template
from bench.tables.trial_value import HOPELESS
from kernels.block import WIDTH

ROUND = WIDTH
"""Trials that are trained together: as many as a lane is wide, so that it is full even with one run for each."""
REDUCTION = 3
"""Of the trials that reach an epoch of `halving_epochs`, about one in so many goes on."""
# What trials have in common that are trained side by side.
COMMON = ("batch_size", "shuffle")
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}
# Their proposals depend on the trials alone, not on what the sampler remembers of them.
_STATELESS = ("tpe", "random")


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna say nothing: of studies that it makes, and of samplers that it calls experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class _CmaEs(CmaEsSampler):
    """CMA-ES of what differs from trial to trial; what some have in common would look like an agreement."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        space = super().infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in space.items() if name not in COMMON}


def _make_tpe(seed: int) -> BaseSampler:
    # Without the penalty for what is being tried, the trials of a round would lie close together.
    return TPESampler(seed=seed, constant_liar=True)


def _make_cmaes(seed: int) -> BaseSampler:
    return _CmaEs(
        seed=seed,
        popsize=ROUND,
        independent_sampler=_make_tpe(seed),
        warn_independent_sampling=False,
        # Their last values are on the scale of the others, see `bench.tables.trial_value`.
        consider_pruned_trials=True,
    )


def _make_qmc(seed: int) -> BaseSampler:
    return QMCSampler(
        scramble=True,
        seed=seed,
        independent_sampler=RandomSampler(seed),
        warn_independent_sampling=False,
        warn_asynchronous_seeding=False,
    )


_SAMPLERS = {"tpe": _make_tpe, "cmaes": _make_cmaes, "random": RandomSampler, "qmc": _make_qmc}


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


@dataclass
class Asked:
    """A trial that was asked for.

    Attributes
    ----------
    trial : optuna.Trial
    settings : dict
        lr, batch_size, optimizer, schedule, shuffle.
    reported : dict of int to float
        What it was worth after epochs at which it was compared.
    """

    trial: optuna.Trial
    settings: dict[str, Any]
    reported: dict[int, float] = field(default_factory=dict)

    def report(self, epoch: int, value: float) -> bool:
        """Note what it is worth after so many epochs; return whether it is not worth going on."""
        self.reported[epoch] = value
        self.trial.report(value, epoch)
        return bool(self.trial.should_prune())


class Search:
    """The search among the settings of one optimizer.

    Parameters
    ----------
    space : Space
    family : Template
        One of the space's.
    n_samples : int
        In the data.
    epochs : int
    sampler : str
        One of `bench.study.space.SAMPLERS`.
    pruner : str
        One of `bench.study.space.PRUNERS`.
    seed : int
        Of the sampler.

    Attributes
    ----------
    study : optuna.Study
        In memory; `bench.engine.optuna_storage` keeps a copy on disk.
    """

    def __init__(
        self, space: Space, family: Template, n_samples: int, *, epochs: int, sampler: str, pruner: str, seed: int
    ) -> None:
        self.space, self.family, self.n_samples, self.sampler, self.seed = space, family, n_samples, sampler, seed
        with quiet():
            self.study = optuna.create_study(study_name=family.text, pruner=_make_pruner(pruner, epochs))

    def ask(self, count: int) -> list[Asked]:
        """Return so many trials to be trained together.

        The same ones for the same trials before: each has a sampler of its own, with a seed made of `seed` and the
        trial's number. Those of a quasi-random sequence have the seed in common.
        """
        asked: list[Asked] = []
        together = self.space.trials_of_a_lane(WIDTH)
        for place in range(count):
            if place % together:
                first = asked[place - place % together].trial.params
                common = {name: first[name] for name in COMMON if name in first}
                if common:
                    self.study.enqueue_trial(common)
            number = len(self.study.get_trials(deepcopy=False))
            seed = self.seed % 2**32 if self.sampler == "qmc" else (self.seed * 1_000_003 + number) % 2**32
            with quiet():
                self.study.sampler = _SAMPLERS[self.sampler](seed)
                trial = self.study.ask()
                settings = self.space.propose(trial, self.family, self.n_samples)
            asked.append(Asked(trial, settings))
        return asked

    def tell(self, asked: Asked, state: str, value: float, **facts: Any) -> dict[str, Any]:
        """Tell how a trial ended: "complete", "pruned" or "diverged", and its value then; return its row of a table.

        Parameters
        ----------
        **facts
            To be kept in the row.
        """
        for name, fact in _noted(asked.settings | facts).items():
            asked.trial.set_user_attr(name, fact)
        frozen = self.study.tell(asked.trial, value if state == "complete" else None, _STATES[state])
        return {
            "family": self.family.text,
            "number": frozen.number,
            **asked.settings,
            "state": state,
            "value": value,
            **facts,
            "params": json.dumps(frozen.params),
            "values": json.dumps({str(epoch): worth for epoch, worth in asked.reported.items()}),
            "notes": json.dumps({name: note for name, note in frozen.system_attrs.items() if not _is_cma(name)}),
        }

    def restore(self, rows: pd.DataFrame) -> None:
        """Take over trials of an earlier time, as `tell` returned them; `round` says which were asked for together."""
        if rows.empty:
            return
        if self.sampler in _STATELESS:
            self.study.add_trials([self._frozen(row) for row in rows.to_dict("records")])
            return
        # The others are asked again, so that they remember.
        for _, together in rows.groupby("round"):
            part = [self._frozen(row) for row in together.to_dict("records")]
            asked = self.ask(len(part))
            for one, before in zip(asked, part, strict=True):
                for epoch, value in before.intermediate_values.items():
                    one.report(epoch, value)
                self.study.tell(one.trial, before.value, before.state)

    def _frozen(self, row: Mapping[Any, Any]) -> FrozenTrial:
        """Return a trial as it was."""
        params = json.loads(row["params"])
        recorder = _Recorder(params)
        self.space.propose(recorder, self.family, self.n_samples)
        state = _STATES[row["state"]]
        return create_trial(
            state=state,
            value=row["value"] if state == TrialState.COMPLETE else None,
            params=params,
            distributions=recorder.distributions,
            user_attrs=_noted(row),
            system_attrs=json.loads(row["notes"]),
            intermediate_values={int(epoch): value for epoch, value in json.loads(row["values"]).items()},
        )

    def importance(self) -> dict[str, float]:
        """Return by how much each parameter decides the values of the trials, a share of 1; empty for too few of them.

        Trials that were given up count with what they were worth then, and hopeless ones as `HOPELESS` more than the
        best. By a functional analysis of variance on a random forest: F. Hutter, H. Hoos, K. Leyton-Brown, An efficient
        approach for assessing hyperparameter importance (ICML 2014).
        """
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if trial.intermediate_values]
        last = np.array([trial.intermediate_values[max(trial.intermediate_values)] for trial in trials])
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
            evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=self.seed)
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


@dataclass
class _Recorder:
    """A trial with given parameters, of which the distributions are noted."""

    params: Mapping[str, Any]
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> Any:
        return self._note(name, FloatDistribution(low, high, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> Any:
        return self._note(name, IntDistribution(low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._note(name, CategoricalDistribution(choices))

    def _note(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        return self.params[name]


def _noted(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what of a trial Optuna's own tools show: little, as each number takes a millisecond to write."""
    return {name: row[name] for name in ("optimizer", "samples")}


def _is_cma(name: str) -> bool:
    """Return whether a note of Optuna's is of CMA-ES, which pickles itself: nothing is ever loaded from that."""
    return name.startswith("cma:")
