"""The two arms of an initial policy: one more iteration on off-policy candidates, or on its own samples.

Standard library only.
"""

from typing import Any

from dpo_stages.study.policies import OFF, ON, Policy
from dpo_stages.study.study import Study


def arm(wildcards: Any, source: str) -> Policy:
    """The arm of {initial} and {method} with a candidate source."""
    return Policy.parse(wildcards.initial).then(wildcards.method, source)


def compared(arm: Policy) -> str:
    """What the preference model says of the outputs of an arm and of its counterpart with the other source."""
    return f"results/arms/{arm.initial}/{arm.method}.parquet"


def comparisons_of_table(study: Study, table: str, chosen: bool = False) -> list[str]:
    """The comparisons of a table's arms, where it has both.

    Those of the policies that are known beforehand, or, if `chosen`, those with an arm that `auto` chose.
    """

    def whole(trained: set[Policy]) -> set[str]:
        return {compared(one) for one in trained if one.source == OFF and one.arm(ON) in trained}

    policies = study.trained_policies(table)
    known = whole({policy for policy in policies if not policy.chooses})
    return sorted(whole({*map(study.resolved, policies)}) - known if chosen else known)
