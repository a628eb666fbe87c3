"""Write preference pairs for another trainer: prompt, chosen and rejected as lists of turns, TRL's conversational form.

Of preferences and of mixtures. TRL and axolotl read the file as it is. LLaMA-Factory wants chosen and rejected to be one turn each, not
lists (--form llama-factory). docs/own.md has the lines that name the file there.

What other trainers cannot know is counted: responses that were cut when they were sampled, behind which they put an end, and
responses to a prompt whose rendering opens a thought.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run

TRL, LLAMA_FACTORY = "trl", "llama-factory"
ENDINGS = (".jsonl", ".parquet")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--preferences", type=Path, required=True, metavar="PARQUET", help="pairs, or a mixture of two sources' pairs")
    add("--form", choices=[TRL, LLAMA_FACTORY], default=TRL, help="who is to read them (default: %(default)s)")
    add("--output", type=Path, required=True, metavar="FILE", help="its name ends in .jsonl or .parquet")
    arguments = parser.parse_args()
    if arguments.output.suffix not in ENDINGS:
        raise BadInput(f"--output is {arguments.output}; its name must end in {' or '.join(ENDINGS)}")
    return arguments


def exported(row: Mapping, form: str) -> dict:
    """A row of `schemas.PREFERENCES` as others read it."""
    chosen, rejected = ({"role": "assistant", "content": row[name]} for name in ("chosen", "rejected"))
    if form == LLAMA_FACTORY:
        return {"prompt": row["prompt"], "chosen": chosen, "rejected": rejected}
    return {"prompt": row["prompt"], "chosen": [chosen], "rejected": [rejected]}


def write(rows: list[dict], form: str, output: Path) -> None:
    """Write the rows as JSON Lines or Parquet, whole or not at all."""
    if output.suffix == ".jsonl":
        import json

        from dpo_stages.core.files import write_text

        write_text(output, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        return
    import pyarrow as pa

    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.schemas import CONVERSATION

    responses = CONVERSATION.value_type if form == LLAMA_FACTORY else CONVERSATION
    write_table(output, rows, pa.schema([("prompt", CONVERSATION), ("chosen", responses), ("rejected", responses)]))


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.parquet import read_table
    from dpo_stages.data.schemas import PREFERENCES

    pairs = read_table(arguments.preferences, PREFERENCES).to_pylist()
    if not pairs:
        raise BadInput(f"{arguments.preferences} has no pair; there is nothing to write")
    write([exported(pair, arguments.form) for pair in pairs], arguments.form, arguments.output)
    finish(
        arguments.output,
        len(pairs),
        len(pairs),
        {},
        truncated_responses=sum(
            bool(pair[name]) for pair in pairs for name in ("chosen_truncated", "rejected_truncated")
        ),
        opened_thoughts=sum(bool(pair["opens_thought"]) for pair in pairs),
    )


if __name__ == "__main__":
    run(main)
