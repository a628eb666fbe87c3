"""A judge behind an endpoint as preference model: AlpacaEval's weighted annotator compares the two responses of a pair.

A pair is asked about twice, with either response in the first place: alpaca-eval draws from the prompt alone which one it
calls m, so that changing places asks in the other order. The logit of one order is that of the judge's probability that
response_1 is better, kept within `CERTAIN` where the judge is sure. Equal responses are a tie without a request.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from dpo_stages.comparisons import Comparisons, Pair
from dpo_stages.program import BadInput
from dpo_stages.prompts import instruction_text

CERTAIN = 1e-6
"""The judge's probability is taken as no nearer to 0 or 1 than this: a logit of at most 13.8."""


class JudgePreferences:
    """A judge.

    Args:
        judge: model, base_url, api_key_variable, command and what it stands on, as `describe_judge.py` writes them.
        cache: folder of its answers.

    Raises:
        BadInput: no folder for the answers.
    """

    def __init__(self, judge: Mapping, cache: Path | None) -> None:
        if cache is None:
            raise BadInput(f"the judge {judge['model']} needs --cache, a folder that keeps its answers")
        self.judge, self.cache = judge, cache
        self.name = self.version = judge["model"]

    def compare(self, pairs: Sequence[Pair]) -> Comparisons:
        """Ask about every distinct pair in both orders; in input order. Exits where the judge failed for good."""
        keys = [(instruction_text(pair.prompt), *sorted((pair.response_1, pair.response_2))) for pair in pairs]
        distinct = list(dict.fromkeys(key for key in keys if key[1] != key[2]))
        asked, figures = self._ask(distinct) if distinct else (np.zeros((0, 2)), {})
        scores = dict(zip(distinct, asked.tolist(), strict=True))
        orders = np.zeros((len(pairs), 2), dtype=np.float32)
        for row, (pair, key) in enumerate(zip(pairs, keys, strict=True)):
            if key in scores:
                first, second = scores[key]
                orders[row] = (first, second) if pair.response_1 == key[1] else (-second, -first)
        return Comparisons(orders, figures)

    def _ask(self, keys: list[tuple[str, str, str]]) -> tuple[np.ndarray, dict[str, int]]:
        """Logits of the first response of each key, asked about in first and in second place, and what was asked."""
        from dpo_stages.judge_endpoint import OPENAI_URL, JudgeEndpoint, JudgeFailed, api_key, open_cache
        from dpo_stages.judge_server import served_revision, serving

        key, command, base_url = api_key(self.judge["api_key_variable"]), self.judge["command"], self.judge["base_url"]
        with ExitStack() as stack:
            try:
                cache = stack.enter_context(open_cache(self.cache))
                if command:
                    server = stack.enter_context(serving(command))
                    kind, url, revision = "served", server.url, served_revision(command, self.judge["stands_on"])
                else:
                    url, revision = base_url.rstrip("/"), None
                    kind = "openai" if url == OPENAI_URL else "openai-compatible"
                endpoint = JudgeEndpoint(url, self.judge["model"], key, cache, [revision or url])

                from dpo_stages.judging import WeightedAnnotator

                annotator = WeightedAnnotator(self.cache, endpoint, kind, revision)
                if command:
                    server.wait_until_ready()
                columns = []
                for first, second, sign in ((1, 2, 1), (2, 1, -1)):
                    rows = [
                        {"index": index, "instruction": key[0], "output_1": key[first], "output_2": key[second]}
                        | {"generator_2": f"pairs, order {len(columns) + 1} of 2"}
                        for index, key in enumerate(keys)
                    ]
                    preferences, _ = annotator.judge(rows)
                    columns.append([sign * -_logit(preference - 1) for preference in preferences])
            except JudgeFailed as error:
                sys.exit(f"{self.name}: {error}; what was answered is kept in {self.cache}")
        return np.array(columns).T, vars(endpoint.usage)


def _logit(probability: float) -> float:
    within = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(within / (1 - within))
