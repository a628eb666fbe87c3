"""An audit of preference sources in words: its own page, and what the report shows of it."""

from collections.abc import Mapping

from dpo_stages.data.preferences import BY_DATASET
from dpo_stages.report.baselines import below_sentence, beside, share, with_baselines
from dpo_stages.report.table import Grid, Table

CANNOT_TELL = "cannot tell"  # of the verdicts of audit_sources.py
CAPTION = (
    "Shares and means over the drawn pairs, in percent where a sign of it stands. What the literature finds good stands to the right, by "
    "arXiv number; where two findings conflict, both do. No measure is to be trusted alone: docs/audit.md says what each means."
)


def markdown(audit: Mapping) -> str:
    """The page of an audit, as audit_sources.py records it."""
    opening = (
        f"Are the labels of {_labellers(audit)} right? The yardstick is {audit['yardstick']}, and nothing has been trained "
        f"yet. Intervals are at {100 * audit['confidence']:g} %."
    )
    said = [verdict(name, source) for name, source in audit["sources"].items()]
    said += [contrasted(one) for one in audit["contrasts"] if one["agreement"]]
    found = "\n".join(f"- {sentence}" for sentence in said)
    parts = [("title", f"Audit of preference sources: {audit['initial_policy']}"), ("words", opening), ("words", found)]
    parts += [("heading", "What the pairs are like"), ("grid", panel(audit)), ("words", CAPTION)]
    return Table([], parts).markdown()


def _labellers(audit: Mapping) -> str:
    """The preference model, and the data sets whose own labels stand."""
    own = [source["candidates"] for source in audit["sources"].values() if source["labelled_by"] == BY_DATASET]
    models = [audit["preference_model"]] if len(own) < len(audit["sources"]) else []
    return " and ".join([*models, *(f"{data} itself" for data in own)])


def verdict(name: str, source: Mapping) -> str:
    """The verdict on a source, with the figures that it stands on, and what helps."""
    said = f"**{name} ({source['candidates']}): {source['verdict']}.**"
    labels = source.get("labels")
    if labels and labels["agreement"]:
        ties = f", {labels['ties']} ties left out" if labels["ties"] else ""
        said += f" By {source['asked']} the chosen response is the better one in {share(labels['agreement'])} of "
        said += f"{labels['agreement']['pairs']} pairs{ties}; {beside(labels['baselines'])}."
        return " ".join([said, *below_sentence(labels["baselines"], "these labels"), *source["advice"]])
    return " ".join([said, *source["advice"]])


def contrasted(one: Mapping) -> str:
    """How two sources differ in how often their labels are right, in a sentence."""
    found, low, high = one["agreement"], *(100 * one["agreement"][end] for end in ("low", "high"))
    return (
        f"On the {found['pairs']} prompts that both decide, the share of right labels of {one['source']} less that of "
        f"{one['against']} is {100 * found['estimate']:+.0f} points ({low:+.0f} to {high:+.0f})."
    )


def agreement(source: Mapping) -> str:
    """How often the labels of a source are right, and trivial ones; the verdict where whoever was asked cannot tell."""
    if source["verdict"] == CANNOT_TELL:
        return source["verdict"]
    labels = source["labels"]
    return with_baselines(share(labels["agreement"]), labels["baselines"])


def panel(audit: Mapping) -> Grid:
    """What is measured on the pairs of each source, and what the literature says of it."""
    sources, first = audit["sources"], next(iter(audit["sources"]))
    contrasts = {one["source"]: one for one in audit["contrasts"]}
    rows = [
        ("labels right, closer half by margin", lambda name: share(_label(sources[name], "closer")), ""),
        ("labels right, clearer half", lambda name: share(_label(sources[name], "clearer")), "higher: 2405.01511"),
        (
            f"chosen better than that of {first}",
            lambda name: share(contrasts[name]["chosen"]) if name in contrasts else "–",
            "higher: 2508.18312",
        ),
        (
            f"rejected better than that of {first}, inferred",
            lambda name: share(contrasts[name]["rejected"]) if name in contrasts else "–",
            "higher: 2501.18578; lower, but not the worst: 2502.16825",
        ),
        (
            "probability that the rejected is better",
            lambda name: _percent(_label(sources[name], "rejected_better")),
            "higher: 2501.18578",
        ),
        _measure(sources, "margin", "margin of the preference model, logits", "{:.2f}", MARGINS),
        _measure(
            sources, "margin_over_distance", "margin over distance, times 1000", "{:.2f}", "higher: 2506.14157", 1000
        ),
        _measure(
            sources, "likeness", "likeness of the two responses", "{:.2f}", "lower: 2410.08847; higher: 2506.14157"
        ),
        _measure(sources, "chosen_logp", "log-probability a token, chosen", "{:.2f}", "higher: 2406.11827, 2407.10490"),
        _measure(sources, "rejected_logp", "log-probability a token, rejected", "{:.2f}", "higher: 2407.10490"),
        (
            "order flips of preference model; of yardstick",
            lambda name: (
                f"{_percent(sources[name]['panel']['order_flips'])}; {_percent(_label(sources[name], 'order_flips'))}"
            ),
            "lower: 2405.01511",
        ),
        _measure(sources, "label_ties", "candidates without a preference", "{:.0f} %", "lower: 2503.15477", 100),
        _measure(sources, "dropped", "candidates that are no pair", "{:.0f} %", "", 100),
        (
            "characters of chosen; of rejected",
            lambda name: "; ".join(f"{sources[name]['panel'][f'{side}_length']:.0f}" for side in SIDES),
            "rejected longer: 2501.18578",
        ),
        _measure(sources, "longer_chosen", "the longer one is chosen", "{:.0f} %", "near 50 %: 2403.19159", 100),
        (
            "cut, chosen; rejected",
            lambda name: "; ".join(_percent(sources[name]["panel"][f"{side}_cut"]) for side in SIDES),
            "",
        ),
    ]
    cells = [[words, *map(cell, sources), literature] for words, cell, literature in rows]
    return Grid(["Measure", *sources, "The literature"], cells)


SIDES = ("chosen", "rejected")
MARGINS = "large: 2502.14560; moderate: 2504.03612; small: 2508.04149"


def _measure(sources: Mapping, key: str, words: str, shape: str, literature: str, times: float = 1):
    def cell(name: str) -> str:
        value = sources[name]["panel"][key]
        return "–" if value is None else shape.format(times * value)

    return words, cell, literature


def _label(source: Mapping, key: str):
    return (source.get("labels") or {}).get(key)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
