"""Whether win rates are plain ones: of instructions whose difficulties nobody publishes and no table fits. Standard library only."""

from dpo_stages.study.study import Study

PUBLISHED = "alpaca_eval"
"""The adapter of the instructions that have difficulties of their own."""


def are_plain(study: Study) -> bool:
    """Whether no length-controlled win rate is computed."""
    return not study.fitted_over and study.config["datasets"][study.instruction_set]["adapter"] != PUBLISHED


def why(study: Study) -> list[str]:
    """What tables say of it, in a sentence; nothing where win rates are length-controlled."""
    if not are_plain(study):
        return []
    name = study.instruction_set
    gamed = {"verbose", "concise"} <= study.config["datasets"][name]["splits"].keys()
    missing = "" if gamed else f"the splits verbose and concise in `datasets.{name}` and "
    return [
        f"Win rates are plain ones, which a judge's liking for length moves: length control of {name} takes {missing}a table named by "
        "`evaluation.fit_difficulty_over` (docs/judges.md)."
    ]
