"""A judge behind an endpoint as preference model: AlpacaEval's weighted annotator compares the two responses of a pair.

A pair is asked about twice, with either response in the first place: alpaca-eval draws from the prompt alone which one
it calls m, so that changing places asks in the other order. The logit of one order is that of the judge's probability
that response_1 is better, kept within `CERTAIN` where the judge is sure, as it always is in words. Equal responses are a tie without a request;
with `refused: missing`, so is a pair that the judge refuses in either order, or does not answer readably.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpo_stages.core.errors import BadInput
from dpo_stages.data.prompts import instruction_text
from dpo_stages.judges.endpoint import JudgeFailed
from dpo_stages.judges.judge import Judge
from dpo_stages.judges.opening import open_judge
from dpo_stages.preferences.pairs import Pair, Verdicts

CERTAIN = 1e-6
"""The judge's probability is taken as no nearer to 0 or 1 than this: a logit of at most 13.8."""


class JudgePreferences:
    """A judge.

    Args:
        judge: where it is asked, as `describe_judge.py` writes it.
        cache: folder of its answers.

    Raises:
        BadInput: no folder for the answers.
    """

    def __init__(self, judge: Mapping[str, Any], cache: Path | None) -> None:
        if cache is None:
            raise BadInput(f"the judge {judge['model']} needs --cache, a folder that keeps its answers")
        self.judge, self.cache = Judge.from_manifest(judge), cache
        self.name = self.version = judge["model"]

    def compare(self, pairs: Sequence[Pair]) -> Verdicts:
        """Ask about every distinct pair in both orders; in input order. Exits where the judge failed for good."""
        keys = [(instruction_text(pair.prompt), *sorted((pair.response_1, pair.response_2))) for pair in pairs]
        distinct = list(dict.fromkeys(key for key in keys if key[1] != key[2]))
        asked, counts = self._ask(distinct) if distinct else (np.zeros((0, 2)), {})
        scores = dict(zip(distinct, asked.tolist(), strict=True))
        orders = np.zeros((len(pairs), 2), dtype=np.float32)
        for row, (pair, key) in enumerate(zip(pairs, keys, strict=True)):
            if key in scores:
                first, second = scores[key]
                orders[row] = (first, second) if pair.response_1 == key[1] else (-second, -first)
        return Verdicts(orders, counts)

    def _ask(self, keys: list[tuple[str, str, str]]) -> tuple[np.ndarray, dict[str, int]]:
        """Logits of the first response of each key, asked about in first and in second place, and what was asked."""
        try:
            with open_judge(self.judge, self.cache) as annotator:
                columns = []
                for first, second, sign in ((1, 2, 1), (2, 1, -1)):
                    rows = [
                        {"index": index, "instruction": key[0], "output_1": key[first], "output_2": key[second]}
                        | {"generator_2": f"pairs, order {len(columns) + 1} of 2"}
                        for index, key in enumerate(keys)
                    ]
                    preferences = annotator.judge_once(rows)
                    columns.append([None if value is None else sign * -_logit(value - 1) for value in preferences])
        except JudgeFailed as error:
            sys.exit(f"{self.name}: {error}; what was answered is kept in {self.cache}")
        orders = np.array(columns, dtype=float).T  # None becomes NaN
        refused = np.isnan(orders).any(axis=1)
        orders[refused] = 0.0
        counts = {"refused": int(refused.sum()), "control_texts": annotator.control_texts}
        return orders, {**vars(annotator.usage), **counts}


def _logit(probability: float) -> float:
    within = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(within / (1 - within))
