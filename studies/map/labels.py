"""Who labels pairs: the demo's ranker, or the hidden quality, exactly or through Bradley-Terry's noise."""

import math
from collections.abc import Sequence
from random import Random
from typing import Protocol

import numpy as np
from worlds import World

from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.pairs import Pair

Compared = tuple[str, str, str]
"""An instruction and two responses to it."""


class Labeller(Protocol):
    """Says how much better the first response of each pair is; positive: better, 0: a tie."""

    def __call__(self, pairs: Sequence[Compared]) -> np.ndarray:
        """float (pairs,), in a unit of its own; a pair the other way round has the negative."""


class Ranker:
    """The demo's trained preference model; its logit is the mean over both orders of presentation."""

    def __init__(self, world: World) -> None:
        self.model = open_preference_model(world.ranker)

    def __call__(self, pairs: Sequence[Compared]) -> np.ndarray:
        asked = [Pair([{"role": "user", "content": prompt}], first, second) for prompt, first, second in pairs]
        return self.model.compare(asked).logits.astype(float)


class HiddenQuality:
    """The hidden quality at a temperature: 0 is exact, infinity a coin.

    At a temperature t the log-odds of a pair are its difference in quality over t plus logistic noise, which is drawn from
    the pair alone: asked again, it says the same again.
    """

    def __init__(self, world: World, temperature: float) -> None:
        self.world, self.temperature = world, temperature

    def __call__(self, pairs: Sequence[Compared]) -> np.ndarray:
        return np.array([self._logit(*pair) for pair in pairs])

    def _logit(self, prompt: str, first: str, second: str) -> float:
        if first == second:
            return 0.0
        better_by = self.world.better_by(prompt, first, second)
        if self.temperature == 0:
            return better_by
        low, high = sorted((first, second))
        share = Random(f"{self.world.seed}/map/label/{prompt}/{low}/{high}").uniform(1e-9, 1 - 1e-9)
        noise = math.log(share / (1 - share))
        return better_by / self.temperature + (noise if first == low else -noise)


def open_labeller(world: World, kind: str | float) -> Labeller:
    """The labeller of config.yaml's `labels`: `ranker`, or the hidden quality: `exact`, `coin` or a temperature."""
    if kind == "ranker":
        return Ranker(world)
    return HiddenQuality(world, {"exact": 0.0, "coin": math.inf}.get(kind, kind))
