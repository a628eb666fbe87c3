"""Races: several arms start from one initial policy, and after each share of an epoch those that are beaten stop.

An arm is the policy of a candidate source, `zephyr-7b/dpo/on`, as it is on its way; another order of its pairs is a replicate,
`zephyr-7b/dpo/on~2`. So the arm that wins only has to go on to become the policy itself. Standard library only.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dpo_stages.study.policies import AUTO, Policy
from dpo_stages.study.study import Study

UNDECIDED = "undecided"


def races_for_report(study: Study) -> list[str]:
    """The policies whose races the report shows: those of `race.tables`, and those by which `auto` goes in any table.

    Of the latter those that are known beforehand: where one `auto` follows another, the first alone.
    """
    config = study.config
    racing = {policy for table in config["race"]["tables"] for policy in study.initial_policies_of_table(table)}
    if config["decide_by"] == "race":
        trained = (policy for table in config["tables"] for policy in study.trained_policies(table))
        steps = (step for policy in trained for step in policy.lineage if step.source == AUTO)
        racing |= {str(step.initial) for step in steps if not step.initial.chooses}
    return sorted(racing)


class Races:
    """The races of a study.

    Args:
        study: the study.
        decided: gives the file that says how a race stands after a share. Under Snakemake it raises until the file is there.

    Attributes:
        sources: the candidate sources that race.
        method: by which arms are trained.
        orders: trainings of each arm.
        shares: of an epoch after which arms are compared, as they stand in the names of files.
    """

    def __init__(self, study: Study, decided: Callable[[str, str], str]) -> None:
        race = study.config["race"]
        self.study, self.decided = study, decided
        self.sources, self.method, self.orders = race["sources"], race["method"], race["orders"]
        self.shares = [f"{share:g}" for share in race["shares"]]

    def arms(self, initial: str, source: str) -> list[Policy]:
        """The trainings of one arm, the first of which is that of the policy itself."""
        first = Policy.parse(initial).then(self.method, source)
        return [first, *(replace(first, replicate=order) for order in range(2, self.orders + 1))]

    def standing(self, initial: str, share: str) -> list[str]:
        """The sources whose arms are compared after a share: all at first, then those that nobody has beaten."""
        number = self.shares.index(share)
        return self._read(initial, self.shares[number - 1])["standing"] if number else self.sources

    def samples(self, initial: str, share: str) -> dict[str, str]:
        """The responses that are compared after a share, by arm and order: `on`, `on~2`."""
        return {
            source
            + ("" if arm.replicate is None else f"~{arm.replicate}"): f"results/races/samples/{arm}/{share}.parquet"
            for source in self.standing(initial, share)
            for arm in self.arms(initial, source)
        }

    def looks(self, initial: str, until: str | None = None) -> list[str]:
        """The comparisons after each share up to one; without one, up to the first at which the race is decided."""
        found = []
        for share in self.shares:
            found.append(f"results/races/looks/{initial}/{share}.parquet")
            if share == until or (until is None and self._read(initial, share)["verdict"] != UNDECIDED):
                break
        return found

    def last(self, initial: str) -> str:
        """The file that says how the race ended."""
        return self.looks(initial)[-1].removesuffix(".parquet") + ".json"

    def checkpoints(self, initial: str) -> list[str]:
        """`SOURCE=FOLDER`: where each training of each arm leaves what it goes on from."""
        return [f"{source}=results/checkpoints/{arm}" for source in self.sources for arm in self.arms(initial, source)]

    def before(self, share: str) -> float:
        """The share of an epoch at which the arms were compared before; 0 for the first."""
        number = self.shares.index(share)
        return float(self.shares[number - 1]) if number else 0.0

    def _read(self, initial: str, share: str) -> dict[str, Any]:
        return json.loads(Path(self.decided(initial, share)).read_text(encoding="utf-8"))
