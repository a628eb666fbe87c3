"""Intra-diversity over training (equation 12): its summary against pairs, and Figure 3."""

import csv
import json
import math
import random
import statistics
import xml.etree.ElementTree

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.report.figures.intra_diversity import draw
from dpo_stages.report.figures.style import COLOURS
from dpo_stages.report.tables.intra_diversity import read_curves, summarise, table

MODELS = {"tiny-llama": "Tiny Llama", "tiny-phi": "Tiny Phi"}


def pairs_of_steps(steps, spread, pairs=16, seed=0):
    """Differences of log-probabilities: one list of pairs a step."""
    draw = random.Random(seed)
    return [[draw.gauss(draw.gauss(1, spread / 4), spread) for _ in range(pairs)] for _ in range(steps)]


def write_log(path, steps):
    """A training log as train_policy.py writes it; returns the file."""
    rows = [
        {
            "step": number,
            "loss": 0.6,
            "logps_difference": statistics.fmean(step),
            "logps_difference_std": statistics.pstdev(step),
            "logps_difference_abs": statistics.fmean(map(abs, step)),
        }
        for number, step in enumerate(steps, start=1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_logs(folder, policies, steps=12):
    spreads = {"off": 9.0}
    return [
        f"{policy}={write_log(folder / policy / 'log.jsonl', pairs_of_steps(steps, spreads.get(policy[-3:], 2.0)))}"
        for policy in policies
    ]


def test_the_summary_is_that_of_all_pairs(tmp_path):
    steps = pairs_of_steps(7, spread=5.0)
    (curve,) = read_curves([f"tiny-phi@1/dpo/off-on={write_log(tmp_path / 'l.jsonl', steps)}"])
    summary, pairs = summarise(curve, MODELS), [difference for step in steps for difference in step]
    assert summary.mean == pytest.approx(statistics.fmean(pairs))
    assert summary.standard_deviation == pytest.approx(statistics.pstdev(pairs))
    assert summary.mean_absolute == pytest.approx(statistics.fmean(map(abs, pairs)))
    assert summary.fluctuation == pytest.approx(statistics.pstdev(map(statistics.fmean, steps)))
    assert (summary.model_label, summary.source, summary.steps) == ("Tiny Phi", "on", 7)


def test_markdown_says_both_and_what_they_are(tmp_path):
    log = write_log(tmp_path / "l.jsonl", [[4.0, -2.0], [-8.0, 2.0]])
    text = table([summarise(curve, MODELS) for curve in read_curves([f"tiny-phi/dpo/off={log}"])]).markdown()
    cells = [cell.strip() for cell in text.splitlines()[4].strip("|").split("|")]
    deviation = statistics.pstdev([4, -2, -8, 2])
    assert cells == ["Tiny Phi", "PC_off", "-1.00", f"{deviation:.2f}", "4.00", "2.00", "2", "tiny-phi/dpo/off"]
    assert "it is signed" in text and "The paper argues from the fluctuation" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n", "has no step"),
        ('{"step": 1, "loss": 0.5}\n', "line 1: logps_difference is None; a number is needed"),
        (
            '{"logps_difference": NaN, "logps_difference_std": 1, "logps_difference_abs": 1}\n',
            "logps_difference is nan",
        ),
    ],
)
def test_a_log_without_the_figures_is_refused(tmp_path, content, message):
    (tmp_path / "l.jsonl").write_text(content)
    with pytest.raises(BadInput, match=message):
        read_curves([f"tiny-phi/dpo/off={tmp_path / 'l.jsonl'}"])


def test_arguments_that_name_no_trained_policy_are_refused(tmp_path):
    (log,) = write_logs(tmp_path, ["tiny-phi/dpo/off"])
    with pytest.raises(BadInput, match="not of the form POLICY=FILE"):
        read_curves(["tiny-phi/dpo/off"])
    with pytest.raises(BadInput, match="was not trained on candidates"):
        read_curves([log.replace("dpo/off=", "sft=")])
    with pytest.raises(BadInput, match="twice"):
        read_curves([log, log])


