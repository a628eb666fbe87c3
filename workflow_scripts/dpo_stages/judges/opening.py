"""Open a judge behind an endpoint: one of a vendor, any with the same interface, or a server started for the judging."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.judges.answer_cache import AnswerCache
from dpo_stages.judges.endpoint import AUTHORIZATION, OPENAI_URL, JudgeEndpoint, api_key
from dpo_stages.judges.server import served_revision, serving

if TYPE_CHECKING:
    from dpo_stages.judges.annotator import WeightedAnnotator


@dataclass(frozen=True)
class Judge:
    """Where a judge is asked.

    Attributes:
        model: the judge, as its endpoint knows it.
        base_url: of the endpoint; None: that of `command`, or else the vendor's own.
        api_key_variable: environment variable that holds the API key; None for an endpoint without one.
        api_key_header: header that carries the key: "authorization" with the word Bearer, any other the key alone.
        refused: "fail", or "missing": a row that the judge refuses is left without a preference.
        command: starts the judge's server, see `server.serving`.
        identified_by: files that the answers of `command` depend on; with others it is another judge.
    """

    model: str
    base_url: str | None = None
    api_key_variable: str | None = None
    api_key_header: str = AUTHORIZATION
    refused: str = "fail"
    command: str | None = None
    identified_by: tuple[str, ...] = ()


@contextmanager
def open_judge(judge: Judge, cache: Path) -> "Iterator[WeightedAnnotator]":
    """Hold a judge that is ready to be asked; a server ends with the block.

    Args:
        judge: where it is asked.
        cache: folder of its answers, of this run alone.

    Raises:
        BadInput: the key is not set, the folder is in use, the URL or command is none, a file is not there.
        JudgeFailed: the server does not come up.
    """
    key = api_key(judge.api_key_variable)
    with ExitStack() as stack:
        answers = stack.enter_context(closing(AnswerCache(cache)))
        server = revision = None
        if judge.command:
            server = stack.enter_context(serving(judge.command))
            kind, url, revision = "served", server.url, served_revision(judge.command, judge.identified_by)
        else:
            url = (judge.base_url or OPENAI_URL).rstrip("/")
            kind = "openai" if url == OPENAI_URL else "openai-compatible"
        endpoint = JudgeEndpoint(
            url, judge.model, key, answers, [revision or url], judge.api_key_header, judge.refused == "missing"
        )

        from dpo_stages.judges.annotator import WeightedAnnotator  # a second or two, in which the server comes up

        annotator = WeightedAnnotator(endpoint, kind, revision)
        if server:
            server.wait_until_ready()
        yield annotator
