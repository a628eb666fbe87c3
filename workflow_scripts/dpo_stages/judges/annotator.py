"""Judging by alpaca-eval's weighted annotator: its prompt or one's own, its order of the two outputs, its parser, our endpoint."""

import hashlib
from collections.abc import Sequence

from dpo_stages.judges.alpaca_eval import PROMPT, make_annotator, read_annotator
from dpo_stages.judges.answers import NO_ANSWER
from dpo_stages.judges.control_tokens import NONE_KNOWN, TEXTS, ControlTokens
from dpo_stages.judges.endpoint import JudgeEndpoint, JudgeFailed, Usage
from dpo_stages.judges.judge import LOGPROBS, Judge
from dpo_stages.judges.record import judge_record, name_rows

CHARACTERS_PER_TOKEN = 4.0  # of English text, for the estimate only


class WeightedAnnotator:
    """alpaca-eval's `weighted_alpaca_eval_gpt4_turbo`, asking any endpoint.

    The annotator sends one chat completion a pair, of one token with its five likeliest log-probabilities, and takes
    preference = 2 - P(m) / (P(m) + P(M)), where which output is called m is drawn from a hash of the instruction.
    Equal outputs are a tie, 1.5, without a request. A judge that answers in words is asked for its answer alone, in both orders:
    each is 1 or 2, and their mean the preference.

    Args:
        endpoint: the judge.
        kind: kind of the endpoint, see record.ENDPOINTS.
        revision: what the endpoint's own name for the model does not tell, such as which weights are served under it.
        control: the judge's control tokens, whose text is set apart before it is asked.
        how: how it is asked and read.

    Attributes:
        control_texts: rows with the text of a control token among those that were judged last.
    """

    def __init__(
        self,
        endpoint: JudgeEndpoint,
        kind: str,
        revision: str | None = None,
        control: ControlTokens = NONE_KNOWN,
        how: Judge | None = None,
    ) -> None:
        self._how = how or Judge(endpoint.model)
        _, template, request = read_annotator()
        self._template_length = len(self._how.prompt or template)
        self._request = in_words(request, endpoint.limit, self._how.answer_tokens) if self._how.in_words else request
        self._endpoint, self._kind, self._revision, self._control = endpoint, kind, revision, control
        self.control_texts = 0
        self._versions: set[str] = set()
        self._refused: list[str] = []  # prompts; alpaca-eval asks about a pair that comes again no second time
        self._annotate = make_annotator(self._complete, self._how.prompt)

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return self._endpoint.usage

    def estimated_tokens(self, pairs: Sequence[dict]) -> int:
        """About how many tokens the judge will read, and write in words at most, before anything is asked."""
        asked = [pair for pair in pairs if pair["output_1"] != pair["output_2"]]
        text = sum(len(pair["instruction"]) + len(pair["output_1"]) + len(pair["output_2"]) for pair in asked)
        read = (text + self._template_length * len(asked)) / CHARACTERS_PER_TOKEN
        return round(2 * (read + self._how.answer_tokens * len(asked)) if self._how.in_words else read)

    def judge(self, pairs: Sequence[dict]) -> tuple[list[float | None], dict[str, str]]:
        """Judge pairs of outputs: once, or in words in both orders.

        Args:
            pairs: rows with index, instruction, output_1 and output_2.

        Returns:
            The preference of each pair, in [1, 2]: 1 where output_1 is surely better, 2 where output_2 is, None where
            the judge refused, in either order, and the endpoint skips that. And the judge, see record.judge_record; its
            version is what the endpoint itself calls the model, and the revision.

        Raises:
            JudgeFailed: see `judge_once`.
        """
        self._versions = set()
        preferences = self.judge_once(pairs)
        if self._how.in_words:
            swapped = [pair | {"output_1": pair["output_2"], "output_2": pair["output_1"]} for pair in pairs]
            both = zip(preferences, self.judge_once(swapped), strict=True)
            preferences = [None if None in orders else (orders[0] + 3 - orders[1]) / 2 for orders in both]
        version = "+".join(sorted(self._versions)) or self._endpoint.model
        version += f"@{self._revision}" if self._revision else ""
        return preferences, judge_record(self._endpoint.model, version, name_prompt(self._how), self._kind)

    def judge_once(self, pairs: Sequence[dict]) -> list[float | None]:
        """The preferences of pairs of outputs, asked about in one order.

        Raises:
            JudgeFailed: at least one row could not be judged, and was not refused, or all that were asked about were
                refused; the message names the rows.
        """
        self.control_texts = sum(map(self._control.found_in, pairs))
        self._pairs = [self._control.set_apart(pair) for pair in pairs]
        rows = [{text: pair[text] for text in TEXTS} for pair in self._pairs]
        preferences = self._annotate(rows)
        preferences = [float(value) if value is not None and 1 <= value <= 2 else None for value in preferences]
        without = [pair for pair, value in zip(self._pairs, preferences, strict=True) if value is None]
        lost = [pair["index"] for pair in without if not any(_is_about(prompt, pair) for prompt in self._refused)]
        if lost:
            raise JudgeFailed(f"alpaca-eval read no preference from the judge's answer for {name_rows(lost)}")
        if without and len(without) == sum(pair["output_1"] != pair["output_2"] for pair in self._pairs):
            raise JudgeFailed("the judge refused every row that it was asked about, or answered none readably")
        return preferences

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


def in_words(request: dict, limit: str, tokens: int) -> dict:
    """A request of the annotator's for an answer in words.

    Args:
        request: for log-probabilities.
        limit: the field that limits the answer.
        tokens: the limit.
    """
    kept = {key: value for key, value in request.items() if key not in ("logprobs", "top_logprobs", "max_tokens")}
    return {**kept, limit: tokens}


def name_prompt(how: Judge) -> str:
    """What a judge was asked with, as its record calls it."""
    digest = how.prompt and hashlib.sha256(how.prompt.encode()).hexdigest()[:12]
    name = f"a prompt of the study's own, {digest}" if digest else PROMPT
    return name if how.answers == LOGPROBS else f"{name}, in words and both orders"


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
