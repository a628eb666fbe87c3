"""LoRA (arXiv 2106.09685): products of two small matrices are trained beside frozen weights, and added to them in the end.

A layer computes W x + (alpha / rank) B A x, with A of shape (rank, inputs) and B of shape (outputs, rank). B begins as zero, so
that the policy begins as the initial one, and what is saved is W + (alpha / rank) B A: a policy like any other.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_stages.core.errors import BadInput
from dpo_stages.models.weights import tensor_names

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class Lora:
    """What is trained beside the frozen weights.

    Attributes:
        rank: of the product, at least 1.
        alpha: the product is scaled by alpha / rank.
        dropout: share of a layer's inputs that the product does not see, in [0, 1).
        targets: last names of linear layers, such as q_proj, or `ALL_LINEAR`: all but the output layer.
    """

    rank: int
    alpha: float
    dropout: float
    targets: list[str]

    def config(self, model: "PreTrainedModel", folder: Path) -> "LoraConfig":
        """PEFT's configuration, with the layers by their whole names.

        Args:
            model: which the products are trained beside.
            folder: with its weights.

        Raises:
            BadInput: a target is no layer of the model, or its weights could not be found again when the products are added.
        """
        from peft import LoraConfig

        layers, stored = target_layers(model, self.targets), tensor_names(folder)
        lost = [name for name in layers if f"{name}.weight" not in stored]
        if lost:
            raise BadInput(
                f"{folder} holds no weights of {lost[0]} under this name, to which LoRA would have to be added; leave `lora` out, or "
                "name other targets"
            )
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=layers,
            bias="none",
        )


def target_layers(model: "PreTrainedModel", targets: list[str]) -> list[str]:
    """Whole names of the linear layers that targets stand for.

    The output layer is none of them: TRL multiplies with its weights themselves, past anything beside them.

    Raises:
        BadInput: there is no such layer; the message lists the layers there are.
    """
    import torch

    head = model.get_output_embeddings()
    linear = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    ]
    last = {name: name.rpartition(".")[2] for name in linear}
    known = ", ".join(dict.fromkeys(last.values()))
    unknown = [] if targets == [ALL_LINEAR] else [target for target in targets if target not in last.values()]
    if unknown or not linear:
        raise BadInput(
            f"lora.targets: {', '.join(unknown or targets)} is no linear layer of this model; there are {known or 'none'}"
        )
    return linear if targets == [ALL_LINEAR] else [name for name in linear if last[name] in targets]


def keep_dropout(model: "torch.nn.Module", dropout: float) -> None:
    """Give LoRA's dropout back, which TRL's DPOTrainer switches off with the model's own.

    With B zero it changes nothing yet in the first step, in which the policy has to equal its reference.
    """
    import torch

    for name, module in model.named_modules():
        if ".lora_dropout." in name and isinstance(module, torch.nn.Dropout):
            module.p = dropout


def lora_from(arguments: object) -> Lora | None:
    """What a program's flags say; None where they say nothing.

    Raises:
        BadInput: they say a part of it.
    """
    given = {name: getattr(arguments, f"lora_{name}") for name in (field.name for field in fields(Lora))}
    if all(value is None for value in given.values()):
        return None
    if lacking := [f"--lora-{name}" for name, value in given.items() if value is None]:
        raise BadInput(f"LoRA needs {', '.join(lacking)} as well")
    return Lora(**given)
