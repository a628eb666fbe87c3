"""Small sources of labelled pairs, with answers and likelihoods that were made up."""

from dpo_stages.core.files import write_json
from dpo_stages.core.parquet import write_table
from dpo_stages.data.prompts import prompt_id
from dpo_stages.data.schemas import PREFERENCES


def prompt(number):
    return [{"role": "user", "content": f"Question {number}?"}]


def identifier(number):
    return prompt_id(prompt(number))


def pair(number, logit=1.0, chosen="yes it is", rejected="no", **more):
    """A labelled pair; what a data set does not know is null."""
    unknown = dict.fromkeys(field.name for field in PREFERENCES if field.nullable)
    said = {
        "prompt_id": identifier(number),
        "prompt": prompt(number),
        "chosen": f"{chosen} {number}",
        "rejected": rejected,
    }
    return {**unknown, **said, "logit": logit, "chosen_first": logit is None or logit > 0, "order_flip": False, **more}


def answer(number, preferred, logit="of the vote", flip=False):
    of_vote = {0: -1.0, 0.5: 0.0, 1: 1.0}[preferred]
    return {
        "prompt_id": identifier(number),
        "preferred": preferred,
        "logit": of_vote if logit == "of the vote" else logit,
        "order_flip": flip,
        "first_length": 9,
        "second_length": 2,
    }


def by_prompt(rows):
    return {row["prompt_id"]: row for row in rows}


def write_source(path, rows, ties=0, **more):
    """Preferences as label_preferences.py writes them, with a ledger in which `ties` more candidates were dropped."""
    write_table(path, rows, PREFERENCES)
    dropped = {"cut responses": 0, "identical responses": 0, "ties": ties}
    ledger = {"rows_in": len(rows) + ties, "rows_out": len(rows), "dropped": dropped, "ties": ties, **more}
    write_json(path.with_name(f"{path.stem}.ledger.json"), ledger)
    return path
