"""The figure of boundary scores against gains."""

import math
import xml.etree.ElementTree
from dataclasses import replace

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.report.decisions import read_decisions
from dpo_stages.report.figures.boundary import draw
from dpo_stages.report.paper import paper_decisions
from dpo_stages.report.policy_rows import Row, read_rows
from dpo_stages.report.table import Table, with_iterations
from dpo_stages.report.yardsticks import LC_WIN_RATE
from dpo_stages.study.policies import Policy

LABELS = {"tiny-llama": "Tiny Llama", "tiny-phi": "Tiny Phi"}
ARMS = {  # initial policy: boundary score and gains of both arms
    "tiny-llama/sft": (0.62, 3.0, 9.0),
    "tiny-llama/dpo/on": (0.55, 4.0, 1.0),
    "tiny-phi/sft": (0.25, 0.5, -1.0),
}


def write_table(path, method="dpo", judge="j", arms=ARMS, with_intervals=True, **columns):
    names = {"model": "tiny-llama", "method": method, "method_label": method.upper(), "judge": judge, "seed": 0}
    names |= {"judge_version": "1", "judge_prompt": "p", "judge_endpoint": "served", "instructions": 9}
    measured = {"lc_win_rate": 50.0, "win_rate": 50.0, "average_length": 9.0}
    sft = {"policy": "tiny-llama/sft", "resolved_policy": "tiny-llama/sft", "model_label": "Tiny Llama", "history": ()}
    rows = [Row(**names, **measured, **sft)]
    for initial, (score, off, on) in arms.items():
        intervals = {
            "boundary_low": score - 0.03, "boundary_high": score + 0.03,
            "difference_low": off - on - 1, "difference_high": off - on + 1,
        }  # fmt: skip
        for source, gain in (("off", off), ("on", on)):
            policy = Policy.parse(initial).then(method, source)
            of_gain = {"gain_low": gain - 2, "gain_high": gain + 2}
            rows.append(
                Row(
                    **names | {"model": policy.model},
                    **measured,
                    **intervals | of_gain if with_intervals else {},
                    model_label=LABELS[policy.model],
                    history=policy.history,
                    policy=str(policy),
                    resolved_policy=str(policy),
                    initial_policy=initial,
                    gain=gain,
                    **columns,
                    boundary_score=score,
                    recommended_source="off" if score < 0.5 else "on",
                )
            )
    path.write_text(Table(with_iterations(rows)).csv())
    return path


def paper():
    return [decision for number in (3, 4, 5) for decision in paper_decisions(number)]


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = read_rows(write_table(tmp_path / "t.csv"))
    assert [type(rows[1].seed), rows[0].history, rows[0].gain, rows[0].runs_gain_low] == [int, (), None, None]
    again = [replace(row, runs=2, runs_gain_low=-1.5, delta=math.inf, truncated=3, lc_valid=False) for row in rows]
    (tmp_path / "again.csv").write_text(Table(with_iterations(again)).csv())
    assert read_rows(tmp_path / "again.csv") == again
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace(",dpo,DPO,0,", ",dpo,DPO,some,"))
    with pytest.raises(BadInput, match="the row of tiny-llama/sft: .*'some'; make the table again"):
        read_rows(tmp_path / "t.csv")


def test_points_are_the_initial_policies_with_both_arms(tmp_path):
    points = {point.initial_policy: point for point in read_decisions([write_table(tmp_path / "t.csv")])}
    assert points.keys() == ARMS.keys()
    point = points["tiny-llama/dpo/on"]
    assert (point.compared(LC_WIN_RATE), point.boundary_score) == (3.0, 0.55)
    assert point.right(LC_WIN_RATE) is False and points["tiny-llama/sft"].right(LC_WIN_RATE) is True
    assert point.off.interval("boundary") == pytest.approx((0.52, 0.58)) and point.interval(LC_WIN_RATE) == (2.0, 4.0)


def test_a_table_given_twice_adds_nothing_and_another_method_adds_its_points(tmp_path):
    one, other = write_table(tmp_path / "1.csv"), write_table(tmp_path / "2.csv", method="slic")
    assert read_decisions([one, one]) == read_decisions([one])
    assert len(read_decisions([one, other])) == 6


