"""Put a random candidate of one source beside the chosen response of another, for a judge (Appendix C.5).

The candidates are a data set's or a policy's; the chosen responses are those that their labels prefer (see `labels`). Which
prompts are drawn, and which of two candidates, depends on the seed and the prompt alone.
"""

import argparse
from pathlib import Path

from dpo_stages.core.arguments import seed
from dpo_stages.core.program import finish, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--candidates", type=Path, required=True, metavar="PARQUET", help="two candidates a prompt")
    add("--preferences", type=Path, required=True, metavar="PARQUET", help="chosen and rejected responses")
    add("--generator", required=True, metavar="NAME", help="what the judge's tables call the candidates")
    add("--prompts", type=int, required=True, metavar="N", help="how many prompts are drawn")
    add("--seed", type=seed, required=True)
    add("--instructions", type=Path, required=True, metavar="PARQUET", help="out: prompts and chosen responses")
    add("--output", type=Path, required=True, metavar="JSON", help="out: model_outputs.json with the candidates")
    arguments = parser.parse_args()

    from dpo_stages.core.files import write_json
    from dpo_stages.core.parquet import read_table, write_table
    from dpo_stages.data.candidates import read_candidates
    from dpo_stages.data.schemas import INSTRUCTIONS, PREFERENCES
    from dpo_stages.evaluation.quality_pairs import draw_pairs

    candidates = read_candidates(arguments.candidates).to_pylist()
    preferences = read_table(arguments.preferences, PREFERENCES).to_pylist()
    instructions, outputs = draw_pairs(candidates, preferences, arguments.prompts, arguments.seed, arguments.generator)
    write_table(arguments.instructions, instructions, INSTRUCTIONS)
    write_json(arguments.output, outputs)
    finish(arguments.output, len(candidates), len(outputs), {"not drawn": len(candidates) - len(outputs)})


if __name__ == "__main__":
    run(main)
