"""The map of studies/map: a miniature of it end to end, with a kill in between, and its analysis on cells with known answers."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest

from dpo_stages.core.files import read_json

MINIATURE = """
worlds: [0, 1]
runs: 2
teachers: {master: {accuracy: 0.95, statements: 4, slips: 0.01}}
strengths: {master: {data: master, epochs: 1}}
base_learning_rate: 6.0e-3
labels: {exact: exact, random: coin}
off_policy:
  weak: [{accuracy: 0.3, statements: 3, slips: 0.2}, {accuracy: 0.5, statements: 3, slips: 0.1}]
  demo: demo
sampling: {paper: {temperature: 0.7, top_p: 0.9, top_k: 50}}
max_new_tokens: 12
dpo: {beta: 0.1, learning_rate: 3.0e-4, batch_size: 8, warmup_ratio: 0.1}
race: {orders: 2, shares: [0.2, 0.5], learning_rate: 3.0e-4, warmup_steps: 2, batch_size: 4}
audit_pairs: 10
"""


pytestmark = pytest.mark.usefixtures("programs_of_the_map")


@pytest.fixture(scope="module")
def demo(tmp_path_factory, run_here):
    """A folder of demo results with one small world, and the miniature's settings."""
    folder = tmp_path_factory.mktemp("map")
    sizes = {"train": 20, "test": 6, "evaluation": 6, "ranker": 1}
    flags = [f"--{name}-prompts={size}" for name, size in sizes.items()]
    flags += ["--chat-conversations=40", "--ranker-train-pairs=1", "--ranker-heldout-pairs=1"]
    run_here("make_demo_world", "--seed=0", *flags, "--output-folder", folder / "0/demo/world")
    (folder / "config.yaml").write_text(MINIATURE, encoding="utf-8")
    return folder


def command(root, demo, *more):
    program = [root / "envs/run", "pairrm", root / "studies/map/run.py"]
    flags = ["--config", demo / "config.yaml", "--demo-results", f"{demo}/{{world}}", "--output", demo / "made"]
    return [str(word) for word in (*program, *flags, *more)]


def test_a_killed_run_goes_on_and_its_groups_become_cells(root, demo):
    groups = demo / "made/groups"
    process = subprocess.Popen(command(root, demo, "--worlds", "0"), cwd=root, start_new_session=True)
    deadline = time.monotonic() + 300
    while not (groups / "0-master-exact").is_dir() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = groups / "0-master-exact/race.parquet"
    made = first.stat().st_mtime_ns
    assert not (groups / "0-master-random").exists()

    subprocess.run(command(root, demo, "--worlds", "0"), cwd=root, check=True, timeout=300)
    assert first.stat().st_mtime_ns == made
    ledger = read_json(demo / "made/groups.ledger.json")
    assert (ledger["rows_in"], ledger["rows_out"]) == (2, 2)

    from cells import read_cells, read_groups, write_cells

    cells = read_groups(groups)
    assert [(cell["labels"], cell["off"], cell["on"]) for cell in cells] == [
        (labels, off, "paper") for labels in ("exact", "random") for off in ("weak", "demo")
    ]
    for cell in cells:
        assert cell["judge"] == pytest.approx(cell["judge_off"] - cell["judge_on"], abs=1e-4)
        assert cell["judge_low"] < cell["judge"] < cell["judge_high"]
        assert {name for name in cell if name.startswith("race")} == {
            f"race_{who}_{share}" for who in ("labeller", "judge") for share in (0.2, 0.5)
        }
    exact = cells[1]
    assert exact["agreements_off"] >= 9 and exact["audited_off"] == 10  # the judge has a liking for length besides
    write_cells(cells, demo / "cells.csv")
    assert [list(cell) for cell in read_cells(demo / "cells.csv")] == [list(cell) for cell in cells]


def test_other_settings_do_not_mix_with_the_groups_that_are_there(root, demo):
    other = demo / "config.yaml"
    other.write_text(MINIATURE.replace("runs: 2", "runs: 3"), encoding="utf-8")
    (demo / "made").mkdir(exist_ok=True)
    (demo / "made/settings.json").write_text('{"runs": 2}', encoding="utf-8")
    found = subprocess.run(command(root, demo), cwd=root, capture_output=True, text=True)
    assert found.returncode == 2
    assert "settings.json has other settings" in found.stderr


