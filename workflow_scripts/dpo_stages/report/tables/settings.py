"""The paper's Tables 6 and 7, written from the configuration that is in force. Standard library only.

In both, the paper's own values stand beside this study's. Appendix C.4 of the paper says that training is in Table 7 and
sampling in Table 6; the captions, and the tables themselves, have it the other way round.
"""

from collections.abc import Mapping, Sequence

from dpo_stages.core.files import read_csv
from dpo_stages.report.paper import PAPER
from dpo_stages.report.table import Grid, Table

SWAPPED = (
    "The paper's Appendix C.4 refers to Table 7 for training and to Table 6 for sampling. Its tables and their captions "
    "have it the other way round, as here."
)

TRAINING = {
    "loss": "Loss",
    "epochs": "Epochs",
    "learning_rate": "Learning rate",
    "batch_size": "Batch size",
    "per_device_batch_size": "Batch size (per device)",
    "gradient_accumulation_steps": "Gradient accumulation steps",
    "beta": "β",
    "delta": "Margin",
    "sft_weight": "SFT weight",
    "label_smoothing": "Label smoothing",
    "use_weighting": "Weighted pairs (WPO)",
    "lora": "LoRA",
    "warmup_ratio": "Warm-up ratio",
    "scheduler": "Scheduler",
    "rounding": "Rounding of saved weights",
    "max_length": "Longest example (tokens)",
    "packing": "Packing",
    "loss_on_prompts": "Loss on prompts",
    "empty_system_turn": "Empty system turn",
    "gpus": "GPUs",
}
SAMPLING = {
    "top_k": "top_k",
    "top_p": "top_p",
    "temperature": "Temperature",
    "candidates": "Responses to a prompt",
    "max_new_tokens": "Longest response (tokens)",
    "max_length": "Longest prompt and response (tokens)",
}


def training_table(sft: Mapping, methods: Mapping[str, Mapping], max_length: int, gpus: int) -> dict[str, dict]:
    """Table 6: hyper-parameters of supervised fine-tuning and of each method.

    Args:
        sft: the section `sft` of the configuration.
        methods: the section `methods`.
        max_length: longest training example.
        gpus: how many train one policy together; 0 on CPU cores.

    Returns:
        Values by column (sft, then the methods) and by parameter of TRAINING; None where a column has no such parameter,
        or has it switched off.
    """
    columns = {"sft": {"loss": "cross-entropy", **sft}, **methods}
    return {
        name: {key: _training_value(key, section, max_length, gpus) for key in TRAINING}
        for name, section in columns.items()
    }


def _training_value(key: str, section: Mapping, max_length: int, gpus: int) -> object:
    if key == "gradient_accumulation_steps":
        return section["batch_size"] // (section["per_device_batch_size"] * max(1, gpus))
    if key == "rounding" and not gpus:
        return None  # float32 is saved as it is
    if key == "lora" and section.get("lora"):
        return _lora(**section["lora"])
    value = {"max_length": max_length, "gpus": gpus}.get(key, section.get(key))
    return {True: "yes", False: None}[value] if isinstance(value, bool) else value


def _lora(rank: int, alpha: float, dropout: float, targets: str | Sequence[str]) -> str:
    words = [f"rank {rank}", f"α {alpha:g}", *([f"dropout {dropout:g}"] if dropout else [])]
    return ", ".join([*words, targets if isinstance(targets, str) else " ".join(targets)])


def sampling_table(sampling: Mapping) -> dict[str, dict]:
    """Table 7: how candidates are sampled. One column, `value`."""
    return {"value": {key: sampling.get(key) for key in SAMPLING}}


def paper_values(number: int) -> dict[str, dict[str, str]]:
    """The paper's Table 6 or 7: values by column and parameter, as text; a parameter that it does not give is missing."""
    rows = read_csv(PAPER / f"table{number}.csv", ("parameter",))
    columns = [name for name in rows[0] if name != "parameter"]
    return {name: {row["parameter"]: row[name] for row in rows if row[name]} for name in columns}


def same_value(ours: object, printed: str) -> bool:
    """Whether a value of the configuration is the one that the paper prints."""
    try:
        return float(ours) == float(printed)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(ours) == printed


def rows_of(number: int, columns: Mapping[str, Mapping]) -> list[dict]:
    """The lines of the CSV: a parameter, its value in each column, and the paper's values as `paper_{column}`."""
    paper = paper_values(number)
    parameters = list(next(iter(columns.values())))
    return [
        {
            "parameter": parameter,
            **{name: _plain(values[parameter]) for name, values in columns.items()},
            **{f"paper_{name}": values.get(parameter) for name, values in paper.items()},
        }
        for parameter in parameters
        if any(values[parameter] is not None for values in columns.values())
    ]


def table(number: int, rows: Sequence[Mapping], labels: Mapping[str, str]) -> Table:
    """The table in the paper's layout, its values in the last columns, and how many of ours differ.

    Args:
        number: 6 or 7.
        rows: from `rows_of`.
        labels: names of our columns, in the table's order.
    """
    titles = {6: "training hyper-parameters", 7: "inference hyper-parameters (sampling of candidates)"}
    names = {**TRAINING, **SAMPLING} if number == 7 else TRAINING
    paper = [key for key in rows[0] if key.startswith("paper_")]
    paper_labels = {"paper_sft": "Paper: SFT", "paper_dpo": "Paper: DPO", "paper_value": "Paper"}
    columns = ["Parameter", *labels.values(), *(paper_labels[key] for key in paper)]
    lines = []
    for row in rows:
        values = ["–" if row[key] is None else str(row[key]) for key in (*labels, *paper)]
        lines.append([names[row["parameter"]], *values])
    compared = [(row[key.removeprefix("paper_")], row[key]) for row in rows for key in paper if row[key] is not None]
    same = sum(same_value(ours, printed) for ours, printed in compared)
    tally = f"{same} of the {len(compared)} values that the paper prints are this study's; it does not give the others."
    title = ("title", f"Table {number}: {titles[number]}")
    return Table(rows, [title, ("grid", Grid(columns, lines)), ("words", tally), ("words", SWAPPED)])


def _plain(value: object) -> object:
    """Learning rates as the paper writes them, 5e-07 rather than 0.0000005; whole numbers without a point."""
    if isinstance(value, float):
        return f"{value:.10g}"
    return value
