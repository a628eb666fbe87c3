"""The report: what it holds, that nothing in it runs or is fetched, and how it looks to a browser."""

import csv
import json
import os
import re
from html.parser import HTMLParser

import pytest
from browser import CHROMIUM, Browser
from test_boundary_figure import write_table

from dpo_stages.core.errors import BadInput
from dpo_stages.report.baselines import warnings
from dpo_stages.report.page import duration
from dpo_stages.report.table import read_parts

EVIL = "<script>document.title='evil'</script><img src=x onerror=\"console.error('evil')\">"
WIDE = "w" * 400  # one word, wider than any screen

TRIVIAL = {
    "longer": {"estimate": 0.9, "low": 0.85, "high": 0.93, "pairs": 200}, "first": {"estimate": 0.5, "low": 0.43, "high": 0.57, "pairs": 200},
    "ahead": 5, "behind": 10, "below_longer": "within noise",
}  # fmt: skip


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.elements if "id" in attributes}


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parts(path, **parts):
    path.write_text(json.dumps(list(parts.items())))


@pytest.fixture(scope="module")
def report(tmp_path_factory, run_script):
    """A page of small inputs, some of them hostile."""
    folder = tmp_path_factory.mktemp("report")
    table = write_table(
        folder / "table3.csv", verdict=31.0, verdict_low=25.0, verdict_high=37.0, boundary_verdict="undecided"
    )
    grid = {"columns": ["Iter-1", "x", "y", "z"], "rows": [["Tiny"], ["PC|off", "1.5", "a", "–"]]}
    grid["groups"] = [("", 1), ("A", 1), ("B", 2)]
    write_parts(folder / "table3.json", title="Table 3", heading="DPO", grid=grid, words=f"Of `auto`: {EVIL}")
    write_parts(folder / "table9.json", title="Table 9", name="user", block=f"{EVIL} {WIDE}")
    (folder / "figure.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script/></svg>')
    (folder / "rules.svg").write_text('<svg class="rule-graph" width="900" height="20"><text>train policy</text></svg>')
    comparison = {
        "model": "tiny-llama", "history": "off", "paper_boundary_score": "0.62", "paper_recommended": "on",
        "paper_better_arm": "on", "stage_agrees": "True", "better_arm_agrees": "False",
    }  # fmt: skip
    write_csv(folder / "comparison.csv", [comparison])
    grid = {"columns": ["Model", "LC"], "rows": [["tiny", "1.0"]]}
    write_parts(folder / "comparison.json", title="Comparison with the paper", grid=grid)
    responses = [
        {"label": "Instruction", "text": "Why?", "rule": "by a rule"},
        {"label": "Tiny (SFT)", "text": f"{EVIL} {WIDE}", "rule": "by a rule"},
    ]
    write_csv(folder / "table10.csv", responses)
    right = {
        "labelled_by": "preference model",
        "accuracy": 0.65,
        "accuracy_low": 0.612,
        "accuracy_high": 0.689,
        "longer": 0.7,
        "first": 0.49,
        "below_longer": "within noise",
        "agreement_with_original": None,
    }
    unknown = dict.fromkeys(right)
    labels = [
        {"candidates": "tiny-llama/sft", "work": "labels", **right},
        {"candidates": "tiny-llama/sft", "work": "comparisons", **unknown},
        {"candidates": "my-data", "work": "labels", **unknown, "agreement_with_original": 0.506},
    ]
    write_csv(folder / "labels.csv", labels)
    cost = [
        {"rule": "train_policy", "jobs_done": 3, "hours_taken": 0.5},
        {"rule": "idle", "jobs_done": 0, "hours_taken": 0},
    ]
    write_csv(folder / "cost.csv", cost)
    for name in ("a", "b"):
        (folder / name).mkdir()
        ledger = {"rows_out": 320, "requests": 300, "tokens": 70000, "from_cache": 20, "dollars": 1.25}
        ledger["dropped"] = {"refused": 1} if name == "a" else {}
        ledger["judge"] = f"j{EVIL} (version 1, prompt p, served)"
        (folder / name / "annotations.ledger.json").write_text(json.dumps(ledger))
    (folder / "train.lock.txt").write_text("# made\ntorch==2.13.0    # via trl\nnumpy==2.4.6\n")
    arguments = ["--study", json.dumps({"Preference model": f"p{EVIL}", "Seeds": "0"}), "--policy-tables", table]
    arguments += ["--tables", folder / "table3.json", folder / "table9.json", "--figures", folder / "figure.svg"]
    arguments += [
        "--labels",
        folder / "labels.csv",
        "--captions",
        "A figure",
        "--comparison",
        folder / "comparison.csv",
        "--rules",
        folder / "rules.svg",
    ]
    arguments += [
        "--responses",
        folder / "table10.csv",
        "--cost",
        folder / "cost.csv",
        "--locks",
        folder / "train.lock.txt",
    ]
    arguments += [
        "--notes",
        "Caution: the judge labels too.",
        "--judgements",
        folder / "a/annotations.json",
        folder / "b/annotations.json",
    ]
    agreed = {"estimate": 0.874, "low": 0.81, "high": 0.916, "pairs": 200}
    sources = {
        "off": {"verdict": "trustworthy", "labels": {"agreement": agreed, "baselines": TRIVIAL}},
        "on": {"verdict": "cannot tell", "labels": {"agreement": None}},
    }
    audit = {"initial_policy": "tiny-llama/sft", "yardstick": f"y{EVIL}", "sources": sources}
    (folder / "audit.json").write_text(json.dumps(audit))
    arguments += ["--audits", folder / "audit.json"]
    voted = {"preference_model": f"v{EVIL}", "votes": ["votes.jsonl"], "accuracy": agreed, "baselines": TRIVIAL}
    (folder / "held_out.json").write_text(json.dumps(voted))
    arguments += ["--held-out", folder / "held_out.json"]
    measured = {
        "policy": "tiny-llama/sft",
        "warnings": ["53.0% of the on-policy responses were cut", *warnings([voted])],
    }
    (folder / "boundary.json").write_text(json.dumps(measured))
    opinion = {
        "policy": "tiny-llama/sft", "preference_model": f"r{EVIL}", "boundary_score": 0.694, "interval": [0.65, 0.73],
        "verdict": "decided", "stage": "preference fine-tuning", "recommended_source": "on", "confidence": 0.95,
    }  # fmt: skip
    (folder / "opinion.json").write_text(json.dumps(opinion))
    arguments += ["--second-opinions", folder / "opinion.json"]
    race = {
        "policy": "tiny-llama/sft", "source": "mix50", "decided_by": "the rule for undecided races", "verdict": "undecided",
        "leader": "on", "winner": None, "reason": "after 20 % of an epoch off and on are still in", "confidence": 0.95,
        "paragraph": f"**The race is undecided (95 %) {EVIL}.** More.", "notes": ["A note"], "yardstick": "gpt",
        "cost": {"epochs": 0.8, "kept": 0.0, "responses": 400, "comparisons": 200},
    }  # fmt: skip
    (folder / "race.json").write_text(json.dumps(race))
    (folder / "race.svg").write_text((folder / "figure.svg").read_text())
    arguments += ["--boundaries", folder / "boundary.json", "--races", folder / "race.json"]
    steps = [
        {
            "loss": 0.7,
            "rewards_chosen": -0.02 * n,
            "rewards_rejected": -0.05 * n,
            "rewards_margin": 0.03 * n,
            "accuracy": 0.6,
        }
        for n in range(20)
    ]
    for name, rows in {"dpo": steps, "sft": [{"loss": 2.0}, {"loss": 1.5}]}.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    arguments += ["--trainings", f"tiny-llama/dpo/off={folder / 'dpo.jsonl'}", f"tiny-llama/sft={folder / 'sft.jsonl'}"]
    arguments += ["--betas", "dpo=0.1"]
    done = run_script("make_report", *arguments, "--output", folder / "report.html")
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text())