def made_up(differences, boundary, race, agreements=(190, 190)):
    """Cells of two worlds and two strengths; arrays of eight, two cells a cluster."""
    from cells import AGAINST, PANEL

    cells = []
    for number, difference in enumerate(differences):
        cell = {"world": number // 4, "strength": ("poor", "master")[number // 2 % 2], "labels": "exact"}
        cell |= {"off": "demo", "on": "paper", "own": (0.1, 0.5)[number // 2 % 2], "boundary_score": boundary[number]}
        for who in ("judge", "witness"):
            cell |= {who: difference, f"{who}_low": difference - 1, f"{who}_high": difference + 1}
        for side, count in zip(("off", "on"), agreements, strict=True):
            cell |= {f"audited_{side}": 200, f"agreements_{side}": count}
        cell |= dict.fromkeys(AGAINST, 0.5) | dict.fromkeys(PANEL, 0.0) | {"margin": -difference}
        cells.append(cell | {"race_judge_0.1": race[number]})
    return cells


def test_scores_of_picks_with_a_known_answer():
    from predictors import NAMES, score

    differences = [4.0, 2.0, -2.0, -0.5] * 2  # poor gains off-policy, master on-policy; the last is not separated
    scores = score(made_up(differences, [0.8] * 8, [0.9, 0.4, 0.1, 0.5] * 2), "judge")

    off = scores["always off"]
    assert (off.regret[0], off.signed[0], off.right[0], off.separated) == (0.625, 0.875, pytest.approx(4 / 6), 6)
    on = scores["always on"]
    assert (on.regret[0], on.signed[0], on.right[0]) == (1.5, -0.875, pytest.approx(2 / 6))
    assert scores["boundary score"] == on  # 0.8 everywhere
    perfect = scores["strength threshold"]
    assert perfect.regret == (0, 0, 0) and perfect.right == (1, 1, 1) and perfect.of_boundary == (0, 0, 0)
    assert scores[NAMES["margin"]].regret[0] == 0  # with the sign that the other world teaches
    race = scores["race, 10% of an epoch, by the judge"]
    assert race.regret[0] == pytest.approx((2.0 + 0.25) / 4)  # wrong at 2.0, half of either at -0.5
    assert race.right[0] == pytest.approx(4 / 6)
    assert off.regret[1] == 0 and off.regret[2] == 1.25  # resamples that have one strength alone
    only = score(made_up(differences, [0.8] * 8, [0.9] * 8), "judge", lambda cell: cell["strength"] == "poor")
    assert only["always on"].regret[0] == 3.0 and only["always off"].separated == 4


def test_the_audit_takes_the_source_whose_labels_are_trusted():
    from predictors import all_picks, wilson_low

    differences = [1.0, -1.0] * 4
    for agreements, expected in (((190, 190), 0.0), ((190, 104), 1.0), ((104, 190), 0.0), ((100, 100), 0.5)):
        cells = made_up(differences, [0.8] * 8, [0.5] * 8, agreements)
        picks = all_picks(cells, np.array(differences))["boundary score with audit"]
        assert picks.tolist() == [expected] * 8
    assert wilson_low(np.array([104.0]), np.array([200.0]))[0] == pytest.approx(0.4511, abs=1e-4)


def test_tables_and_figure_are_made_of_the_csv_alone(tmp_path, root):
    from cells import write_cells

    write_cells(made_up([4.0, 2.0, -2.0, -0.5] * 2, [0.8] * 8, [0.9] * 8), tmp_path / "cells.csv")
    program = [root / "envs/run", "workflow", root / "studies/map/analyse.py", "--folder", tmp_path]
    subprocess.run([str(word) for word in program], cwd=root, check=True)
    tables = (tmp_path / "predictors.md").read_text(encoding="utf-8")
    assert "| always off |  | 0.62 (0.00 to 1.25) |" in tables
    assert "| all | 8 | 6 | 4 of 6 | +0.88 |" in tables
    assert "labels: exact" in (tmp_path / "map.svg").read_text(encoding="utf-8")  # a comment beside the letters' paths
