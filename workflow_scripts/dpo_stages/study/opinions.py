"""Second opinions on boundary scores, by other preference models: their files, and what judges take for them.

Standard library only.
"""

from collections.abc import Iterable, Sequence

from dpo_stages.study.resources import Needs, Wildcards
from dpo_stages.study.study import Study

COLUMN = "second_opinions"
"""The column of a table that shows them."""


def asked(study: Study) -> list[str]:
    """The preference models whose opinion is asked."""
    return study.config["boundary"]["second_opinions"]


def comparisons(study: Study, opinion: str, initial: str) -> str:
    """The comparisons of another preference model, which do not hang on the study's own."""
    return (
        f"results/second_opinions/{opinion}/{study.names.sampled(initial)}/{study.config['boundary']['split']}.parquet"
    )


def of_table(study: Study, table: str, chosen: bool = False) -> list[str]:
    """Boundary scores by others for the policies that a table measures; see `Study.measured_of_table`."""
    if COLUMN not in study.config["tables"][table]["columns"]:
        return []
    return _scores(study, study.measured_of_table(table, chosen))


def for_report(study: Study, compared: Sequence[str]) -> list[str]:
    """The same that the report shows: for the policies that it compares, what tables have asked anyway."""
    tables = [name for name, table in study.config["tables"].items() if COLUMN in table["columns"]]
    shown = {initial for table in tables for initial in study.measured_of_table(table, chosen=False)}
    return _scores(study, [initial for initial in compared if initial in shown])


def _scores(study: Study, measured: Iterable[str]) -> list[str]:
    return [f"results/second_opinions/{opinion}/{initial}.json" for initial in measured for opinion in asked(study)]


def costs(study: Study, needs: Needs) -> list[str]:
    """One sentence on the dollars of each policy that second opinions are asked on; none where no such judge has a price."""
    priced = {
        name: needs.preference_cents(needs.boundary_pairs, name)(Wildcards(model=next(iter(study.config["models"]))))
        / 100
        for name in asked(study)
    }
    told = [f"{name} {dollars:,.2f}" for name, dollars in priced.items() if dollars]
    if not told:
        return []
    return [
        f"A second opinion takes so many dollars of judgements a policy: {', '.join(told)}. Those that no table has among its "
        f"columns ({COLUMN}) are not counted below."
    ]
