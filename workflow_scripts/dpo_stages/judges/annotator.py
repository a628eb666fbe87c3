"""Judging by alpaca-eval's weighted annotator: its prompt, its order of the two outputs, its parser.

The package's own decoder is replaced by `judge_endpoint.JudgeEndpoint`. It retries nothing but rate limits, stores the
rows that it gave up as if they were judged, sends judges with "instruct" in their name to another endpoint, opens a
client a request, and keeps its answers in a file rewritten every 128 rows, which a kill tears.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpo_stages.judges import alpaca_eval
from dpo_stages.judges.endpoint import JudgeEndpoint, JudgeFailed, Usage
from dpo_stages.judges.record import judge_record, name_rows

CHARACTERS_PER_TOKEN = 4.0  # of English text, for the estimate only


class WeightedAnnotator:
    """alpaca-eval's `weighted_alpaca_eval_gpt4_turbo`, asking any endpoint.

    The annotator sends one chat completion a pair, of one token with its five likeliest log-probabilities, and takes
    preference = 2 - P(m) / (P(m) + P(M)), where which output is called m is drawn from a hash of the instruction.
    Equal outputs are a tie, 1.5, without a request.

    Args:
        folder: where the annotator's private configuration goes; nothing is written into the package.
        endpoint: the judge.
        kind: kind of the endpoint, see annotations.ENDPOINTS.
        revision: what the endpoint's own name for the model does not tell, such as which weights are served under it.
    """

    def __init__(
        self, folder: str | os.PathLike, endpoint: JudgeEndpoint, kind: str, revision: str | None = None
    ) -> None:
        import yaml

        (annotators,) = alpaca_eval.load("annotators")
        configuration, template, self._request = read_annotator()
        configuration[alpaca_eval.PROMPT]["prompt_template"] = "prompt.txt"
        home = Path(folder).resolve() / alpaca_eval.PROMPT
        home.mkdir(parents=True, exist_ok=True)
        (home.parent / "prompt.txt").write_text(template)
        (home / "configs.yaml").write_text(yaml.safe_dump(configuration))
        self._template_length = len(template)
        self._endpoint, self._kind, self._revision = endpoint, kind, revision
        self._annotator = annotators.PairwiseAnnotator(
            annotators_config=home / "configs.yaml", caching_path=None, fn_completions=self._complete
        )

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return self._endpoint.usage

    def estimated_tokens(self, pairs: Sequence[dict]) -> int:
        """About how many tokens the judge will read, before anything is asked."""
        asked = [pair for pair in pairs if pair["output_1"] != pair["output_2"]]
        text = sum(len(pair["instruction"]) + len(pair["output_1"]) + len(pair["output_2"]) for pair in asked)
        return round((text + self._template_length * len(asked)) / CHARACTERS_PER_TOKEN)

    def judge(self, pairs: Sequence[dict]) -> tuple[list[float], dict[str, str]]:
        """Judge pairs of outputs.

        Args:
            pairs: rows with index, instruction, output_1 and output_2.

        Returns:
            The preference of each pair, in [1, 2]: 1 where output_1 is surely better, 2 where output_2 is. And the
            judge, see annotations.judge_record; its version is what the endpoint itself calls the model, and the
            revision.

        Raises:
            JudgeFailed: at least one row could not be judged; the message names the rows.
        """
        self._pairs, self._versions = pairs, set()
        rows = [{key: pair[key] for key in ("instruction", "output_1", "output_2")} for pair in pairs]
        annotated = self._annotator(rows, chunksize=None)
        if [{key: row[key] for key in rows[0]} for row in annotated] != rows:
            raise AssertionError("alpaca-eval returned other rows than it was given")
        preferences = [row["preference"] for row in annotated]
        lost = [
            pair["index"]
            for pair, preference in zip(pairs, preferences, strict=True)
            if preference is None or not 1 <= preference <= 2
        ]
        if lost:
            raise JudgeFailed(f"alpaca-eval read no preference from the judge's answer for {name_rows(lost)}")
        version = "+".join(sorted(self._versions)) or self._endpoint.model
        version += f"@{self._revision}" if self._revision else ""
        judge = judge_record(self._endpoint.model, version, alpaca_eval.PROMPT, self._kind)
        return [float(preference) for preference in preferences], judge

    def _complete(self, prompts: Sequence[str]) -> dict[str, list[Any]]:
        """What alpaca-eval calls in place of its own decoder."""
        conversations = [chat_messages(prompt) for prompt in prompts]
        try:
            answers = self._endpoint.ask_all(conversations, f"judging {self._pairs[0]['generator_2']}", **self._request)
        except JudgeFailed as error:
            if not error.positions:
                raise
            rows = sorted(self._index_of(prompts[position]) for position in error.positions)
            raise JudgeFailed(f"no judgement for {name_rows(rows)}: {error}") from None
        self._versions |= {answer["model"] for answer in answers}
        return {"completions_all": answers}

    def _index_of(self, prompt: str) -> int:
        texts = ("instruction", "output_1", "output_2")
        return next((pair["index"] for pair in self._pairs if all(pair[text].strip() in prompt for text in texts)), -1)


def read_annotator() -> tuple[dict, str, dict[str, Any]]:
    """What alpaca-eval ships of the annotator.

    Returns:
        Its configuration without what belongs to the package's own decoder, the template of its prompt, and what a
        request asks for besides the messages and the model.
    """
    import yaml

    (constants,) = alpaca_eval.load("constants")
    shipped = Path(constants.EVALUATORS_CONFIG_DIR)
    configuration = yaml.safe_load((shipped / alpaca_eval.PROMPT / "configs.yaml").read_text())
    annotator = configuration[alpaca_eval.PROMPT]
    request = {key: value for key, value in annotator.pop("completions_kwargs").items() if key != "model_name"}
    del annotator["fn_completions"]
    return configuration, (shipped / annotator["prompt_template"]).read_text(), request


def chat_messages(prompt: str) -> list[dict[str, str]]:
    """The system and user messages of the annotator's prompt, which it writes as one ChatML text.

    alpaca-eval splits the text at every marker, so that a marker in a response opens a message of its own, with which a
    policy could talk to its judge. Only the template's own markers count here.
    """
    system, separator, user = prompt.strip().partition("<|im_end|>\n<|im_start|>user\n")
    if not (separator and system.startswith("<|im_start|>system\n") and user.endswith("<|im_end|>")):
        raise ValueError("the annotator's template is not one system and one user message in ChatML")
    return [
        {"content": system.removeprefix("<|im_start|>system\n").strip(), "role": "system"},
        {"content": user.removesuffix("<|im_end|>").strip(), "role": "user"},
    ]
