"""Open a judge behind an endpoint: one of a vendor, any with the same interface, or a server started for the judging."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.judges.answer_cache import AnswerCache
from dpo_stages.judges.control_tokens import NONE_KNOWN, control_tokens
from dpo_stages.judges.endpoint import OPENAI_URL, READ_SECONDS, JudgeEndpoint, api_key
from dpo_stages.judges.judge import Judge
from dpo_stages.judges.server import served_revision, serving

if TYPE_CHECKING:
    from dpo_stages.judges.annotator import WeightedAnnotator

SLOWEST = 10  # tokens a second that an answer in words may take without being given up


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
        control = NONE_KNOWN
        if judge.command:
            server = stack.enter_context(serving(judge.command))
            kind, url, revision = "served", server.url, served_revision(judge.command, judge.identified_by)
            control = control_tokens(judge.identified_by)
        else:
            url = (judge.base_url or OPENAI_URL).rstrip("/")
            kind = "openai" if url == OPENAI_URL else "openai-compatible"
        endpoint = JudgeEndpoint(
            url,
            judge.model,
            key,
            answers,
            [revision or url],
            judge.api_key_header,
            judge.refused == "missing",
            read_seconds=READ_SECONDS + judge.answer_tokens / SLOWEST,
        )

        from dpo_stages.judges.annotator import WeightedAnnotator  # a second or two, in which the server comes up

        annotator = WeightedAnnotator(endpoint, kind, revision, control, judge)
        if server:
            server.wait_until_ready()
        yield annotator
