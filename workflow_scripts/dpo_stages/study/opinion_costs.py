"""What judges take for second opinions on boundary scores. Standard library only."""

from dpo_stages.study.resources import Needs, Wildcards
from dpo_stages.study.study import Study


def words(study: Study, needs: Needs) -> list[str]:
    """One sentence on the dollars of each policy that second opinions are asked on; none where no such judge has a price."""
    priced = {
        name: needs.preference_cents(needs.boundary_pairs, name)(Wildcards(model=next(iter(study.config["models"]))))
        / 100
        for name in study.config["boundary"]["second_opinions"]
    }
    told = [f"{name} {dollars:,.2f}" for name, dollars in priced.items() if dollars]
    if not told:
        return []
    return [
        f"A second opinion (`results/robustness/…`) takes so many dollars of judgements a policy: {', '.join(told)}. They are not "
        "counted below."
    ]
