"""How judges are asked, where that is not as AlpacaEval asks its own. Standard library only."""

from dpo_stages.study.study import Study

WORDS = "words"


def prompt(study: Study, name: str) -> list[str]:
    """The file of a judge's prompt; nothing where it is AlpacaEval's own."""
    file = study.config["judges"][name]["prompt"]
    return [study.file(file)] if file else []


def how_asked(study: Study, name: str) -> list[str]:
    """Flags of a judge's prompt and of answers in words, shell words each; nothing where both are AlpacaEval's."""
    judge = study.config["judges"][name]
    in_words = ["--answers", WORDS, "--answer-tokens", str(judge["answer_tokens"])] if judge["answers"] == WORDS else []
    return [*in_words, *(word for file in prompt(study, name) for word in ("--prompt", file))]
