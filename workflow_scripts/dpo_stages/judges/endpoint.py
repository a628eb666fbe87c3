"""A judge behind an OpenAI-compatible chat endpoint: ask once, try again with back-off, keep what was answered."""

import hashlib
import json
import math
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import SECONDS_BETWEEN_PROGRESS_LINES, ProgressReport
from dpo_stages.judges.answer_cache import AnswerCache
from dpo_stages.judges.answers import NO_ANSWER, TryAgain, read_answer, read_completion, read_word
from dpo_stages.judges.judge import AUTHORIZATION

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
CONCURRENT_REQUESTS = 8
ATTEMPTS = 8  # with delays of 1, 2, 4 … 64 s between them: about two minutes for an endpoint to come back
ATTEMPTS_TO_CONNECT = 5  # 15 s, while nothing was ever there
ATTEMPTS_TO_CONNECT_HERE = 3  # 3 s, to a server on this machine
ATTEMPTS_AT_ANSWER = 3  # an answer of no use costs money and seldom changes
LONGEST_DELAY = 64.0
ROWS_FAILED_BEFORE_STOPPING = 10
HERE = ("127.0.0.1", "::1", "localhost")
RETIRED = {"gpt-4-1106-preview": "retired by its vendor in March 2026"}


class JudgeFailed(Exception):
    """The judge gave no usable answer. `positions` are those of the conversations that were asked in vain."""

    def __init__(self, reason: str, positions: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.positions = list(positions)


class Refused(JudgeFailed):
    """The judge, or its endpoint's content filter, refuses to answer, however often it is asked."""


class _Fatal(JudgeFailed):
    """Nothing that is asked of this endpoint will succeed: a wrong key, an unknown model, an exhausted quota."""


class _Unreachable(TryAgain):
    """No connection could be made."""


@dataclass
class Usage:
    """What the judge was asked in this run.

    Attributes:
        requests: that were sent.
        tokens: what the endpoint itself reported, useless answers included.
        from_cache: answers that were there.
        unreadable: answers in words of which nothing could be read.
    """

    requests: int = 0
    tokens: int = 0
    from_cache: int = 0
    unreadable: int = 0


class JudgeEndpoint:
    """Chat completions: of one token with log-probabilities, as alpaca-eval's weighted annotator asks for them, or in words.

    Rate limits, time-outs, server errors, broken connections and malformed answers are tried again with growing delays
    (or the delay that the endpoint asks for); an endpoint that cannot be connected to from the beginning, for some seconds; an
    answer without the log-probability of `m` or `M` or that does not name one of them, or a refusal, a few times; a wrong key,
    an unknown model or an exhausted quota not at all.

    Args:
        url: base URL, such as https://api.openai.com/v1; what follows its path, such as ?api-version=…, stays behind it.
        model: the judge's name, as the endpoint knows it.
        key: the API key, or None for an endpoint without one. It is sent in the request's header and goes nowhere else.
        cache: answers already paid for.
        identity: whatever else makes answers of one endpoint differ from another's with the same model name.
        key_header: header that carries the key: "authorization" with the word Bearer, any other the key alone.
        skip_refused: whether NO_ANSWER stands for what the judge refuses, in place of a failure.
        first_delay: seconds before the first new attempt; each further delay is twice as long.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        cache: AnswerCache,
        identity: Sequence[str] = (),
        key_header: str = AUTHORIZATION,
        skip_refused: bool = False,
        first_delay: float = 1.0,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.model, self.usage, self.limit = model, Usage(), limit_of_answer(url)
        self._url, self._key, self._cache = completions_url(url), key, cache
        self._skip_refused = skip_refused
        self._identity, self._first_delay = list(identity), first_delay
        self._pool = connection_pool(url, key, key_header, read_seconds)
        here = urlsplit(url).hostname in HERE
        self._attempts_to_connect = ATTEMPTS_TO_CONNECT_HERE if here else ATTEMPTS_TO_CONNECT
        self._lock, self._told, self._reached = threading.Lock(), -math.inf, False

    def ask_all(self, conversations: Sequence[list[dict]], what: str, **parameters: Any) -> list[dict]:
        """Answers to all `conversations`, in their order.

        Args:
            conversations: the messages of each request.
            what: name of the work in the progress lines.
            parameters: further fields of every request, such as max_tokens and top_logprobs; without the latter the answer
                is read in words.

        Returns:
            One answer a conversation: `logprobs` of m and M as alpaca-eval's parser reads them, `model`, the version
            that answered, and `total_tokens`; or NO_ANSWER.

        Raises:
            JudgeFailed: after what could be asked was asked and kept; `positions` tells for which conversations.
        """
        progress = ProgressReport(what, len(conversations))
        answers: list[dict | None] = [None] * len(conversations)
        failures: dict[int, JudgeFailed] = {}
        stop, self._failed, self._alternatives = threading.Event(), 0, parameters.get("top_logprobs")
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            futures = {
                pool.submit(self._answer, messages, parameters, stop): position
                for position, messages in enumerate(conversations)
            }
            try:
                for future in as_completed(futures):
                    position = futures[future]
                    try:
                        answers[position] = future.result()
                    except JudgeFailed as error:
                        failures[position] = error
                    if answers[position] is not None:
                        progress.advance()
            except BaseException:
                stop.set()
                raise
        progress.close()
        if failures:
            raise self._failure(failures, sum(answer is None for answer in answers) - len(failures))
        return answers  # type: ignore[return-value]

    def _failure(self, failures: dict[int, JudgeFailed], unasked: int) -> JudgeFailed:
        positions = sorted(failures)
        fatal = next((error for error in failures.values() if isinstance(error, _Fatal)), None)
        reason = str(fatal or failures[positions[0]])
        retired = RETIRED.get(self.model)
        return JudgeFailed(
            reason
            + (f"; {self.model} was {retired}: name another judge in the configuration" if retired else "")
            + (f"; {unasked} further rows are left" if unasked else ""),
            [] if fatal else positions,
        )

    def _answer(self, messages: list[dict], parameters: dict, stop: threading.Event) -> dict | None:
        body = {"model": self.model, "messages": messages, **parameters}
        request = hashlib.sha256(json.dumps([self._identity, body], sort_keys=True).encode()).hexdigest()
        if (known := self._cache.get(request)) is not None:
            with self._lock:
                self.usage.from_cache += 1
            return known
        try:
            answer = self._ask(body, stop)
        except JudgeFailed as error:
            if self._skip_refused and isinstance(error, Refused):
                return NO_ANSWER
            with self._lock:
                self._failed += 1
                if isinstance(error, _Fatal) or self._failed >= ROWS_FAILED_BEFORE_STOPPING:
                    stop.set()
            raise
        if answer is not None:
            self._cache.put(request, answer)
        return answer

    def _ask(self, body: dict, stop: threading.Event) -> dict | None:
        attempt = useless = refusals = 0
        while not stop.is_set():
            attempt += 1
            try:
                return self._attempt(body)
            except TryAgain as failure:
                useless += failure.answered
                with self._lock:
                    self.usage.unreadable += failure.unreadable
                refusals += failure.refused
                if attempt == ATTEMPTS or useless == ATTEMPTS_AT_ANSWER:
                    kind = Refused if refusals == ATTEMPTS_AT_ANSWER else JudgeFailed
                    raise kind(f"{failure} (asked {attempt} times)") from None
                if isinstance(failure, _Unreachable) and not self._reached and attempt == self._attempts_to_connect:
                    raise _Fatal(f"{failure}; is it running, and is the base URL right?") from None
                delay = self._first_delay * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)
                delay = min(delay if failure.delay is None else failure.delay, LONGEST_DELAY)
                self._tell(f"{failure}; asking again in {delay:.0f} s")
                stop.wait(delay)
        return None

    def _tell(self, line: str) -> None:
        """Say what is going on, at most every ten seconds."""
        with self._lock:
            if time.monotonic() - self._told < SECONDS_BETWEEN_PROGRESS_LINES:
                return
            self._told = time.monotonic()
        print(line, file=sys.stderr, flush=True)

    def _attempt(self, body: dict) -> dict:
        with self._lock:
            self.usage.requests += 1
        try:
            response = self._pool.request("POST", self._url, body=json.dumps(body), retries=False, redirect=False)
        except urllib3.exceptions.NewConnectionError as error:
            reason = (
                "refused the connection" if isinstance(error.__cause__, ConnectionRefusedError) else "cannot be reached"
            )
            raise _Unreachable(f"the judge's endpoint {urlsplit(self._url).netloc} {reason}") from None
        except urllib3.exceptions.TimeoutError as error:
            raise TryAgain(f"the judge's endpoint did not answer in time ({type(error).__name__})") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TryAgain(f"the connection to the judge's endpoint failed ({type(error).__name__})") from None
        self._reached = True
        if response.status != 200:
            raise self._http_error(response)
        completion = read_completion(response.data, self.model, self._redact)
        with self._lock:
            self.usage.tokens += completion.tokens
        return read_word(completion) if self._alternatives is None else read_answer(completion, self._alternatives)

    def _http_error(self, response: urllib3.BaseHTTPResponse) -> Exception:
        status = response.status
        try:
            details = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            details = response.data.decode("utf-8", "replace")
        details = details if isinstance(details, dict) else {"message": details}
        message = self._redact(" ".join(str(details.get("message", "")).split())[:300]) or "no explanation"
        text = f"the judge's endpoint answered HTTP {status} ({message})"
        if status in (401, 403):
            return _Fatal(f"{text}; check the API key and what it may use")
        if status == 404 or 300 <= status < 400:
            return _Fatal(f"{text}; check the judge's name {self.model} and the base URL")
        if status == 429 and details.get("code") == "insufficient_quota":
            return _Fatal(f"{text}; top up the account and run again, what was answered is kept")
        if status in (408, 409, 425, 429) or status >= 500:
            return TryAgain(text, _retry_after(response.headers.get("Retry-After")))
        return Refused(text) if status == 400 and details.get("code") == "content_filter" else JudgeFailed(text)

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "(key)") if self._key else text


def api_key(variable: str | None) -> str | None:
    """The API key from the environment: the only place it comes from, and it goes nowhere but into the request."""
    key = os.environ.get(variable, "").strip() if variable is not None else None
    if key == "":
        raise BadInput(
            f"the environment variable {variable} is not set; put the API key of the judge's endpoint into it"
        )
    return key


def _retry_after(value: str | None) -> float | None:
    try:
        return max(0.0, float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def limit_of_answer(url: str) -> str:
    """The field of a request that limits its answer: OpenAI's reasoning models, here and on Azure, know the newer one alone."""
    host = urlsplit(url).hostname or ""
    return "max_completion_tokens" if host.endswith(("openai.com", "openai.azure.com")) else "max_tokens"


def completions_url(base_url: str) -> str:
    """Where chat completions are asked for."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/chat/completions", fragment=""))


def connection_pool(url: str, key: str | None, key_header: str, read_seconds: float) -> urllib3.PoolManager:
    """Connections to `url`, through the proxy of the environment where there is one for this host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"--base-url {url!r} is not a URL such as {OPENAI_URL}")
    if parts.username or parts.password:
        raise BadInput("--base-url must not carry credentials; name the key's environment variable")
    carried = {"Authorization": f"Bearer {key}"} if key_header.lower() == AUTHORIZATION else {key_header: key}
    options = {
        "headers": {"Content-Type": "application/json", **(carried if key else {})},
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
        "maxsize": CONCURRENT_REQUESTS,
        "block": True,
    }
    direct = parts.hostname in HERE or proxy_bypass(parts.netloc)
    proxy = None if direct else getproxies().get(parts.scheme)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
