"""One group of cells: a world, an initial policy and a labeller, with three off-policy and two on-policy arms.

Cells of a group are its (off-policy, on-policy) pairs of arms. What is kept of a group:

    measures.json         what can be measured before any arm is trained, by source and by cell
    evaluations.parquet   judge and witness on every output of every arm and run
    race.parquet          labeller and judge on outputs of the arms early in training, pair by pair
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from decoding import sample
from labels import Labeller
from measures import measure_cell, measure_source
from policies import Policy, Response
from training import (
    Labelled,
    constant_rates,
    cosine_rates,
    in_batches,
    make_optimiser,
    reference_logps,
    train,
)
from worlds import World

Sources = dict[str, dict[int, tuple[Response, Response]]]
"""Name of a source -> position of a prompt -> two responses; prompts without two different ones are missing off-policy."""


def random(*names: object) -> np.random.Generator:
    """A generator of its own for everything that is drawn."""
    return np.random.default_rng(list("/".join(map(str, names)).encode()))


@dataclass(frozen=True)
class Start:
    """An initial policy with the candidates of every source, before anybody has labelled them.

    Attributes:
        world: its world.
        policy: the initial policy.
        settings: config.yaml.
        train: candidates of the training prompts.
        test: candidates of the test prompts.
    """

    world: World
    policy: Policy
    settings: Mapping
    train: Sources
    test: Sources

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(off-policy, on-policy) names of the cells."""
        return list(product(self.settings["off_policy"], self.settings["sampling"]))

    @cached_property
    def own(self) -> dict[str, np.ndarray]:
        """Evaluation of the initial policy itself, see `evaluate`."""
        return evaluate(self, self.policy, 1)


def start(world: World, strength: str, policy: Policy, settings: Mapping) -> Start:
    """Draw the candidates of every source: those of the responders, and two of the policy's own in each decoding."""
    sources: dict[str, Sources] = {"train": {}, "test": {}}
    for split, found in sources.items():
        instructions = world.prompts(split)
        for name, writers in settings["off_policy"].items():
            candidates = world.off_policy(name, writers, split)
            found[name] = {row: tuple(map(policy.written, texts)) for row, texts in candidates.items()}
        prompts = [policy.prompt(instruction) for instruction in instructions]
        for name, decoding in settings["sampling"].items():
            drawn = [
                sample(
                    policy,
                    prompts,
                    decoding,
                    uniforms(settings, len(prompts), world.seed, strength, name, split, index),
                )
                for index in (1, 2)
            ]
            found[name] = dict(enumerate(zip(*drawn, strict=True)))
    return Start(world, policy, settings, sources["train"], sources["test"])


def uniforms(settings: Mapping, prompts: int, *names: object) -> np.ndarray:
    """Random numbers of one response to each of so many prompts: (prompts, most new tokens)."""
    return random("sample", *names).random((prompts, settings["max_new_tokens"]))


def label(begin: Start, labeller: Labeller) -> tuple[dict[str, list[Labelled]], dict[str, int]]:
    """Labelled training pairs of every source, and how many pairs were ties and are left out."""
    instructions = begin.world.prompts("train")
    prompts = [begin.policy.prompt(instruction) for instruction in instructions]
    labelled, ties = {}, {}
    for name, candidates in begin.train.items():
        rows = sorted(candidates)
        logits = labeller([(instructions[row], *(response.text for response in candidates[row])) for row in rows])
        labelled[name] = [
            Labelled(row, prompts[row], *candidates[row][:: 1 if logit > 0 else -1], abs(logit))
            for row, logit in zip(rows, logits.tolist(), strict=True)
            if logit
        ]
        ties[name] = len(rows) - len(labelled[name])
    return labelled, ties


def evaluate(begin: Start, policy: Policy, run: int) -> dict[str, np.ndarray]:
    """Judge a policy's outputs on the evaluation against the reference's.

    Returns:
        By instruction: `judge` and `witness`, the probabilities that they prefer the policy's output; `length` in
        characters, and whether it was `cut`. All policies of a run have the same random numbers.
    """
    instructions, references = begin.world.evaluation()
    prompts = [policy.prompt(instruction) for instruction in instructions]
    decoding = next(iter(begin.settings["sampling"].values()))
    outputs = sample(
        policy, prompts, decoding, uniforms(begin.settings, len(prompts), begin.world.seed, "evaluation", run)
    )
    asked = list(zip(instructions, [output.text for output in outputs], references, strict=True))
    return {
        "judge": sigmoid([begin.world.judge(*one) for one in asked]),
        "witness": sigmoid([begin.world.judge(*one, likes_length=False) for one in asked]),
        "length": np.array([len(output.text) for output in outputs], dtype=np.int32),
        "cut": np.array([output.cut for output in outputs]),
    }


def sigmoid(logits: Sequence[float]) -> np.ndarray:
    """Probabilities of log-odds, float32."""
    return (0.5 * (1 + np.tanh(np.asarray(logits) / 2))).astype(np.float32)


