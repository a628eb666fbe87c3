"""Take the labels of a data set's pairs as they are: the response that the data set itself prefers is the chosen one.

No preference model is asked, so whether it would agree is unknown. A pair without a label of its own (two equal scores) is
left out and counted.
"""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.data.shards import add_shard_flag, parse_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, metavar="PARQUET", help="of prepare_dataset.py")
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="chosen and rejected responses")
    arguments = parser.parse_args()
    from dpo_stages.core.parquet import write_table
    from dpo_stages.data.candidates import read_candidates
    from dpo_stages.data.preferences import BY_DATASET, NO_OWN_LABEL, preference, require_own_labels
    from dpo_stages.data.schemas import PREFERENCES

    candidates = read_candidates(arguments.pairs)
    require_own_labels(candidates["original_preference"].to_pylist(), arguments.pairs)
    rows = parse_shard(arguments.shard)(candidates).to_pylist()
    labels = [(row, row["original_preference"]) for row in rows]
    kept = [preference(row, label, agrees=True) for row, label in labels if label is not None]
    write_table(arguments.output, kept, PREFERENCES)
    lengths = [(len(pair["chosen"]), len(pair["rejected"])) for pair in kept]
    longer = [chosen > rejected for chosen, rejected in lengths if chosen != rejected]
    finish(
        arguments.output,
        len(rows),
        len(kept),
        {NO_OWN_LABEL: len(rows) - len(kept)},
        labelled_by=BY_DATASET,
        pairs=len(rows),
        ties=len(rows) - len(kept),
        longer_preferred=sum(longer) / len(longer) if longer else 0.5,
    )


if __name__ == "__main__":
    run(main)
