"""What a race takes at most, beside what training on the wrong source takes. Standard library only."""

from dpo_stages.study.races import Races
from dpo_stages.study.resources import Needs, Wildcards
from dpo_stages.study.study import Study


def words(study: Study, needs: Needs, races: Races) -> list[str]:
    """One sentence on the races of the SFT policies of the study's tables, in GPU-hours and dollars; none without GPUs."""
    if not study.gpu or study.config["yardstick"] is None:
        return []
    models = dict.fromkeys(model for table in study.config["tables"].values() for model in table["models"])
    arms, method = len(races.sources) * races.orders, study.config["methods"][races.method]
    told = []
    for model in models:
        jobs = [
            Wildcards(model=model, method=races.method, history=races.sources[0], share=share) for share in races.shares
        ]
        train = needs.gpus("training") * sum(map(needs.arm_seconds(races), jobs))
        sample = needs.gpus("sampling") * sum(map(needs.race_sampling_seconds, jobs))
        whole = needs.gpus("training") * needs.training_seconds(jobs[0])
        told.append(f"{model} {arms * (train + sample) / 3600:.1f} ({train / 3600:.1f}, {whole / 3600:.1f})")
    dollars = len(races.shares) * needs.preference_cents(needs.race_pairs, study.config["yardstick"])(jobs[0]) / 100
    return [
        f"A race of {' and '.join(races.sources)} from an SFT policy, which decides at most after "
        f"{100 * float(races.shares[-1]):g} % of an epoch, takes at most so many GPU-hours (of which the winner's own training "
        f"keeps, and what {method['label']} on one source takes, which a wrong choice costs): {', '.join(told)}"
        + (f"; and {dollars:,.0f} dollars of judgements" if dollars else "")
        + ". Races are not counted below unless `auto` follows them, and then only as far as is known beforehand."
    ]
