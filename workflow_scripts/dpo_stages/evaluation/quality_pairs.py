"""Quality of candidates, Appendix C.5: which candidate of a source meets which chosen response. Standard library only."""

from collections.abc import Sequence

from dpo_stages.core.errors import BadInput
from dpo_stages.data.prompts import instruction_text, request_seed
from dpo_stages.data.thoughts import whole, whole_responses

SUBSET = "quality"


def draw_pairs(
    candidates: Sequence[dict], preferences: Sequence[dict], prompts: int, seed: int, generator: str
) -> tuple[list[dict], list[dict]]:
    """Draw prompts that both sources have, and one candidate of each.

    Which prompts are drawn, and which of the two candidates, depends on the seed and the prompt alone: all pairs of
    sources with the same prompts are compared on the same ones.

    Args:
        candidates: rows of schemas.CANDIDATES, of the source whose candidates are drawn.
        preferences: rows of schemas.PREFERENCES, of the source whose chosen responses are the references.
        prompts: how many are drawn.
        seed: of the draw.
        generator: what the judge's tables call the candidates.

    Returns:
        Rows of schemas.INSTRUCTIONS, and rows of `model_outputs.json`, both by index.

    Raises:
        BadInput: the sources share fewer prompts than are to be drawn.
    """
    chosen = {row["prompt_id"]: whole(row["chosen"], row["opens_thought"]) for row in preferences}
    number = {row["prompt_id"]: request_seed(seed, row["prompt_id"], 0) for row in candidates}
    shared = sorted(
        (row for row in candidates if row["prompt_id"] in chosen),
        key=lambda row: (number[row["prompt_id"]], row["prompt_id"]),
    )
    if len(shared) < prompts:
        raise BadInput(
            f"{prompts} prompts are to be compared, but the two sources share {len(shared)}; lower quality.prompts"
        )
    instructions, outputs = [], []
    for index, row in enumerate(shared[:prompts]):
        common = {"prompt_id": row["prompt_id"], "index": index, "instruction": instruction_text(row["prompt"])}
        instructions.append(
            {**common, "prompt": row["prompt"], "reference": chosen[row["prompt_id"]], "subset": SUBSET}
        )
        drawn = whole_responses(row)[number[row["prompt_id"]] % 2]
        outputs.append({**common, "dataset": SUBSET, "output": drawn, "generator": generator})
    return instructions, outputs
