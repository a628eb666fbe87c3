"""Train a small pairwise ranker of PairRM's kind, from nothing, on pairs of responses with a preference.

Input is JSON Lines: {"prompt": text, "response_1": text, "response_2": text, "preferred": 1 or 2}. The ranker is a DeBERTa
of the given size with a tokenizer of its own, trained on the texts; --pretraining names conversations to pre-train it on
first (see dpo_stages/demo/ranker_training.py). Every pair is shown in both orders. It is saved in llm-blender's layout, so
that `Blender().loadranker(FOLDER/ranker, device="cpu")` loads it like the published one; measure_preference_model.py says how often it is
right.

On one thread the same input and seed give the same bytes.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from dpo_stages.core.arguments import seed
from dpo_stages.core.errors import BadInput
from dpo_stages.core.manifests import MANIFEST
from dpo_stages.core.program import finish, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--pairs", type=Path, nargs="+", required=True, metavar="JSONL", help="pairs to train on")
    add("--layers", type=int, required=True, help="layers of the DeBERTa")
    add("--hidden", type=int, required=True, help="its width")
    add("--heads", type=int, required=True, help="its attention heads")
    add("--vocabulary", type=int, required=True, help="pieces of the tokenizer, at most")
    add("--source-length", type=int, required=True, help="tokens of the prompt that are read")
    add("--candidate-length", type=int, required=True, help="tokens of each response that are read")
    add("--learning-rate", type=float, required=True, help="peak, of AdamW")
    add("--epochs", type=int, required=True, help="passes over the pairs")
    add("--batch-size", type=int, required=True, help="pairs a step")
    add("--seed", type=seed, required=True, help="of the weights and of the order of the pairs")
    add("--pretraining", type=Path, metavar="JSONL", help="good conversations to pre-train on; needs the next two")
    add("--pretraining-epochs", type=int, help="passes over the conversations")
    add("--pretraining-learning-rate", type=float, help="peak, of AdamW")
    add("--output", type=Path, required=True, metavar="MANIFEST", help=f"…/{MANIFEST}; its folder is replaced")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        if isinstance(value, int | float) and name != "seed" and not 0 < value < float("inf"):
            raise BadInput(f"--{name.replace('_', '-')} is {value}; give a number above zero")
    pretraining = arguments.pretraining, arguments.pretraining_epochs, arguments.pretraining_learning_rate
    if len({value is None for value in pretraining}) > 1:
        raise BadInput(
            "--pretraining, --pretraining-epochs and --pretraining-learning-rate go together; give all or none"
        )
    if arguments.hidden % arguments.heads:
        raise BadInput(f"--hidden {arguments.hidden} is not a multiple of --heads {arguments.heads}; make it one")
    if arguments.output.name != MANIFEST:
        raise BadInput(f"--output must end in {MANIFEST}, which lists the files beside it; got {arguments.output}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.demo.ranker_data import read_conversations
    from dpo_stages.preferences.votes import read_labelled_pairs

    pairs = [pair for file in arguments.pairs for pair in read_labelled_pairs(file)]
    conversations = read_conversations(arguments.pretraining) if arguments.pretraining else []
    from dpo_stages.core.files import replacing_folder
    from dpo_stages.core.manifests import write_manifest
    from dpo_stages.demo.ranker import RankerSettings, save_ranker
    from dpo_stages.demo.ranker_training import train
    from dpo_stages.preferences.options import RANKER
    from dpo_stages.preferences.pairrm.direct import allow_direct_reading

    given = {field.name: getattr(arguments, field.name) for field in fields(RankerSettings)}
    settings = RankerSettings(**{name: value for name, value in given.items() if value is not None})
    ranker = train(pairs, conversations, settings)
    with replacing_folder(arguments.output.parent) as folder:
        save_ranker(ranker, settings, folder / RANKER)
        allow_direct_reading(folder, folder / RANKER, None)
        write_manifest(folder, {"kind": "preference model", "source": "trained here"})
    finish(arguments.output, len(pairs), len(pairs), {})


if __name__ == "__main__":
    run(main)