def test_what_a_model_wrote_is_text(report, page):
    # caption, prompt, response, preference model, judge twice; yardstick at its policy and above its column; a race's verdict;
    # a preference model with votes, and in the warning of it; a second opinion
    assert page.text.count(EVIL) == 12
    tags = {tag for tag, _ in page.elements}
    assert "script" not in tags
    assert [attributes["src"][:5] for tag, attributes in page.elements if tag == "img"] == ["data:"] * 2
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_nothing_is_fetched(report, page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base")
    style = report.read_text().partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_it_has_everything(page):
    assert {"answers", "tables", "paper", "responses", "workflow", "provenance", "cost"} <= page.ids()
    assert {"decisions", "environments", "time", "table3", "table9", "races", "trainings"} <= page.ids()
    links = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    assert links <= page.ids()
    text = " ".join(page.text.split())
    assert "With one run an arm, no arm is told from the other beyond the noise of training" in text
    assert "picked the better arm" not in text and "The score itself is undecided for 3 of 3." in text
    assert "Warning: 53.0% of the on-policy responses were cut." in text
    assert "Boundary score by another preference model: r" in text and "0.69 (0.65–0.73), decided." in text
    assert text.count("counting characters would do better than the preference model v") == 1
    assert "agrees with the data's own labels on 51 % of the pairs of my-data; the others are turned round." in text
    assert "For 1 of 3 initial policies neither arm shows a gain over no training." in text
    assert (
        "By length-controlled win rate neither arm shows a gain over no training; more runs or instructions may."
        in text
    )
    assert "off, undecided; no gain" in text and "on, undecided" in text
    assert "Train next on mix50 (undecided)." in text and "The race is undecided, and mix50 is the rule." in text
    assert "Every look of it: results/races/tiny-llama/sft.md" in text and "0.8 epochs of training" in text
    assert "3 policies of 2 models, which descend from each other" in text and "Caution: the judge labels too." in text
    assert (
        "Recommended: the policy's own samples (undecided)" in text
        and "Recommended: off-policy data (undecided)" in text
    )
    assert (
        "Relative to the preference model: boundary score 0.62 (0.59–0.65), 0.5 or above (preference fine-tuning)"
        in text
    )
    assert (
        "right in 65 % (61 to 69), longer 70 % (below it, within noise), first 49 %" in text
        and "Own pairs labelled rightly" in text
    )
    below = "87 % (81 to 92), longer 90 % (below it, within noise), first 50 %"
    assert f"asked before training: off {below}, on cannot tell." in text
    assert "is right on 87 % (81 to 92) of 200 held-out votes (votes.jsonl); whoever takes the longer response" in text
    assert "on 10 of 200 pairs the longer response is the better guess, on 5 the worse one" in text
    assert "Gain: +0.50 with off-policy data, -1.00 with its own samples." in text
    assert "By the preference model: on 31.0 (25.0 to 37.0)" in text
    assert "By length-controlled win rate: off +1.50 (+0.50 to +2.50)" in text
    assert "for 2 they disagree where runs" in text or "noise may do" not in text
    assert "The paper: boundary score 0.62, on-policy recommended (agrees), better arm on-policy (differs)." in text
    assert "took 30.0 min in all" in text and "idle" not in text
    assert (
        "640 pairs of responses in 2 evaluations and refused 1 more: 600 requests and 140,000 tokens, "
        "40 answers from its cache, 2.50" in text
    )
    assert "Here the chosen responses became less likely while the margin grew" in text
    assert "by 3.6 nats over 20 steps, the rejected ones by 9." in text and "tiny-llama/sft, 2 steps" in text
    assert "torch 2.13.0" in text and "numpy 2.4.6" in text and "Commit of the workflow" in text


def test_every_table_scrolls_inside_a_container_of_its_own(report):
    text = report.read_text()
    assert len(re.findall(r'<div class="scroll"[^>]*><table', text)) == text.count("<table") > 4


def test_parts_of_tables_become_headings_and_tables_with_groups_and_numbers(report):
    made = report.read_text()
    assert '<th colspan="1" class="group">A</th>' in made and '<th colspan="2" class="group">B</th>' in made
    assert "<td>PC|off</td>" in made and '<td class="n first">1.5</td>' in made
    assert "<td>–</td>" in made  # a column without any number is not one of numbers
    assert "<h3>Table 3</h3>" in made and "<h4>DPO</h4>" in made and "<h2>Comparison with the paper</h2>" in made
    assert "<p>Of <code>auto</code>: &lt;script" in made and "<strong>Tiny</strong>" in made


def test_what_is_no_table_is_refused(tmp_path):
    for number, text in enumerate(("7", "{}", "[]", "[1]", '[["grid", {"rows": 1}]]')):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        with pytest.raises(BadInput, match="make the table again"):
            read_parts(path)


@pytest.mark.parametrize(("seconds", "words"), [(59.6, "60 s"), (600, "10.0 min"), (36000, "10.0 h")])
def test_durations_read_well(seconds, words):
    assert duration(seconds) == words


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "continuous integration needs Chromium; tests/install installs it"
        pytest.skip("no Chromium on this machine (chromium, chromium-browser or google-chrome)")
    opened = Browser()
    yield opened
    opened.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_complaint_request_or_overflow(browser, report, width, dark):
    browser.open(report, width, dark=dark)
    asked = [event["request"]["url"] for event in browser.of("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [report.resolve().as_uri()]
    assert browser.of("Log.entryAdded") == browser.of("Runtime.consoleAPICalled") == []
    assert browser.of("Runtime.exceptionThrown") == []
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.evaluate("document.title") == "Off-policy or on-policy data next? – dpo-stages"
    assert browser.evaluate("document.querySelectorAll('table').length") == 6
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(23, 24, 26)" if dark else "rgb(251, 250, 247)")
