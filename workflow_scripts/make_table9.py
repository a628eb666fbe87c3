"""Write Table 9 of the paper: the prompt that the judge of this study really gets.

A language model as judge gets the messages of alpaca-eval's weighted annotator, read from the package that judges. A
preference model gets no prompt of instructions, but the conversation and two responses in one sequence.
"""

from dpo_stages.core.program import finish, run
from dpo_stages.judges.judge import Judge, add_answer_flags, answers_from
from dpo_stages.report.table import Table, table_parser

AS_JUDGE = """{model} is asked with one chat completion a pair ({request}). Texts in braces are replaced by the instruction \
and the two outputs; which output is called m is drawn from a hash of the instruction. The preference is the \
probability of m against that of M."""
AS_JUDGE_IN_WORDS = """{model} is asked with two chat completions a pair ({request}), one in each order. Texts in braces are \
replaced by the instruction and the two outputs. The name at the end of an answer, m or M, is its preference, and the mean of both \
orders that of the pair: 0, 0.5 or 1."""
OWN_PROMPT = """The prompt is the study's own, neither the paper's Table 9 nor AlpacaEval's."""
NOT_THE_PAPERS = """The paper's Table 9 prints another prompt, which asks for a ranking as JSON \
(`make_partial_leaderboard`): that of alpaca-eval's annotator `alpaca_eval_gpt4_turbo_fn`. AlpacaEval 2, whose \
length-controlled win rate the paper reports, uses the one here, of `weighted_alpaca_eval_gpt4_turbo`."""
AS_RANKER = """{model} is a preference model: it reads the conversation and both responses in one sequence, in both orders, \
and the mean of the two logits is the log-odds of the first response. There is no prompt that tells it how to judge, so \
there is nothing of the paper's Table 9 in it."""


def messages_of_endpoint(judge: Judge) -> tuple[list[dict[str, str]], list[str]]:
    """The messages with their placeholders, and what to say about them."""
    from dpo_stages.judges.alpaca_eval import read_annotator
    from dpo_stages.judges.annotator import chat_messages, in_words

    _, template, request = read_annotator()
    if judge.in_words:
        request = in_words(request, "max_tokens", judge.answer_tokens)
    asked = ", ".join(f"{key} {str(value).lower()}" for key, value in request.items())
    said = (AS_JUDGE_IN_WORDS if judge.in_words else AS_JUDGE).format(model=judge.model, request=asked)
    return chat_messages(judge.prompt or template), [said, OWN_PROMPT if judge.prompt else NOT_THE_PAPERS]


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
    add_answer_flags(parser)
    arguments = parser.parse_args()
    if arguments.kind == "preference_model":
        messages, about = messages_of_preference_model(arguments.model)
    else:
        messages, about = messages_of_endpoint(Judge(arguments.model, **answers_from(arguments)))
    asked = [part for message in messages for part in (("name", message["role"]), ("block", message["content"]))]
    parts = [("title", "Table 9: what the judge is asked"), *asked, *(("words", words) for words in about)]
    Table(messages, parts).write(arguments.csv)
    finish(arguments.csv, len(messages), len(messages), {}, judge=arguments.model)


if __name__ == "__main__":
    run(main)
