"""Make the data of the demo's tiny world: instructions, responses of several qualities, and the hidden truth.

Everything follows from the seed, byte for byte. Written into the output folder, one JSON object a line:

    chat_{expert,fair,poor}.jsonl        {"messages": [...]}, the same instructions answered by three teachers
    preferences_{train,test}.jsonl       {"prompt", "responses": [{"text", "score", "source"}] x 4}
    ranker_{train,heldout}.jsonl         {"prompt", "response_1", "response_2", "preferred": 1 | 2}, noisy labels
    ranker_texts.jsonl                   the expert's conversations without padding, to pre-train the ranker on
    ranker_prompts.jsonl                 as preferences_train.jsonl, to sample policies on for further such pairs
    evaluation.jsonl                     {"instruction", "output", "subset"}, the baseline's outputs
    evaluation_{verbose,concise}.jsonl   the same instructions, the baseline's outputs in more words and in fewer
    facts.json                           the hidden truth, for the judge alone

The instructions of the training, test and evaluation splits are disjoint from one another and from those of the
conversations and of the ranker's pairs and prompts; which is which is random over (animal, phrasing).
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import write_json, write_text
from dpo_stages.core.program import finish, run
from dpo_stages.demo import world
from dpo_stages.demo.faults import draw_label, draw_pair
from dpo_stages.demo.lengths import concise, padded
from dpo_stages.demo.quality import LABEL_TEMPERATURE, SCORE_NOISE, without_padding
from dpo_stages.demo.responders import REFERENCE, RESPONDERS, TEACHERS, Responder, rate

ALIKE = 0.1  # of the pairs that the ranker learns from: both say the same, so that it learns what tells nothing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seed", type=seed, required=True, help="seed of the facts, the instructions and the responses"
    )
    parser.add_argument("--train-prompts", type=int, required=True, metavar="N", help="prompts to train policies on")
    parser.add_argument("--test-prompts", type=int, required=True, metavar="N", help="prompts to measure boundaries on")
    parser.add_argument(
        "--evaluation-prompts", type=int, required=True, metavar="N", help="instructions to evaluate on"
    )
    parser.add_argument("--chat-conversations", type=int, required=True, metavar="N", help="conversations of a teacher")
    parser.add_argument(
        "--ranker-train-pairs", type=int, required=True, metavar="N", help="pairs to train the ranker on"
    )
    parser.add_argument(
        "--ranker-heldout-pairs", type=int, required=True, metavar="N", help="pairs to test the ranker on"
    )
    parser.add_argument(
        "--ranker-prompts", type=int, required=True, metavar="N", help="prompts to sample policies on for the ranker"
    )
    parser.add_argument("--output-folder", type=Path, required=True, help="where the files named above are written")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        if name.endswith(("prompts", "conversations", "pairs")) and value < 1:
            raise BadInput(f"--{name.replace('_', '-')} is {value}; give at least 1")
    return arguments


def make_world(arguments: argparse.Namespace) -> dict[str, list[dict]]:
    """Rows of every JSON Lines file by its name, and under `facts.json` the facts as the only row."""

    def random(what: str) -> Random:
        """A generator of its own for each file, so that the size of one changes no other."""
        return Random(f"{arguments.seed}/{what}")

    facts = world.draw_facts(random("facts"))
    sizes = {
        "train": arguments.train_prompts,
        "test": arguments.test_prompts,
        "evaluation": arguments.evaluation_prompts,
        "chat": arguments.chat_conversations,
        "heldout": arguments.ranker_heldout_pairs,
        "ranker prompts": arguments.ranker_prompts,
    }
    try:
        drawn = iter(world.draw_instructions(facts, sum(sizes.values()), random("instructions")))
    except ValueError as error:
        raise BadInput(f"the sizes asked for are too large for the demo's world: {error}; ask for less") from error
    splits = {name: [next(drawn) for _ in range(size)] for name, size in sizes.items()}
    # Pairs for the ranker need no prompt of their own: the conversations' serve again, as often as it takes.
    draw = random("ranker prompts")
    splits["ranker"] = [draw.choice(splits["chat"]) for _ in range(arguments.ranker_train_pairs)]

    files = {"facts.json": [facts]}
    for name, teacher in TEACHERS.items():
        files[f"chat_{name}.jsonl"] = list(conversations(facts, splits["chat"], teacher, random(f"chat {name}")))
    # In padded texts the few tokens that say something are too rare for a small ranker to learn from.
    files["ranker_texts.jsonl"] = [
        {"messages": [question, {**answer, "content": without_padding(answer["content"])}]}
        for question, answer in (row["messages"] for row in files["chat_expert.jsonl"])
    ]
    for split in ("train", "test"):
        files[f"preferences_{split}.jsonl"] = list(candidates(facts, splits[split], random(f"preferences {split}")))
    prompts = splits["ranker prompts"]
    files["ranker_prompts.jsonl"] = list(candidates(facts, prompts, random("ranker prompts' candidates")))
    for split, name, alike in (("ranker", "train", ALIKE), ("heldout", "heldout", 0)):
        files[f"ranker_{name}.jsonl"] = list(labelled_pairs(facts, splits[split], alike, random(f"ranker {name}")))
    baseline = list(references(facts, splits["evaluation"], random("evaluation")))
    longer = random("evaluation verbose")
    files["evaluation.jsonl"] = baseline
    files["evaluation_verbose.jsonl"] = reworded(baseline, lambda text: padded(text, longer.randint(1, 3), longer))
    files["evaluation_concise.jsonl"] = reworded(baseline, concise)
    return files


def conversations(facts: world.Facts, instructions: list[str], teacher: Responder, random: Random) -> Iterator[dict]:
    """One turn of each side."""
    for instruction in instructions:
        answer = teacher.write(facts, instruction, random)
        yield {
            "messages": [{"role": "user", "content": instruction}, {"role": "assistant", "content": answer}],
        }


def candidates(facts: world.Facts, instructions: list[str], random: Random) -> Iterator[dict]:
    """Every responder's answer to every instruction, with noisy scores."""
    for instruction in instructions:
        responses = list(rate(facts, instruction, RESPONDERS, SCORE_NOISE, random))
        yield {"prompt": instruction, "responses": responses}


