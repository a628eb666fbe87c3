"""Serve the judge of the demo's evaluation: the hidden quality behind an OpenAI-compatible chat endpoint on loopback.

It answers the requests of alpaca-eval's annotator `weighted_alpaca_eval_gpt4_turbo`: the prompt holds an instruction
and two outputs, called m and M, and the answer is the one token m or M with the log-probabilities of both. Where q is
the hidden quality, P(m) = sigmoid((q(m) - q(M)) / temperature + length bias); the bias likes the longer output, in the form
that length control can take out (see dpo_stages/demo/quality.py), and --no-length-bias leaves it out.

    POST /v1/chat/completions    one judgement
    GET  /v1/models              whether the server is up

Prints the base URL as one line once it listens. SIGTERM and SIGINT end it with exit code 0. A request that is not such
a judgement gets HTTP 400 and a JSON error that says why.
"""

import argparse
import json
import math
import re
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import run
from dpo_stages.demo import world
from dpo_stages.demo.quality import JUDGE_TEMPERATURE, length_bias, quality

MODEL = "demo-judge"
LARGEST_REQUEST = 1 << 20  # bytes

# Non-greedy up to the whole delimiter with its indentation, so that an output may contain quotes of its own.
_PROMPT = re.compile(
    r'"instruction": """(?P<instruction>.*?)""",\n\}\n'
    r'.*?"model_identifier": "m",\n +"output": """(?P<m>.*?)"""\n +\},\n'
    r' +\{\n +"model_identifier": "M",\n +"output": """(?P<M>.*?)"""\n +\}\n\}\n',
    re.DOTALL,
)


class BadRequest(Exception):
    """The client's request cannot be judged; the message says why."""


class Comparison(NamedTuple):
    """What one request asks to judge."""

    instruction: str
    m: str
    M: str  # the prompt's own name for it


def read_comparison(request: object) -> Comparison:
    """Take the instruction and the two outputs out of a chat completion request.

    Raises:
        BadRequest: it is not a chat completion request, or its last turn is not the annotator's prompt.
    """
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise BadRequest("'messages' must be a list of turns that is not empty")
    content = messages[-1].get("content")
    if not isinstance(content, str):
        raise BadRequest("the last turn needs a 'content' that is text")
    match = _PROMPT.search(content)
    if not match:
        raise BadRequest("the last turn is not the prompt of alpaca_eval_clf_gpt4_turbo with an instruction, m and M")
    return Comparison(match["instruction"], match["m"], match["M"])


def judge(facts: world.Facts, comparison: Comparison, likes_length: bool = True) -> dict[str, float]:
    """Log-probabilities, in nats, that m and M are the better output; without `likes_length` by quality alone.

    Raises:
        BadRequest: the instruction is not one of the demo's world.
    """
    try:
        better_by = quality(facts, comparison.instruction, comparison.m) - quality(
            facts, comparison.instruction, comparison.M
        )
    except ValueError as error:
        raise BadRequest(str(error)) from error
    logit = better_by / JUDGE_TEMPERATURE
    if likes_length:
        logit += length_bias(len(comparison.m) - len(comparison.M))
    return {"m": _log_sigmoid(logit), "M": _log_sigmoid(-logit)}


def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


def chat_completion(request: dict, log_probabilities: dict[str, float], number: int) -> dict:
    """The response body: the likelier token, with `top_logprobs` where the request has `logprobs`."""
    top = [
        {"token": token, "bytes": list(token.encode()), "logprob": value}
        for token, value in sorted(log_probabilities.items(), key=lambda item: -item[1])
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": top[0]["token"]},
        "finish_reason": "length" if request.get("max_tokens") == 1 else "stop",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]} if request.get("logprobs") else None,
    }
    words = sum(len(str(turn.get("content", "")).split()) for turn in request["messages"] if isinstance(turn, dict))
    return {
        "id": f"judgement-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": str(request.get("model") or MODEL),
        "choices": [choice],
        "usage": {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1},
    }


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open over requests. The server carries the `facts` and whether the judge likes length."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one packet; in two, the second waits for the first's acknowledgement
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self._answer(404, _error(f"no such path: {self.path}"))
        else:
            self._answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0}]})

    def do_POST(self) -> None:
        try:
            request = self._read()
            if self.path != "/v1/chat/completions":
                self._answer(404, _error(f"no such path: {self.path}"))
                return
            comparison = read_comparison(request)
            log_probabilities = judge(self.server.facts, comparison, self.server.likes_length)
        except BadRequest as error:
            self._answer(400, _error(str(error)))
        else:
            self._answer(200, chat_completion(request, log_probabilities, self.server.next_number()))

    def _read(self) -> object:
        try:
            length = int(self.headers["Content-Length"])
        except (TypeError, ValueError):
            length = -1
        if not 0 <= length <= LARGEST_REQUEST:
            self.close_connection = True  # whatever follows the headers is not going to be read
            raise BadRequest(f"the request needs a Content-Length from 0 to {LARGEST_REQUEST}")
        try:
            return json.loads(self.rfile.read(length))
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from error

    def _answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of single requests."""


def _error(message: str) -> dict:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


class Server(ThreadingHTTPServer):
    """A thread for each connection; all of them end with the process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, facts: world.Facts, port: int, likes_length: bool) -> None:
        self.facts, self.likes_length = facts, likes_length
        self._number, self._lock = 0, threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        socket.socket.bind(self.socket, self.server_address)  # without the look-up of this machine's own name
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address

    def next_number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=Path, required=True, metavar="JSON", help="facts.json of make_demo_world.py")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--length-bias", action=argparse.BooleanOptionalAction, default=True, help="whether the judge likes length"
    )
    arguments = parser.parse_args()
    if not 0 <= arguments.port < 65536:
        raise BadInput(f"--port is {arguments.port}; give 0 or a port below 65536")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    facts = world.read_facts(arguments.facts)
    try:
        server = Server(facts, arguments.port, arguments.length_bias)
    except OSError as error:
        raise BadInput(f"--port {arguments.port} cannot be used ({error.strerror}); 0 takes a free one") from error

    def stop(number: int, frame: object) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for the loop below, which this very thread runs

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    run(main)
