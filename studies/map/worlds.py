"""The demo's worlds as the map uses them: prompts, off-policy candidates of three qualities, and who knows the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

from dpo_stages.core.files import read_json_lines
from dpo_stages.data.adapters import adapt
from dpo_stages.demo.quality import JUDGE_TEMPERATURE, SCORE_NOISE, length_bias, quality
from dpo_stages.demo.responders import Responder, rate
from dpo_stages.demo.world import Facts, read_facts

Candidates = dict[int, tuple[str, str]]
"""Position of a prompt -> its two responses; prompts without two different ones are missing."""


@dataclass(frozen=True)
class World:
    """One of the demo's worlds.

    Attributes:
        seed: its seed.
        results: results of the demo of that seed, with the world's files and its ranker.
    """

    seed: int
    results: Path
    _qualities: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    def file(self, name: str) -> Path:
        """A file of make_demo_world.py."""
        return self.results / "demo/world" / name

    @property
    def ranker(self) -> Path:
        """The demo's trained preference model."""
        return self.results / "preference_models/demo-ranker/manifest.json"

    @cached_property
    def facts(self) -> Facts:
        """The truth."""
        return read_facts(self.file("facts.json"))

    def prompts(self, split: str) -> list[str]:
        """Instructions of `train` or `test`."""
        return [row["prompt"] for row in read_json_lines(self.file(f"preferences_{split}.jsonl"))]

    def evaluation(self) -> tuple[list[str], list[str]]:
        """Instructions of the evaluation, and the reference's outputs."""
        rows = read_json_lines(self.file("evaluation.jsonl"))
        return [row["instruction"] for row in rows], [row["output"] for row in rows]

    def off_policy(self, name: str, writers: str | Sequence[Mapping], split: str) -> Candidates:
        """Off-policy candidates: of four scored responses the best and a random other, as the workflow binarises them.

        Args:
            name: what the writers are called together.
            writers: arguments of their `Responder`; a text takes the responses of the demo's own.
            split: `train` or `test`.
        """
        records = read_json_lines(self.file(f"preferences_{split}.jsonl"))
        if not isinstance(writers, str):
            draw = Random(f"{self.seed}/map/{name}/{split}")
            responders = [Responder(f"{name} {number}", **writer) for number, writer in enumerate(writers)]
            records = [
                {**row, "responses": list(rate(self.facts, row["prompt"], responders, SCORE_NOISE, draw))}
                for row in records
            ]
        positions = {row["prompt"]: position for position, row in enumerate(records)}
        rows = adapt(records, "local", "preferences", 0, str(self.file(f"preferences_{split}.jsonl"))).rows
        return {positions[row["prompt"][0]["content"]]: (row["response_1"], row["response_2"]) for row in rows}

    def better_by(self, instruction: str, first: str, second: str) -> float:
        """Hidden quality of the first response less that of the second."""
        return round(self._quality(instruction, first) - self._quality(instruction, second), 6)

    def _quality(self, instruction: str, response: str) -> float:
        key = instruction, response
        if key not in self._qualities:
            self._qualities[key] = quality(self.facts, instruction, response)
        return self._qualities[key]

    def judge(self, instruction: str, first: str, second: str, likes_length: bool = True) -> float:
        """Log-odds that the demo's judge prefers the first response; its witness does not like length."""
        logit = self.better_by(instruction, first, second) / JUDGE_TEMPERATURE
        return logit + length_bias(len(first) - len(second)) if likes_length else logit
