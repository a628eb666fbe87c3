"""Write a policy's model card: what it was made of and how, by which settings and versions, and the lines that load it.

The card is README.md in the policy's folder, for whoever the folder is given to, people and the hub. It stands in no manifest, so that
writing it changes nothing that is made from the policy.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run

MANIFEST, TRACE = ("files",), ("resolved_policy", "steps", "samples_drawn", "labels_made")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--policy", required=True, metavar="NAME", help="the policy, as it was asked for")
    add("--trained", type=Path, required=True, metavar="MANIFEST", help="the policy that it stands for, or itself")
    add("--base", type=Path, required=True, metavar="MANIFEST", help="the model that it came from in the beginning")
    add("--trace", type=Path, metavar="JSON", help="of trace_policy.py; an SFT policy has none")
    add(
        "--about",
        nargs="+",
        default=[],
        metavar="WHAT=NAME",
        help="what its name does not say, as 'Preference model=pairrm'",
    )
    add("--output", type=Path, required=True, metavar="README.md")
    arguments = parser.parse_args()
    if wrong := [text for text in arguments.about if "=" not in text]:
        raise BadInput(f"--about {wrong[0]} is not of the form WHAT=NAME")
    return arguments


def read_object(path: Path, names: Sequence[str]) -> dict:
    """A JSON object that has these keys."""
    from dpo_stages.core.files import read_json

    value = read_json(path)
    missing = [name for name in names if name not in value] if isinstance(value, dict) else names
    if missing:
        raise BadInput(f"{path} lacks {', '.join(missing)}; make it again")
    return value


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.files import write_text
    from dpo_stages.core.ledgers import ledger
    from dpo_stages.study.cards import card

    trace = read_object(arguments.trace, TRACE) if arguments.trace else None
    text = card(
        arguments.policy,
        read_object(arguments.trained, MANIFEST),
        ledger(arguments.trained),
        read_object(arguments.base, MANIFEST),
        trace,
        dict(text.split("=", 1) for text in arguments.about),
    )
    write_text(arguments.output, text)
    iterations = len(trace["steps"]) if trace else 0
    finish(arguments.output, iterations, iterations, {})


if __name__ == "__main__":
    run(main)
