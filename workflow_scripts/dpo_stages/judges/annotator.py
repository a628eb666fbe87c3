"""Judging by alpaca-eval's weighted annotator: its prompt, its order of the two outputs, its parser, our endpoint."""

from collections.abc import Sequence

from dpo_stages.judges.alpaca_eval import PROMPT, make_annotator, read_annotator
from dpo_stages.judges.answers import NO_ANSWER
from dpo_stages.judges.control_tokens import NONE_KNOWN, TEXTS, ControlTokens
from dpo_stages.judges.endpoint import JudgeEndpoint, JudgeFailed, Usage
from dpo_stages.judges.record import judge_record, name_rows

CHARACTERS_PER_TOKEN = 4.0  # of English text, for the estimate only


class WeightedAnnotator:
    """alpaca-eval's `weighted_alpaca_eval_gpt4_turbo`, asking any endpoint.

    The annotator sends one chat completion a pair, of one token with its five likeliest log-probabilities, and takes
    preference = 2 - P(m) / (P(m) + P(M)), where which output is called m is drawn from a hash of the instruction.
    Equal outputs are a tie, 1.5, without a request.

    Args:
        endpoint: the judge.
        kind: kind of the endpoint, see record.ENDPOINTS.
        revision: what the endpoint's own name for the model does not tell, such as which weights are served under it.
        control: the judge's control tokens, whose text is set apart before it is asked.

    Attributes:
        control_texts: rows with the text of a control token among those that were judged last.
    """

    def __init__(
        self, endpoint: JudgeEndpoint, kind: str, revision: str | None = None, control: ControlTokens = NONE_KNOWN
    ) -> None:
        _, template, self._request = read_annotator()
        self._template_length = len(template)
        self._endpoint, self._kind, self._revision, self._control = endpoint, kind, revision, control
        self.control_texts = 0
        self._refused: list[str] = []  # prompts; alpaca-eval asks about a pair that comes again no second time
        self._annotate = make_annotator(self._complete)

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return self._endpoint.usage

    def estimated_tokens(self, pairs: Sequence[dict]) -> int:
        """About how many tokens the judge will read, before anything is asked."""
        asked = [pair for pair in pairs if pair["output_1"] != pair["output_2"]]
        text = sum(len(pair["instruction"]) + len(pair["output_1"]) + len(pair["output_2"]) for pair in asked)
        return round((text + self._template_length * len(asked)) / CHARACTERS_PER_TOKEN)

    def judge(self, pairs: Sequence[dict]) -> tuple[list[float | None], dict[str, str]]:
        """Judge pairs of outputs.

        Args:
            pairs: rows with index, instruction, output_1 and output_2.

        Returns:
            The preference of each pair, in [1, 2]: 1 where output_1 is surely better, 2 where output_2 is, None where
            the judge refused and the endpoint skips that. And the judge, see record.judge_record; its version is what
            the endpoint itself calls the model, and the revision.

        Raises:
            JudgeFailed: at least one row could not be judged, and was not refused, or all that were asked about were
                refused; the message names the rows.
        """
        self.control_texts = sum(map(self._control.found_in, pairs))
        self._pairs, self._versions = [self._control.set_apart(pair) for pair in pairs], set()
        rows = [{text: pair[text] for text in TEXTS} for pair in self._pairs]
        preferences = self._annotate(rows)
        preferences = [float(value) if value is not None and 1 <= value <= 2 else None for value in preferences]
        without = [pair for pair, value in zip(self._pairs, preferences, strict=True) if value is None]
        lost = [pair["index"] for pair in without if not any(_is_about(prompt, pair) for prompt in self._refused)]
        if lost:
            raise JudgeFailed(f"alpaca-eval read no preference from the judge's answer for {name_rows(lost)}")
        if without and len(without) == sum(pair["output_1"] != pair["output_2"] for pair in self._pairs):
            raise JudgeFailed("the judge refused every row that it was asked about")
        version = "+".join(sorted(self._versions)) or self._endpoint.model
        version += f"@{self._revision}" if self._revision else ""
        judge = judge_record(self._endpoint.model, version, PROMPT, self._kind)
        return preferences, judge

    def _complete(self, prompts: Sequence[str]) -> list[dict]:
        conversations = [chat_messages(prompt) for prompt in prompts]
        try:
            answers = self._endpoint.ask_all(conversations, f"judging {self._pairs[0]['generator_2']}", **self._request)
        except JudgeFailed as error:
            if not error.positions:
                raise
            rows = sorted(self._index_of(prompts[position]) for position in error.positions)
            raise JudgeFailed(f"no judgement for {name_rows(rows)}: {error}") from None
        self._refused += [prompt for prompt, answer in zip(prompts, answers, strict=True) if answer is NO_ANSWER]
        self._versions |= {answer["model"] for answer in answers if answer is not NO_ANSWER}
        return answers

    def _index_of(self, prompt: str) -> int:
        return next((pair["index"] for pair in self._pairs if _is_about(prompt, pair)), -1)


def _is_about(prompt: str, pair: dict) -> bool:
    return all(pair[text].strip() in prompt for text in TEXTS)


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