def test_models_show_the_sources_that_they_have(tmp_path):
    policies = ["tiny-llama/dpo/on", "tiny-phi/dpo/llama", "tiny-phi/dpo/off", "tiny-phi/dpo/on"]
    curves = read_curves(write_logs(tmp_path, policies))
    figure = draw(curves, MODELS)
    upper_llama, upper_phi, lower_llama, lower_phi = figure.axes
    assert [upper_llama.get_title(loc="left"), upper_phi.get_title(loc="left")] == list(MODELS.values())
    assert (len(lower_llama.lines), len(lower_phi.lines)) == (1, 3)
    colours = {line.get_color() for line in lower_phi.lines}
    assert lower_llama.lines[0].get_color() in colours and colours <= set(COLOURS) and len(colours) == 3
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in lower_phi.lines}) == 3
    assert list(upper_llama.lines[0].get_ydata()) == pytest.approx(curves[0].mean)
    assert list(lower_llama.lines[0].get_ydata()) == pytest.approx(curves[0].deviation)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split()[0] for label in labels] == ["PC_off", "PC_llama", "PC_on"]


def test_nothing_lies_outside(tmp_path):
    for count in (1, 2, 3):
        policies = [f"m{number}/dpo/{source}" for number in range(count) for source in ("off", "llama", "on")]
        figure = draw(read_curves(write_logs(tmp_path, policies)), {})
        figure.canvas.draw()
        legend = figure.legends[0].get_window_extent()
        assert legend.x1 <= figure.bbox.x1 and legend.y0 >= figure.bbox.y0
        for axes in figure.axes:
            low, high = axes.get_ylim()
            assert all(low <= value <= high for line in axes.lines for value in line.get_ydata())


def test_long_runs_are_drawn_thin_under_their_running_mean(tmp_path):
    (curve,) = curves = read_curves(write_logs(tmp_path, ["tiny-phi/dpo/off"], steps=200))
    figure = draw(curves, MODELS)
    thin, bold = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert list(thin.get_ydata()) == pytest.approx(curve.mean) and thin.get_linewidth() < bold.get_linewidth()
    assert (bold.get_xdata()[0], bold.get_ydata()[0]) == pytest.approx((5.5, statistics.fmean(curve.mean[:10])))
    assert "running mean of 10 steps" in figure.get_suptitle()


def test_program(tmp_path, run_script):
    first = ["tiny-llama/dpo/off", "tiny-llama/dpo/on", "tiny-phi/dpo/off"]
    logs = write_logs(tmp_path, first)
    further = write_logs(tmp_path, ["tiny-llama@1/dpo/off"])
    models = [f"{name}={label}" for name, label in MODELS.items()]
    contents = []
    for folder, given in (("one", logs), ("two", logs), ("seeds", [*logs, *further])):
        outputs = {kind: tmp_path / folder / f"f.{kind}" for kind in ("csv", "md", "svg", "png")}
        flags = ["--csv", outputs["csv"], "--svg", outputs["svg"], "--png", outputs["png"]]
        done = run_script("make_intra_diversity", "--models", *models, "--logs", *given, *flags)
        assert done.returncode == 0, done.stderr
        contents.append({kind: path.read_bytes() for kind, path in outputs.items()})
    assert contents[0] == contents[1]
    assert {kind: contents[2][kind] for kind in ("svg", "png")} == {kind: contents[0][kind] for kind in ("svg", "png")}
    assert xml.etree.ElementTree.fromstring(contents[0]["svg"]).tag.endswith("svg")
    rows = [list(csv.DictReader(content["csv"].decode().splitlines())) for content in contents]
    assert [row["policy"] for row in rows[0]] == first
    assert [row["policy"] for row in rows[2]] == [*first, "tiny-llama@1/dpo/off"]
    assert all(math.isfinite(float(row["standard_deviation"])) for row in rows[2])
    done = run_script("make_intra_diversity", "--models", "m", "--logs", "m/dpo/off=gone", *flags)
    assert done.returncode == 2 and "gone does not exist" in done.stderr
