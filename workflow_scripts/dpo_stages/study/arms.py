"""The two arms that are held against each other: one more iteration of an initial policy on a data set's candidates, or on own samples.

Those of the preference data are `off` and `on`. Of another data set, NAME, they are `off.NAME` and `on.NAME` where a table has
both; where it lacks `on.NAME` the other one is `on`, own samples for the prompts of the preference data.

    results/arms/{initial}/{method}{run}.parquet           `off` against `on`
    results/arms/{off-policy arm}/against/{source}.parquet any other two

Standard library only.
"""

import re
from collections.abc import Container, Iterable, Mapping

from dpo_stages.study.names import AGAINST
from dpo_stages.study.policies import AUTO, OFF, ON, Policy, data_of, of_data
from dpo_stages.study.study import Study

Pair = tuple[Policy, Policy]
"""An off-policy arm and the on-policy arm that it is held against."""


def is_off_policy(source: str) -> bool:
    """Whether a source is the candidates of a data set, the preference data or another."""
    return data_of(source)[0] == OFF


def off_policy(source: str) -> str:
    """The off-policy source of the data set that a source is of."""
    return of_data(OFF, data_of(source)[1])


def on_policy(off: str, sources: Container[str]) -> str | None:
    """The source that an off-policy one is held against, of those that there are: own samples for the same prompts, else `on`."""
    return next((own for own in (of_data(ON, data_of(off)[1]), ON) if own in sources), None)


def held(stands_for: Mapping[Policy, Policy]) -> dict[Policy, Pair]:
    """The arms of each policy of a table: of its initial policy, and of the data set that its last source is of.

    A policy whose data set lacks one of them has none. What a history names comes before what `auto` came to: an arm is held against
    the same one whatever was decided.

    Args:
        stands_for: the policies of the table, and those of fixed histories that they stand for.
    """
    named = _sources(policy for name, policy in stands_for.items() if name.history and name.source != AUTO)
    there = _sources(policy for policy in stands_for.values() if policy.history)
    found = {}
    for policy in stands_for.values():
        beside = there[policy.arm(OFF)] if policy.history else ()
        if beside and (off := off_policy(policy.source)) in beside:
            on = on_policy(off, named.get(policy.arm(OFF), ())) or on_policy(off, beside)
            found |= {policy: (policy.arm(off), policy.arm(on))} if on else {}
    return found


def _sources(trained: Iterable[Policy]) -> dict[Policy, set[str]]:
    """The last sources of policies that differ in nothing else, by the arm of them that is trained on the preference data."""
    found: dict[Policy, set[str]] = {}
    for policy in trained:
        found.setdefault(policy.arm(OFF), set()).add(policy.source)
    return found


def compared(pair: Pair) -> str:
    """What the preference model says of the outputs of two arms."""
    off, on = pair
    if (off.source, on.source) != (OFF, ON):
        return f"results/arms/{off}{AGAINST}{on.source}.parquet"
    run = "" if off.replicate is None else f"~{off.replicate}"
    return f"results/arms/{off.initial}/{off.method}{run}.parquet"


def pair_of(compared: str) -> Pair:
    """The arms of such a file, which is named without folder and suffix."""
    if AGAINST in compared:
        off, _, source = compared.partition(AGAINST)
        return Policy.parse(off), Policy.parse(off).arm(source)
    initial, _, trained = compared.rpartition("/")
    method, run = re.fullmatch("([^~]*)(.*)", trained).groups()
    off = Policy.parse(f"{Policy.parse(initial).then(method, OFF)}{run}")
    return off, off.arm(ON)


def comparisons_of_table(study: Study, table: str, chosen: bool = False) -> list[str]:
    """The comparisons of a table's arms.

    Those of the policies that are known beforehand, or, if `chosen`, those with an arm that `auto` chose.
    """

    def whole(stands_for: Mapping[Policy, Policy]) -> set[str]:
        return set(map(compared, held(stands_for).values()))

    policies = study.trained_policies(table)
    known = whole({policy: policy for policy in policies if not policy.chooses})
    return sorted(whole({policy: study.resolved(policy) for policy in policies}) - known if chosen else known)
