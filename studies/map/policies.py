"""Initial policies of the map: small language models of one architecture, taught by writers of several qualities."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from worlds import World

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json_lines, write_text
from dpo_stages.core.manifests import MANIFEST
from dpo_stages.demo.responders import TEACHERS, Responder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = "llama"


@dataclass(frozen=True)
class Response:
    """What a policy or a responder wrote.

    Attributes:
        text: without the end of turn.
        ids: tokens that are trained on, with the end of turn unless the response was cut.
        cut: it was cut at the most new tokens.
    """

    text: str
    ids: tuple[int, ...]
    cut: bool = False


@dataclass(frozen=True)
class Policy:
    """A language model and how it reads and writes text.

    Attributes:
        network: in float32, on the CPU.
        tokenizer: with the demo's special tokens.
    """

    network: "PreTrainedModel"
    tokenizer: "Tokenizer"

    @property
    def padding(self) -> int:
        """Token id that fills shorter sequences."""
        return self.network.config.pad_token_id

    @property
    def end(self) -> int:
        """Token id that ends the assistant's turn."""
        return self.network.config.eos_token_id

    def prompt(self, instruction: str) -> tuple[int, ...]:
        """Token ids up to where the assistant's turn begins: the demo's chat template."""
        return tuple(self.tokenizer.encode(f"<|user|>{instruction}<|end|><|assistant|>").ids)

    def written(self, text: str) -> Response:
        """Somebody's text as a response of this vocabulary."""
        return Response(text, (*self.tokenizer.encode(text).ids, self.end))

    def said(self, ids: Sequence[int]) -> Response:
        """Sampled tokens as a response; one without an end of turn was cut."""
        return Response(self.tokenizer.decode(list(ids)), tuple(ids), ids[-1] != self.end)


def make_policy(world: World, strength: str, settings: Mapping, folder: Path) -> None:
    """Train an initial policy by make_demo_model.py, unless it is there.

    Args:
        world: whose conversations it learns.
        strength: one of the settings' `strengths`.
        settings: config.yaml.
        folder: where its checkpoint is written.

    Raises:
        BadInput: the program failed.
    """
    if (folder / MANIFEST).is_file():
        return
    wanted = settings["strengths"][strength]
    data = world.file(f"chat_{wanted['data']}.jsonl")
    if wanted["data"] not in TEACHERS:
        data = folder.parent / data.name
        teacher = Responder(wanted["data"], **settings["teachers"][wanted["data"]])
        write_text(data, "".join(f"{json.dumps(row)}\n" for row in _conversations(world, teacher)))
    options = {
        "--model": strength,
        "--architecture": ARCHITECTURE,
        "--data": data,
        "--epochs": wanted["epochs"],
        "--learning-rate": settings["base_learning_rate"],
        "--seed": world.seed,
        "--output": folder / MANIFEST,
    }
    command = [ROOT / "envs/run", "train", ROOT / "workflow_scripts/make_demo_model.py"]
    command += [word for option in options.items() for word in option]
    command += ["--tokenizer-data", *(world.file(f"chat_{name}.jsonl") for name in TEACHERS)]
    if subprocess.run([str(word) for word in command]).returncode:
        raise BadInput(
            f"the initial policy {strength} of world {world.seed} was not made; make_demo_model says why above"
        )


def _conversations(world: World, teacher: Responder) -> list[dict]:
    """The instructions of the demo's conversations, answered by another teacher."""
    random = Random(f"{world.seed}/map/chat {teacher.name}")
    questions = [row["messages"][0] for row in read_json_lines(world.file("chat_expert.jsonl"))]
    answers = [teacher.write(world.facts, question["content"], random) for question in questions]
    return [
        {"messages": [question, {"role": "assistant", "content": answer}]}
        for question, answer in zip(questions, answers, strict=True)
    ]


def load_policy(folder: Path) -> Policy:
    """Load a checkpoint of make_demo_model.py."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return Policy(network.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")))
