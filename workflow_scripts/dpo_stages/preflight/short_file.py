"""The file of a study of one's own, as short as it can be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpo_stages.study.shorthand import by_name

HEAD = """\
# A study of your own. Whatever else may be set is in config.yaml and rules/config.schema.yaml of the workflow; all that
# this file comes to is in results/run_config.yaml after a run.
"""


def given(
    preset: str,
    *,
    models: Sequence[str],
    data: Sequence[Mapping[str, str | None]],
    preference_model: str,
    instructions: str | None = None,
    judge: str | None = None,
) -> dict[str, Any]:
    """What the file says.

    Args:
        preset: name of the settings.
        models: folders or hub ids of models.
        data: files of each preference data set by split; None for a split that there is not.
        preference_model: folder, hub id, or the name `pairrm`.
        instructions: file of instructions for win rates; None for AlpacaEval's.
        judge: preference model that judges; None for the one that labels.
    """
    splits = [{split: file for split, file in files.items() if file} for files in data]
    sets = [files["train"] if list(files) == ["train"] else files for files in splits]
    evaluation = {key: value for key, value in (("instructions", instructions), ("judge", judge)) if value}
    return {
        "preset": preset,
        "models": by_name(models),
        "preference_data": sets[0] if len(sets) == 1 else sets,
        "preference_model": _path(preference_model),
        **({"evaluation": evaluation} if evaluation else {}),
    }


def _path(text: str) -> str:
    """A folder beside the file is told from a name by the dot before it."""
    return f"./{text}" if "/" not in text and Path(text).is_dir() else text


def as_text(written: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """The YAML file, one line a key.

    Args:
        written: what it says.
        comments: what stands behind a key, by key.
    """
    import yaml

    def shown(value: Any) -> str:
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1000)
        return text.removesuffix("...\n").strip()

    lines = [
        f"{key}: {shown(value)}" + (f"  # {comments[key]}" if key in comments else "") for key, value in written.items()
    ]
    return HEAD + "\n".join(lines) + "\n"