def test_what_cannot_be_drawn_is_refused(tmp_path):
    one = write_table(tmp_path / "1.csv")
    with pytest.raises(BadInput, match="different judges"):
        read_decisions([one, write_table(tmp_path / "2.csv", judge="another")])
    with pytest.raises(BadInput, match="no initial policy has"):
        read_decisions([write_table(tmp_path / "3.csv", arms={})])
    (tmp_path / "4.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="lacks the column policy"):
        read_decisions([tmp_path / "4.csv"])


@pytest.mark.parametrize("with_paper", [False, True])
def test_every_point_lies_inside_the_axes_at_its_place(tmp_path, with_paper):
    points = read_decisions([write_table(tmp_path / "t.csv")])
    figure = draw(points, paper() if with_paper else [])
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    drawn = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    assert {(point.boundary_score, point.compared(LC_WIN_RATE)) for point in points} <= drawn
    assert len(drawn) == (
        3 if not with_paper else 3 + len({(point.boundary_score, point.compared(LC_WIN_RATE)) for point in paper()})
    )
    assert all(left <= x <= right and low <= y <= high for x, y in drawn)
    assert left < 0.5 < right and low == -high
    assert [text.get_text() for text in axes.texts[2:]] == ["SFT", "on", "SFT"]
    assert axes.get_title(loc="left") == "LC Win Rate\nrecommended arm ahead for 2 of 3"
    shown = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert set(LABELS.values()) <= set(shown) and ("SLiC-HF" in shown) == with_paper


def test_each_yardstick_has_a_panel_and_all_share_the_scores(tmp_path):
    table = write_table(
        tmp_path / "t.csv", verdict=31.0, verdict_low=25.0, verdict_high=37.0, win_rate_gain=2.0, lc_valid=False
    )
    points = read_decisions([table])
    panels = draw(points).axes
    titles = [axes.get_title(loc="left").splitlines()[0] for axes in panels]
    assert titles == ["Preference model", "Win Rate", "LC Win Rate (not valid)"]
    assert len({axes.get_xlim() for axes in panels}) == 1
    low, high = panels[0].get_ylim()
    assert (low + high) / 2 == 50 and low < 25 and high > 37
    heights = {line.get_ydata()[0] for line in panels[0].lines if len(line.get_xdata()) == 1}
    assert heights == {31.0}


def test_an_undecided_point_says_so_in_every_panel(tmp_path):
    table = write_table(tmp_path / "t.csv", boundary_verdict="undecided", verdict=31.0)
    for axes in draw(read_decisions([table])).axes:
        assert [text.get_text() for text in axes.texts[2:]] == ["SFT (undecided)", "on (undecided)", "SFT (undecided)"]


def test_names_do_not_cover_each_other(tmp_path):
    crowd = {f"tiny-llama/dpo/{'-'.join(['on'] * (n + 1))}": (0.6 + n * 0.002, 3.0 + n * 0.1, 1.0) for n in range(3)}
    figure = draw(read_decisions([write_table(tmp_path / "t.csv", arms=crowd)]))
    figure.canvas.draw()
    names = [text for text in figure.axes[0].texts if text.get_text().startswith("on")]
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[n + 1 :])


def test_names_stay_inside_the_axes(tmp_path):
    edge = {
        f"tiny-llama/dpo/{'-'.join(['on'] * (n + 6))}": (0.5 + side * 0.3, 3.0, 1.0) for n, side in enumerate((-1, 1))
    }
    figure = draw(read_decisions([write_table(tmp_path / "t.csv", arms=edge)]))
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("on")]
    assert len(boxes) == 2 and all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)


def test_program_writes_both_files_with_the_same_bytes_each_time(tmp_path, run_script):
    table = write_table(tmp_path / "t.csv", with_intervals=False)
    contents = []
    for folder in ("one", "two"):
        svg, png = tmp_path / folder / "f.svg", tmp_path / folder / "f.png"
        done = run_script("plot_boundary", "--tables", table, "--svg", svg, "--png", png)
        assert done.returncode == 0, done.stderr
        contents.append((svg.read_bytes(), png.read_bytes()))
    assert contents[0] == contents[1]
    assert xml.etree.ElementTree.fromstring(contents[0][0]).tag.endswith("svg")
    assert contents[0][1].startswith(b"\x89PNG")


def test_program_refuses_a_missing_table(tmp_path, run_script):
    out = tmp_path / "f.svg", tmp_path / "f.png"
    done = run_script("plot_boundary", "--tables", tmp_path / "t.csv", "--svg", out[0], "--png", out[1])
    assert done.returncode == 2 and "t.csv does not exist" in done.stderr
    assert not any(path.exists() for path in out)
