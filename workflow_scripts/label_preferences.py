"""Label pairs of responses with the preference model: which of the two is the better one?

Two kinds of input:

  candidates of the workflow (Parquet with prompt_id, prompt as a conversation, response_1, response_2 and perhaps the data
  set's own original_preference): the output is preference data to train on. A pair in which the model sees no difference
  (a tie, or the same response twice) teaches nothing; it is dropped and counted, or with --ties second its second response
  is chosen. Responses that were cut when they were sampled are marked, so that training puts no end of turn behind them, and
  counted; --truncated drop leaves their pairs out. With --labels agree the pairs on which the model and the data set's own label
  differ, or that one of them has no preference on, are left out and counted.

  pairs of one's own (Parquet or JSON Lines with the texts prompt, response_1, response_2): the output has one row a pair,
  in the order of the input, with logit (mean of both orders, positive: response_1 is better), chosen_first (empty: a tie)
  and order_flip (read in the other order, the model prefers the other one). A row in which a text is missing is kept
  with nothing in these columns, and counted.

Of a response that thinks before it answers (<think>…</think>) the model is shown the answer; --thoughts show shows it all.

A label depends on its pair alone: not on the order, the number or the company of the pairs.
"""

import argparse
from pathlib import Path

from dpo_stages.core.program import finish, run
from dpo_stages.data.shards import add_shard_flag, parse_shard
from dpo_stages.preferences.opening import open_preference_model
from dpo_stages.preferences.options import add_preference_model_flags, options_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="Parquet or .jsonl, see above")
    add_preference_model_flags(parser)
    parser.add_argument(
        "--truncated",
        choices=["keep", "drop"],
        default="keep",
        help="what becomes of pairs with a response that was cut when it was sampled (default: %(default)s)",
    )
    parser.add_argument(
        "--ties",
        choices=["drop", "second"],
        default="drop",
        help="what becomes of candidates between which the model sees no difference (default: %(default)s)",
    )
    parser.add_argument(
        "--labels",
        choices=["model", "agree"],
        default="model",
        help="whether candidates stay whose own label is another or is missing, or only those on which both agree (default: %(default)s)",
    )
    add_shard_flag(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="Parquet")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    from dpo_stages.core.parquet import write_table
    from dpo_stages.preferences.pair_tables import read_pairs
    from dpo_stages.preferences.pairs import ask

    options = options_from(arguments)
    drops = arguments.truncated == "drop", arguments.ties == "drop", arguments.labels == "agree"
    table = read_pairs(arguments.pairs, parse_shard(arguments.shard), *drops, options.thoughts)
    model = open_preference_model(arguments.preference_model, options)
    pairs = table.pairs
    verdicts, counts = ask(model, pairs)
    rows, dropped, further = table.label(verdicts)
    write_table(arguments.output, rows, table.labelled_schema)
    finish(arguments.output, len(table), len(rows), dropped, preference_model=model.name, **counts, **further)


if __name__ == "__main__":
    run(main)
