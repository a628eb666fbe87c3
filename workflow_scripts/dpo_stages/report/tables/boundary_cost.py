"""Appendix B.1: what the boundary measurement costs, against an epoch of training. Standard library only.

Snakemake measures each job; its benchmark files, one JSON object a line, lie beside the results.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines
from dpo_stages.report.table import Grid, Table

COLUMNS = (
    *("model", "model_label", "prompts", "pairs", "sampling_seconds", "comparing_seconds", "boundary_seconds"),
    *("training_seconds", "epochs", "ratio", "gpu_ratio", "prompt_ratio"),
)


@dataclass(frozen=True)
class Gpus:
    """GPUs that each job holds; zeros on a processor."""

    sampling: int
    comparing: int
    training: int


@dataclass(frozen=True)
class Cost:
    """One model. Seconds are wall-clock seconds of whole jobs, added where a stage ran in several: starting, loading and
    writing included.

    Attributes:
        model: name of the base model.
        model_label: its name in tables.
        prompts: prompts that the boundary is measured on.
        pairs: preference pairs that are trained on.
        sampling_seconds: sampling two responses a prompt from the SFT policy.
        comparing_seconds: comparing them with the off-policy candidates under the preference model.
        training_seconds: training the SFT policy on the off-policy pairs.
        epochs: epochs of that training.
        gpus: of the jobs.
    """

    model: str
    model_label: str
    prompts: int
    pairs: int
    sampling_seconds: float
    comparing_seconds: float
    training_seconds: float
    epochs: float
    gpus: Gpus

    @property
    def boundary_seconds(self) -> float:
        """Seconds of sampling and comparing."""
        return self.sampling_seconds + self.comparing_seconds

    @property
    def ratio(self) -> float:
        """Seconds of the boundary over the seconds of one epoch."""
        return self.boundary_seconds * self.epochs / self.training_seconds

    @property
    def gpu_ratio(self) -> float | None:
        """The same of GPU seconds; None on a processor."""
        if not self.gpus.training:
            return None
        seconds = self.gpus.sampling * self.sampling_seconds + self.gpus.comparing * self.comparing_seconds
        return seconds * self.epochs / (self.gpus.training * self.training_seconds)

    @property
    def prompt_ratio(self) -> float:
        """Prompts over pairs."""
        return self.prompts / self.pairs


def seconds_of(path: Path) -> float:
    """Wall-clock seconds of a job, from its benchmark file.

    Raises:
        BadInput: the file is missing, which happens where the results were made elsewhere, or has no seconds.
    """
    if not path.exists():
        raise BadInput(
            f"{path} does not exist; Snakemake writes it when it runs the job: run that rule again, or bring the file "
            "along with results that were made elsewhere"
        )
    rows = read_json_lines(path)
    try:
        seconds = float(rows[-1]["s"])  # text in Snakemake's files
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is no benchmark of a job: it has no seconds 's'; run the job again") from error
    if not 0 < seconds < math.inf:
        raise BadInput(f"{path}: the job took {seconds} seconds, which is no measurement; run it again")
    return seconds


def seconds_of_models(paths: Sequence[Path], models: int, what: str) -> list[float]:
    """Seconds of a stage for each model; those of the several jobs that it may have been cut into are added.

    Args:
        paths: benchmark files, as many for each model, model after model.
        models: number of models.
        what: the argument that they came by, for messages.

    Raises:
        BadInput: the files cannot be shared out, or one is no benchmark.
    """
    jobs, left = divmod(len(paths), models)
    if left or not jobs:
        raise BadInput(f"{what} has {len(paths)} files for {models} models; give as many for each, model after model")
    return [math.fsum(map(seconds_of, paths[first : first + jobs])) for first in range(0, len(paths), jobs)]


def table(costs: Sequence[Cost], split: str, method: str) -> Table:
    """A line a model, and what is counted.

    Args:
        costs: at least one.
        split: split of the preference data that measures boundaries.
        method: label of the method that trains.
    """
    first, gpus = costs[0], costs[0].gpus
    header = ["Model", "Sampling", "Comparing", "Boundary", "Epoch", "Boundary / epoch", "Prompts / pairs"]
    columns = [*header[:6], "GPU time", header[6]] if gpus.training else header
    lines = []
    for one in costs:
        seconds = (one.sampling_seconds, one.comparing_seconds, one.boundary_seconds)
        shares = [one.ratio, *([one.gpu_ratio] if gpus.training else []), one.prompt_ratio]
        lines.append(
            [
                one.model_label,
                *(f"{value:,.1f} s" for value in (*seconds, one.training_seconds / one.epochs)),
                *(f"{share:.1%}" for share in shares),
            ]
        )
    sentences = [
        "Wall-clock seconds of whole jobs as Snakemake measured them: starting up, loading the model and writing included, "
        "which is most of it where jobs take seconds. A stage that ran in several jobs counts their sum.",
        f"Sampling: two responses of the SFT policy to each of {first.prompts:,} prompts ({split}). Comparing: each with "
        "both off-policy candidates under the preference model. Boundary: both together.",
        f"Epoch: training the SFT policy with {method} on {first.pairs:,} off-policy pairs, by the number of epochs "
        f"({first.epochs:g}).",
        "Not counted on either side: log-probabilities under the reference model, labelling the pairs, waiting for a place "
        "on a cluster. A job that was stopped and went on counts from its last start.",
    ]
    if gpus.training:
        sentences.append(
            f"GPU time: the same ratio of GPU seconds, with {gpus.sampling} GPUs for sampling, {gpus.comparing} for "
            f"comparing and {gpus.training} for training."
        )
    sentences.append(
        "The paper estimates 3.2 % of an epoch (Appendix B.1), which is about the ratio of its 2,000 prompts to its "
        "61,135 pairs."
    )
    parts = [
        ("title", "Cost of the boundary measurement"),
        ("grid", Grid(columns, lines)),
        ("words", " ".join(sentences)),
    ]
    return Table([{name: getattr(one, name) for name in COLUMNS} for one in costs], parts)
