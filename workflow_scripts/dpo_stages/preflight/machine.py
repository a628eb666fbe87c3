"""Memory that models need, where their jobs run on this machine."""

import os
from collections.abc import Iterator

from dpo_stages.preflight.jobs import Jobs
from dpo_stages.preflight.trainings import trainings
from dpo_stages.study.memory import FLOAT32, weight_bytes
from dpo_stages.study.study import Study

LORA = "; train with `lora: {}`, take a smaller model, or a GPU"
SMALLER = "; take a smaller model, or a GPU"


def memory(study: Study, jobs: Jobs) -> Iterator[str]:
    """Models that cannot be run, or trained, in this machine's memory. Jobs on GPUs and clusters are not looked at."""
    if study.gpu:
        return
    config, needed = study.config, {}
    for job in jobs.of("fetch_model"):
        needed[job["base"]] = (FLOAT32 * config["models"][job["base"]]["parameters"], "running", SMALLER)
    for (name, _), settings in trainings(study, jobs).items():
        rank = settings["lora"]["rank"] if settings["lora"] else None
        takes = weight_bytes(config["models"][name]["parameters"], rank, mixed=False)
        needed[name] = max(needed.get(name, (0,)), (takes, "training", SMALLER if settings["lora"] else LORA))
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name, (takes, what, remedy) in sorted(needed.items()):
        if takes > have:
            yield (
                f"models.{name}: {what} {config['models'][name]['parameters'] / 1e9:.2g} billion parameters in float32 takes at least "
                f"{takes / 1e9:.0f} GB of memory, and this machine has {have / 1e9:.0f} GB{remedy}"
            )
