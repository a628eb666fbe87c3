"""What an endpoint's response says: the log-probabilities of m and M, or which of them it names, or what is wrong with it."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from dpo_stages.data.thoughts import answer

_ANSWERS = ("m", "M")
_CERTAIN = 0.99  # an answer that is likelier leaves nothing to tell between m and M
_ROUNDING = 1e-3  # a certain answer's log-probability may be rounded above zero
_SPACES = str.maketrans("▁Ġ", "  ")  # how SentencePiece and byte-level BPE write a space, where a server leaves it so


NO_ANSWER = {"logprobs": {"content": [{"top_logprobs": []}]}}
"""What stands for the answer to a row that the judge refuses: alpaca-eval's parser reads no preference from it."""


class TryAgain(Exception):
    """This attempt failed.

    Attributes:
        delay: seconds that the endpoint asked to wait for; None if it asked for nothing.
        answered: it was paid for.
        refused: the judge, or its endpoint's content filter, does not want to answer this, or not so that it could be read.
        unreadable: it answered in words of which nothing could be read.
    """

    def __init__(
        self,
        reason: str,
        delay: float | None = None,
        answered: bool = False,
        refused: bool = False,
        unreadable: bool = False,
    ) -> None:
        super().__init__(reason)
        self.delay, self.answered, self.refused, self.unreadable = delay, answered, refused or unreadable, unreadable


@dataclass(frozen=True)
class Completion:
    """A chat completion.

    Attributes:
        choice: the first one, as the endpoint sent it.
        version: what the endpoint calls the model.
        tokens: what the endpoint counted, prompt and answer.
        text: the answer or the refusal, for messages and for answers in words.
    """

    choice: dict
    version: str
    tokens: int
    text: str


def read_completion(data: bytes, model: str, redact: Callable[[str], str]) -> Completion:
    """Read a response.

    Args:
        data: the response's body.
        model: the judge's name, for an endpoint that names none.
        redact: takes the key out of a text.

    Raises:
        TryAgain: it is no chat completion.
    """
    try:
        response = json.loads(data)
        choice, message = response["choices"][0], response["choices"][0]["message"]
        return Completion(
            choice,
            redact(str(response.get("model") or model)),
            int((response.get("usage") or {}).get("total_tokens", 0)),
            redact(str(message.get("refusal") or message.get("content") or "")),
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise TryAgain(f"the judge's answer is not a chat completion ({type(error).__name__})") from None


def read_answer(completion: Completion, alternatives: int) -> dict:
    """Reduce a completion to what alpaca-eval's parser reads.

    Several tokens may have one text, such as SentencePiece's `m` with and without a space before it: their probabilities
    are added.

    Args:
        completion: the answer.
        alternatives: how many log-probabilities were asked for.

    Raises:
        TryAgain: it is a refusal or not one token, or has not the log-probabilities that were asked for.
    """
    _raise_refusal(completion)
    choice, said = completion.choice, completion.text[:100]
    try:
        contents = choice["logprobs"]["content"]
        # A dict in place of a set, whose order would change the sums; a token that a server repeats counts once
        given = dict.fromkeys((entry["token"], float(entry["logprob"])) for entry in contents[0]["top_logprobs"])
        likely = [(token.translate(_SPACES).strip(), value) for token, value in given if -math.inf < value <= _ROUNDING]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        raise TryAgain(
            "the judge's answer has no log-probabilities; the endpoint and the model must support top_logprobs, or set "
            "answers: words for this judge",
            answered=True,
        ) from None
    if len(contents) != 1:
        raise TryAgain(f"the judge answered {len(contents)} tokens where one was asked for", answered=True)
    values = {answer: [value for text, value in likely if text == answer] for answer in _ANSWERS}
    found = {answer: _log_of_sum(of_answer) for answer, of_answer in values.items() if of_answer}
    if not found:
        raise TryAgain(f"the judge's answer has no log-probability of m or M; it said {said!r}", answered=True)
    known = sum(math.exp(value) for _, value in likely)
    if len(found) < len(_ANSWERS) and len(given) < alternatives and known < _CERTAIN:
        raise TryAgain(
            f"the judge's answer has {len(given)} of the {alternatives} log-probabilities that were asked for, "
            "and not those of m and M; the endpoint must support top_logprobs",
            answered=True,
        )
    content = [{"top_logprobs": [{"token": token, "logprob": value} for token, value in found.items()]}]
    return {"logprobs": {"content": content}, "model": completion.version, "total_tokens": completion.tokens}


def read_word(completion: Completion) -> dict:
    """Reduce a completion to what alpaca-eval's parser reads: that the one that it names, m or M, is certain.

    What it thinks first does not count. The last line has to name one of the two and not the other; an answer that was cut
    has to be that name and nothing else.

    Args:
        completion: the answer.

    Raises:
        TryAgain: it is a refusal, or names neither or both.
    """
    _raise_refusal(completion)
    said = answer(completion.text).strip()
    if completion.choice.get("finish_reason") == "length":
        alone = _ALONE.fullmatch(said)
        named = {alone[1]} if alone else set()
    else:
        lines = [line for line in said.splitlines() if any(map(str.isalnum, line))]
        named = {*_NAMED.findall(lines[-1])} if lines else set()
    if len(named) != 1:
        raise TryAgain(
            f"the judge's answer does not end with m or M alone; it said {said[-100:]!r}",
            answered=True,
            unreadable=True,
        )
    content = [{"top_logprobs": [{"token": named.pop(), "logprob": 0.0}]}]
    return {"logprobs": {"content": content}, "model": completion.version, "total_tokens": completion.tokens}


_NAMED = re.compile(r"(?<![^\W_])(?<![^\W_]['’])[mM](?![^\W_])")  # by itself, and not that of "I'm"
_ALONE = re.compile(r"[\W_]*([mM])[\W_]*")


def _raise_refusal(completion: Completion) -> None:
    choice, said = completion.choice, completion.text[:100]
    if choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter":
        raise TryAgain(f"the judge refused ({said or 'content filter'})", answered=True, refused=True)


def _log_of_sum(logarithms: list[float]) -> float:
    """log(sum(exp)); a single one comes back as it is, to the last bit."""
    largest = max(logarithms)
    return largest + math.log(sum(math.exp(value - largest) for value in logarithms))
