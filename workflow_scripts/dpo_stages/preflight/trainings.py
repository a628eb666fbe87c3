"""What the jobs of a run train, by which settings, and what they sample."""

from collections.abc import Mapping
from typing import Any

from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study.policies import Policy
from dpo_stages.study.study import Study


def trainings(study: Study, jobs: Jobs) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Settings of each kind of training, by the base model's name and the key of the settings, `sft` or `methods.NAME`."""
    found = {}
    for job in jobs.of("train_sft", "train_policy", "train_arm", "adopt_choice"):
        model, method = Policy.parse(f"{job['model']}/sft").model, job.get("method")
        key = f"methods.{method}" if method else "sft"
        found[model, key] = study.config["methods"][method] if method else study.config["sft"]
    return found


def sampled(jobs: Jobs) -> list[str]:
    """Base models whose policies are sampled."""
    work = jobs.of("sample_candidates", "sample_arm", "generate_evaluation_outputs")
    policies = (job.get("sampled") or job.get("policy") or f"{job['model']}/sft" for job in work)
    return list(dict.fromkeys(Policy.parse(policy).model for policy in policies))


def served(study: Study, jobs: Jobs) -> list[str]:
    """The base model that vLLM serves as the judge, if it does."""
    return [study.judge["model"]] if jobs.of("judge_outputs") and study.judge["kind"] == "vllm" else []
