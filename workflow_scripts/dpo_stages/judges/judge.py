"""Where a judge behind an endpoint is asked, and the flags that say so. Standard library only."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dpo_stages.core.arguments import positive_int
from dpo_stages.core.errors import BadInput

AUTHORIZATION = "authorization"
LOGPROBS, WORDS = "logprobs", "words"


@dataclass(frozen=True)
class Judge:
    """Where a judge is asked.

    Attributes:
        model: the judge, as its endpoint knows it.
        base_url: of the endpoint; None: that of `command`, or else the vendor's own.
        command: starts the judge's server, see `server.serving`.
        identified_by: files that the answers of `command` depend on; with others it is another judge.
        api_key_variable: environment variable that holds the API key; None for an endpoint without one.
        api_key_header: header that carries the key: "authorization" with the word Bearer, any other the key alone.
        refused: "fail", or "missing": a row that the judge refuses, or of whose answer in words nothing can be read, is left
            without a preference.
        answers: "logprobs": the log-probabilities of one token; "words": what it writes, asked in both orders.
        answer_tokens: of an answer in words at most, thoughts included.
        prompt: the text that it is asked with, see `prompt`; None: alpaca-eval's own.
    """

    model: str
    base_url: str | None = None
    command: str | None = None
    identified_by: Sequence[str] = ()
    api_key_variable: str | None = None
    api_key_header: str = AUTHORIZATION
    refused: str = "fail"
    answers: str = LOGPROBS
    answer_tokens: int = 1
    prompt: str | None = None

    @property
    def in_words(self) -> bool:
        """Whether what it writes is read."""
        return self.answers == WORDS

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Judge":
        """The judge of a manifest that `describe_judge.py` wrote; what an older one does not say is as by default."""
        return cls(**{field.name: manifest[field.name] for field in fields(cls) if field.name in manifest})


def add_judge_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a judge's server, of its key's header, of what it refuses and of how it answers."""
    parser.add_argument(
        "--serve",
        metavar="COMMAND",
        help="start this server for the time of the judging; {port} is replaced by a free port on this machine",
    )
    parser.add_argument(
        "--identified-by",
        nargs="*",
        default=[],
        metavar="FILE",
        help="files that the answers of --serve depend on, such as the model's manifest; with others it is another judge",
    )
    parser.add_argument(
        "--api-key-header",
        default=AUTHORIZATION,
        metavar="NAME",
        help="header that carries the key: authorization, with the word Bearer (the default), or another, alone",
    )
    parser.add_argument(
        "--refused",
        choices=["fail", "missing"],
        default="fail",
        help="what becomes of a row that the judge refuses: the program fails (the default), or it has no preference, "
        "which makes a pair that is labelled a tie",
    )
    add_answer_flags(parser)


def add_answer_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `answers_from` reads."""
    parser.add_argument(
        "--answers",
        choices=[LOGPROBS, WORDS],
        default=LOGPROBS,
        help="what is read of an answer: the log-probabilities of one token, or its words, asked in both orders "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--answer-tokens",
        type=positive_int,
        metavar="N",
        help="tokens of an answer in words at most, thoughts included",
    )
    parser.add_argument(
        "--prompt", metavar="FILE", help="the prompt, in the layout of AlpacaEval's, which is the default"
    )


def answers_from(arguments: argparse.Namespace) -> dict[str, Any]:
    """How a judge is asked and read, as fields of `Judge`.

    Raises:
        BadInput: flags that do not belong together, or a prompt that is none.
    """
    from dpo_stages.judges.prompt import read_prompt

    if (arguments.answers == WORDS) != (arguments.answer_tokens is not None):
        raise BadInput("--answers words and --answer-tokens belong together: how long an answer may be")
    return {
        "answers": arguments.answers,
        "answer_tokens": arguments.answer_tokens or Judge.answer_tokens,
        "prompt": read_prompt(arguments.prompt) if arguments.prompt else None,
    }