def labelled_pairs(facts: world.Facts, instructions: list[str], alike: float, random: Random) -> Iterator[dict]:
    """One pair an instruction, with a noisy label; a share of `alike` says the same twice."""
    for instruction in instructions:
        pair = draw_pair(facts, instruction, alike, random)
        preferred = draw_label(facts, instruction, pair, LABEL_TEMPERATURE, random)
        yield {"prompt": instruction, "response_1": pair[0], "response_2": pair[1], "preferred": preferred}


def references(facts: world.Facts, instructions: list[str], random: Random) -> Iterator[dict]:
    """The baseline's output for each instruction; the subset is the instruction's kind."""
    for instruction in instructions:
        kind = world.read_instruction(instruction).kind
        yield {"instruction": instruction, "output": REFERENCE.write(facts, instruction, random), "subset": kind}


def reworded(rows: list[dict], reword: Callable[[str], str]) -> list[dict]:
    """The same rows with every output in other words."""
    return [{**row, "output": reword(row["output"])} for row in rows]


def main() -> None:
    arguments = parse_arguments()
    files = make_world(arguments)
    [facts] = files.pop("facts.json")
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        write_text(arguments.output_folder / name, "".join(f"{line}\n" for line in lines))
    output = arguments.output_folder / "facts.json"
    write_json(output, facts)
    rows = sum(map(len, files.values()))
    finish(output, rows, rows, {}, **{name.removesuffix(".jsonl"): len(rows) for name, rows in files.items()})


if __name__ == "__main__":
    run(main)
