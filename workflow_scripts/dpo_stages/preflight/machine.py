"""Memory that models need, where their jobs run on this machine."""

import os
from collections.abc import Iterator

from dpo_stages.preflight.jobs import Jobs
from dpo_stages.study.policies import Policy
from dpo_stages.study.study import Study

TRAINING = 16
"""Bytes a parameter of a training in float32: weights, gradients and both of AdamW's moments, without activations."""

INFERENCE = 4
"""Bytes a parameter of a model in float32."""


def memory(study: Study, jobs: Jobs) -> Iterator[str]:
    """Models that cannot be run, or trained, in this machine's memory. Jobs on GPUs and clusters are not looked at."""
    if study.gpu:
        return
    trained = {
        Policy.parse(f"{job['model']}/sft").model
        for job in jobs.of("train_sft", "train_policy", "train_arm", "adopt_choice")
    }
    fetched = {job["base"] for job in jobs.of("fetch_model")}
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in sorted(trained | fetched):
        each, what = (TRAINING, "training") if name in trained else (INFERENCE, "running")
        if (needed := each * study.config["models"][name]["parameters"]) > have:
            yield (
                f"models.{name}: {what} {study.config['models'][name]['parameters'] / 1e9:.2g} billion parameters in float32 takes "
                f"at least {needed / 1e9:.0f} GB of memory, and this machine has {have / 1e9:.0f} GB; take a smaller model, or a GPU"
            )
