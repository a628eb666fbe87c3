"""Judge the outputs of one or several policies against the references of their instruction set.

The judge is a language model behind an OpenAI-compatible endpoint, asked with alpaca-eval's weighted prompt
(weighted_alpaca_eval_gpt4_turbo) or --prompt, for the log-probabilities of one token or (--answers words) in both orders for
what it writes. Every row is judged, or the program fails, names the rows and keeps in --cache what
was answered: the next run asks only for the rest. With --refused missing a row that the judge or its content filter
refuses, or answers in no readable word, has the preference null.
"""

import argparse
import sys
from pathlib import Path

from dpo_stages.core.errors import BadInput
from dpo_stages.core.program import finish, run
from dpo_stages.data.thoughts import add_thoughts_flag
from dpo_stages.judges.judge import Judge, add_judge_flags, answers_from


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", nargs="+", required=True, metavar="FILE", help="model_outputs.json of each policy")
    parser.add_argument(
        "--instructions", required=True, metavar="FILE", help="instruction set (Parquet) with references"
    )
    parser.add_argument("--judge-model", required=True, metavar="NAME", help="the judge, as its endpoint knows it")
    parser.add_argument(
        "--base-url",
        required=True,
        metavar="URL",
        help="base URL of the endpoint, such as https://host/v1; none: the vendor's own, or that of --serve",
    )
    parser.add_argument(
        "--api-key-variable",
        required=True,
        metavar="NAME",
        help="environment variable that holds the API key; none: the endpoint wants no key",
    )
    add_judge_flags(parser)
    parser.add_argument(
        "--cents-per-million-tokens",
        type=int,
        required=True,
        metavar="CENTS",
        help="price of the endpoint, for the cost that is printed; 0: nothing is paid, or nobody knows",
    )
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="DIR", help="folder of the judge's answers, of this run alone"
    )
    add_thoughts_flag(parser)
    parser.add_argument("--output", nargs="+", required=True, metavar="FILE", help="annotations.json of each policy")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if len(arguments.outputs) != len(arguments.output):
        raise BadInput(f"{len(arguments.outputs)} --outputs but {len(arguments.output)} --output; give one for each")
    if arguments.cents_per_million_tokens < 0:
        raise BadInput(f"--cents-per-million-tokens is {arguments.cents_per_million_tokens}; a price is 0 or more")
    if arguments.serve and arguments.base_url != "none":
        raise BadInput("--serve brings its own endpoint; give --base-url none with it")

    from dpo_stages.evaluation.annotations import read_output_pairs, show_pairs, write_annotations
    from dpo_stages.judges.endpoint import RETIRED, JudgeFailed
    from dpo_stages.judges.opening import open_judge
    from dpo_stages.judges.record import describe_judge, name_rows

    if arguments.judge_model in RETIRED:
        print(f"{arguments.judge_model} was {RETIRED[arguments.judge_model]}", file=sys.stderr, flush=True)
    key, url = (None if word == "none" else word for word in (arguments.api_key_variable, arguments.base_url))
    asked = Judge(
        arguments.judge_model,
        url,
        arguments.serve,
        arguments.identified_by,
        key,
        arguments.api_key_header,
        arguments.refused,
        **answers_from(arguments),
    )
    policies = [
        show_pairs(read_output_pairs(outputs, arguments.instructions), arguments.thoughts)
        for outputs in arguments.outputs
    ]
    try:
        with open_judge(asked, arguments.cache) as annotator:
            rows = sum(len(pairs) for pairs, _ in policies)
            tokens = sum(annotator.estimated_tokens(pairs) for pairs, _ in policies)
            price = arguments.cents_per_million_tokens / 1e8  # dollars a token
            cost = f", about {tokens * price:.2f} dollars less what {arguments.cache} has" if price else ""
            print(f"{rows} pairs for {arguments.judge_model}, about {tokens} tokens{cost}", file=sys.stderr, flush=True)
            for (pairs, thoughts), output in zip(policies, arguments.output, strict=True):
                before = dict(vars(annotator.usage))
                preferences, judge = annotator.judge(pairs)
                write_annotations(output, pairs, preferences, judge)
                if refused := [pair["index"] for pair, value in zip(pairs, preferences, strict=True) if value is None]:
                    policy = pairs[0]["generator_2"]
                    print(f"{policy}: the judge refused {name_rows(refused)}", file=sys.stderr, flush=True)
                usage = {name: value - before[name] for name, value in vars(annotator.usage).items()}
                paid = {"dollars": usage["tokens"] * price} if price else {}
                counts = {**usage, **paid, **thoughts, "control_texts": annotator.control_texts}
                judged, dropped = len(pairs) - len(refused), {"refused": len(refused)}
                finish(output, len(pairs), judged, dropped, judge=describe_judge(judge), **counts)
    except JudgeFailed as error:
        sys.exit(f"judge_outputs: {error}; what was answered is kept in {arguments.cache}")


if __name__ == "__main__":
    run(main)