def train_arm(begin: Start, pairs: Sequence[Labelled], reference, run: int) -> Policy:
    """The policy that the initial one becomes: DPO as in the demo, with the order of `run`."""
    dpo = begin.settings["dpo"]
    policy = _copy(begin.policy)
    order = random("order", begin.world.seed, run).permutation(len(pairs)).tolist()
    steps = in_batches(order, dpo["batch_size"])
    rates = cosine_rates(dpo["learning_rate"], dpo["warmup_ratio"], len(steps))
    train(policy, make_optimiser(policy), pairs, reference, list(zip(steps, rates, strict=True)), dpo["beta"])
    return policy


def race_arm(begin: Start, pairs: Sequence[Labelled], reference, order: int) -> Iterator[tuple[float, list[Response]]]:
    """Responses to the test prompts early in training, after each share of an epoch.

    Shares are of the training prompts, in an order that all arms have in common, so that a larger share holds a smaller
    one; a prompt whose pair was a tie is passed over. The learning rate is constant after its warm-up.
    """
    race, world = begin.settings["race"], begin.world
    policy = _copy(begin.policy)
    optimiser = make_optimiser(policy)
    rows = {pair.position: row for row, pair in enumerate(pairs)}
    drawn = random("race", world.seed, order).permutation(len(world.prompts("train"))).tolist()
    prompts = [policy.prompt(instruction) for instruction in world.prompts("test")]
    decoding = next(iter(begin.settings["sampling"].values()))
    seen, done = 0, 0
    for share in race["shares"]:
        upto = round(share * len(drawn))
        steps = in_batches([rows[position] for position in drawn[seen:upto] if position in rows], race["batch_size"])
        rates = constant_rates(race["learning_rate"], race["warmup_steps"], done + len(steps))[done:]
        train(policy, optimiser, pairs, reference, list(zip(steps, rates, strict=True)), begin.settings["dpo"]["beta"])
        seen, done = upto, done + len(steps)
        yield (
            share,
            sample(policy, prompts, decoding, uniforms(begin.settings, len(prompts), world.seed, "race", order)),
        )


def _copy(policy: Policy) -> Policy:
    return Policy(copy.deepcopy(policy.network), policy.tokenizer)


def run_group(begin: Start, labeller: Labeller) -> tuple[dict, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Measure, train, evaluate and race a group.

    Returns:
        What is kept of it: measures, and the columns of the evaluations and of the race.
    """
    labelled, ties = label(begin, labeller)
    reference = {name: reference_logps(begin.policy, pairs) for name, pairs in labelled.items()}
    world, settings = begin.world, begin.settings
    measures = {
        "own_win_rate": {who: float(begin.own[who].mean()) for who in ("judge", "witness")},
        "sources": {
            name: measure_source(world, pairs, ties[name], reference[name], settings["audit_pairs"])
            for name, pairs in labelled.items()
        },
        "cells": {
            f"{off}/{on}": measure_cell(world, labeller, begin.test, labelled, off, on, settings["audit_pairs"])
            for off, on in begin.pairs
        },
    }
    evaluations = []
    for name, run in product(labelled, range(1, settings["runs"] + 1)):
        found = evaluate(begin, train_arm(begin, labelled[name], reference[name], run), run)
        evaluations.append({"arm": [name] * len(found["judge"]), "run": [run] * len(found["judge"]), **found})
    return measures, _joined(evaluations), race(begin, labeller, labelled, reference)


def race(begin: Start, labeller: Labeller, labelled: Mapping[str, Sequence[Labelled]], reference: Mapping) -> dict:
    """Arms against arms early in training, one row a cell, order, share and test prompt.

    Returns:
        Columns `off`, `on`, `order`, `share`, `prompt`; `labeller`, its logit for the off-policy arm's response, in the
        labeller's unit; `judge`, the probability that the judge prefers that response; the lengths of both in characters.
    """
    instructions, rows = begin.world.prompts("test"), []
    for order in range(1, begin.settings["race"]["orders"] + 1):
        said = {name: dict(race_arm(begin, pairs, reference[name], order)) for name, pairs in labelled.items()}
        for share, (off, on) in product(begin.settings["race"]["shares"], begin.pairs):
            firsts, seconds = ([response.text for response in said[name][share]] for name in (off, on))
            asked = list(zip(instructions, firsts, seconds, strict=True))
            rows.append(
                {
                    **{
                        name: [value] * len(asked)
                        for name, value in (("off", off), ("on", on), ("order", order), ("share", share))
                    },
                    "prompt": np.arange(len(asked), dtype=np.int32),
                    "labeller": labeller(asked).astype(np.float32),
                    "judge": sigmoid([begin.world.judge(*one) for one in asked]),
                    "off_length": np.array([len(text) for text in firsts], dtype=np.int32),
                    "on_length": np.array([len(text) for text in seconds], dtype=np.int32),
                }
            )
    return _joined(rows)


def _joined(parts: Sequence[Mapping]) -> dict[str, np.ndarray]:
    """Columns of several parts, one under the other."""
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
