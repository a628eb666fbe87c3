"""Write Table 9 of the paper: the prompt that the judge of this study really gets.

A language model as judge gets the messages of alpaca-eval's weighted annotator, read from the package that judges. A
preference model gets no prompt of instructions, but the conversation and two responses in one sequence.
"""

from dpo_stages.core.program import finish, run
from dpo_stages.report.table import Table, table_parser

AS_JUDGE = """{model} is asked with one chat completion a pair ({request}). Texts in braces are replaced by the instruction \
and the two outputs; which output is called m is drawn from a hash of the instruction. The preference is the \
probability of m against that of M."""
NOT_THE_PAPERS = """The paper's Table 9 prints another prompt, which asks for a ranking as JSON \
(`make_partial_leaderboard`): that of alpaca-eval's annotator `alpaca_eval_gpt4_turbo_fn`. AlpacaEval 2, whose \
length-controlled win rate the paper reports, uses the one here, of `weighted_alpaca_eval_gpt4_turbo`."""
AS_RANKER = """{model} is a preference model: it reads the conversation and both responses in one sequence, in both orders, \
and the mean of the two logits is the log-odds of the first response. There is no prompt that tells it how to judge, so \
there is nothing of the paper's Table 9 in it."""


def messages_of_endpoint(model: str) -> tuple[list[dict[str, str]], list[str]]:
    """The messages with their placeholders, and what to say about them."""
    from dpo_stages.judges.alpaca_eval import read_annotator
    from dpo_stages.judges.annotator import chat_messages

    _, template, request = read_annotator()
    asked = ", ".join(f"{key} {str(value).lower()}" for key, value in request.items())
    return chat_messages(template), [AS_JUDGE.format(model=model, request=asked), NOT_THE_PAPERS]


def messages_of_preference_model(model: str) -> tuple[list[dict[str, str]], list[str]]:
    """The sequence with placeholders, as the only message, and what to say about it."""
    from dpo_stages.preferences.pairrm.tokens import MARKERS, candidate_text, source_text

    prompt = [{"role": "user", "content": "{instruction}"}]
    source, left, right, _ = MARKERS
    parts = [source + source_text(prompt)]
    parts += [marker + candidate_text(prompt, f"{{output_{n}}}") for n, marker in enumerate((left, right), start=1)]
    return [{"role": "sequence", "content": "\n".join(parts)}], [AS_RANKER.format(model=model)]


def main() -> None:
    parser = table_parser(__doc__)
    add = parser.add_argument
    add("--kind", choices=("endpoint", "vllm", "served", "preference_model"), required=True, help="kind of the judge")
    add("--model", required=True, metavar="NAME", help="the judge, as its endpoint knows it")
    arguments = parser.parse_args()
    shown = messages_of_preference_model if arguments.kind == "preference_model" else messages_of_endpoint
    messages, about = shown(arguments.model)
    asked = [part for message in messages for part in (("name", message["role"]), ("block", message["content"]))]
    parts = [("title", "Table 9: what the judge is asked"), *asked, *(("words", words) for words in about)]
    Table(messages, parts).write(arguments.csv)
    finish(arguments.csv, len(messages), len(messages), {}, judge=arguments.model)


if __name__ == "__main__":
    run(main)
