"""Judges behind endpoints: whether the key is there, the host takes connections, and an answer has what is needed."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from urllib3.exceptions import HTTPError

from dpo_stages.core.errors import BadInput
from dpo_stages.judges.endpoint import completions_url, connection_pool
from dpo_stages.preflight.hosts import refused
from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study.independence import length_witness
from dpo_stages.study.study import Study

SECONDS = 20.0
"""That an answer to one question may take."""

WRONG = (401, 403, 404)
"""Statuses that another question would meet as well: a wrong key, a wrong model."""

LABELLING = (
    "label_preferences",
    "score_candidates",
    "score_pooled_candidates",
    "compare_candidates",
    "compare_arms",
)
AUDITING = ("ask_yardstick", "compare_racing_arms")
JUDGING = ("judge_outputs",)


def judges(study: Study, jobs: Jobs) -> Iterator[str]:
    """What is wrong with the endpoints that the jobs ask."""
    for name in asked(study, jobs):
        settings = study.config["judges"][name]
        if settings["kind"] == "endpoint":
            yield from _endpoint(f"judges.{name}", settings)


def asked(study: Study, jobs: Jobs) -> list[str]:
    """Names of the judges that the jobs ask, as preference models too."""
    config = study.config
    in_blocks = ["measure_boundary"] if config["boundary"]["sequential"] else []
    models = [config["preference_model"]] if jobs.of(*LABELLING, *in_blocks) else []
    models += [config["yardstick"]] if jobs.of(*AUDITING) else []
    models += [length_witness(study)] if jobs.of("ask_length_witness") else []
    models += [job["opinion"] for job in jobs.of("ask_second_opinion")]
    found = [config["preference_models"][model]["judge"] for model in models]
    found += [config["evaluation"]["judge"]] if jobs.of(*JUDGING) else []
    return list(dict.fromkeys(name for name in found if name))


def _endpoint(key: str, settings: Mapping[str, Any]) -> Iterator[str]:
    variable = settings["api_key_variable"]
    if variable and not os.environ.get(variable):
        yield f"{key}: the environment variable {variable} is not set; put the endpoint's key into it (export {variable}=…)"
        return
    if reason := refused(settings["base_url"]):
        yield f"{key}: nothing answers at {settings['base_url']} ({reason}); start the endpoint, or correct base_url"
        return
    yield from _answer(key, settings, os.environ.get(variable) if variable else None)


def _answer(key: str, settings: Mapping[str, Any], secret: str | None) -> Iterator[str]:
    """Ask for a letter, and see that there is an answer, with log-probabilities where they are read."""
    body = {"model": settings["model"], "messages": [{"role": "user", "content": "Answer with one letter, m or M."}]}
    if read := settings["answers"] == "logprobs":
        body |= {"max_tokens": 1, "logprobs": True, "top_logprobs": 5}
    try:
        pool = connection_pool(settings["base_url"], secret, settings["api_key_header"], SECONDS)
        url = completions_url(settings["base_url"])
        response = pool.request("POST", url, body=json.dumps(body), retries=False, redirect=False)
        choice = response.json()["choices"][0] if response.status == 200 else {}
    except (BadInput, HTTPError, OSError, ValueError, LookupError, TypeError):
        return  # it may like real questions better; the job says what is wrong
    if response.status in WRONG:
        said = response.data.decode("utf-8", "replace")
        said = " ".join((said.replace(secret, "…") if secret else said).split())[:200]
        yield (
            f"{key}: {settings['base_url']} answers HTTP {response.status} for the model {settings['model']} ({said}); correct the key, "
            "the model's name or the URL"
        )
    elif read and response.status == 200 and not (choice.get("logprobs") or {}).get("content"):
        yield (
            f"{key}: {settings['model']} answers without log-probabilities; set {key}.answers to words, or name another judge"
        )
