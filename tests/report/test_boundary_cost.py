"""The cost of the boundary measurement against an epoch of training (Appendix B.1)."""

import csv
import json

import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import CANDIDATES, PREFERENCES
from dpo_stages.report.tables.boundary_cost import (
    Cost,
    Gpus,
    seconds_of,
    seconds_of_models,
    table,
)

CPU, PAPER = Gpus(0, 0, 0), Gpus(1, 1, 4)


def of_the_paper(gpus, epochs=1.0):
    return Cost("zephyr-7b", "Zephyr-7B", 2000, 61135, 120.0, 40.0, 5000.0 * epochs, epochs, gpus)


def test_ratios():
    one = of_the_paper(CPU)
    assert (one.boundary_seconds, one.ratio, one.gpu_ratio) == (160.0, 0.032, None)
    assert one.prompt_ratio == pytest.approx(0.0327, abs=1e-4)  # the paper's 3.2 % of an epoch
    assert of_the_paper(PAPER).gpu_ratio == pytest.approx(160 / 20_000)
    assert of_the_paper(Gpus(2, 1, 4)).gpu_ratio == pytest.approx((2 * 120 + 40) / 20_000)
    assert of_the_paper(PAPER, epochs=3.0).ratio == pytest.approx(0.032)
    assert of_the_paper(PAPER, epochs=3.0).gpu_ratio == pytest.approx(160 / 20_000)


def test_tables_have_the_same_figures():
    costs = [of_the_paper(PAPER)]
    made = table(costs, "test", "DPO")
    text = made.markdown()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert dict(zip(rows[0], rows[2], strict=True)) == {
        "Model": "Zephyr-7B", "Sampling": "120.0 s", "Comparing": "40.0 s", "Boundary": "160.0 s", "Epoch": "5,000.0 s",
        "Boundary / epoch": "3.2%", "GPU time": "0.8%", "Prompts / pairs": "3.3%",
    }  # fmt: skip
    assert "1 GPUs for sampling" in text and "2,000 prompts (test)" in text
    assert "GPU time" not in table([of_the_paper(CPU)], "test", "DPO").markdown()
    (line,) = csv.DictReader(made.csv().splitlines())
    assert (line["ratio"], line["gpu_ratio"], line["training_seconds"]) == ("0.032", "0.008", "5000.0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; Snakemake writes it when it runs the job: run that rule again"),
        ("{}\n", "has no seconds 's'"),
        ('{"s": "NA"}\n', "has no seconds 's'"),
        ("\n", "has no seconds 's'"),
        ('{"s": "0.0"}\n', "took 0.0 seconds"),
        ('{"s": "nan"}\n', "took nan seconds"),
    ],
)
def test_what_is_no_benchmark_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "b.jsonl").write_text(content)
    with pytest.raises(BadInput, match=message):
        seconds_of(tmp_path / "b.jsonl")


def test_the_jobs_that_share_a_stage_are_added(tmp_path):
    paths = [tmp_path / f"{number}.jsonl" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_text(json.dumps({"s": f"{10**number}.0"}) + "\n")
    assert seconds_of_models(paths, 2, "--sampling") == [11.0, 1100.0]
    assert seconds_of_models(paths, 4, "--sampling") == [1.0, 10.0, 100.0, 1000.0]
    for models in (3, 5):
        with pytest.raises(BadInput, match=f"--sampling has 4 files for {models} models"):
            seconds_of_models(paths, models, "--sampling")


@pytest.fixture
def arguments(tmp_path):
    """Arguments of the program for two models, with 3 prompts and 6 pairs."""
    prompt = [{"role": "user", "content": "Is it?"}]
    sampled = [{"prompt_id": f"p{n}", "prompt": prompt, "response_1": "Yes.", "response_2": "No."} for n in range(3)]
    pair = {"prompt": prompt, "chosen": "Yes.", "rejected": "No.", "logit": 1.0, "chosen_first": True}
    pairs = [{"prompt_id": f"p{n}", **pair, "order_flip": False, "original_agrees": None} for n in range(6)]
    write_table(tmp_path / "candidates.parquet", sampled, CANDIDATES)
    write_table(tmp_path / "preferences.parquet", pairs, PREFERENCES)
    for name, seconds in {"sampling": (2, 4), "comparing": (1, 2), "training": (30, 20)}.items():
        for number, value in enumerate(seconds):
            (tmp_path / f"{name}{number}.jsonl").write_text(json.dumps({"s": f"{value}.5", "h:m:s": "0:00:02"}) + "\n")
    both = {
        f"--{name}": [tmp_path / f"{name}0.jsonl", tmp_path / f"{name}1.jsonl"]
        for name in ("sampling", "comparing", "training")
    }
    both["--candidates"] = [tmp_path / "candidates.parquet"] * 2
    files = [part for name, paths in both.items() for part in (name, *paths)]
    return [
        "--models", "a=Model A", "b=Model B", *files, "--preferences", tmp_path / "preferences.parquet",
        "--gpus", "0", "0", "0", "--epochs", "1", "--split", "test", "--method", "DPO",
        "--csv", tmp_path / "out/c.csv",
    ]  # fmt: skip


def test_program(tmp_path, run_script, arguments):
    done = run_script("make_boundary_cost", *arguments)
    assert done.returncode == 0, done.stderr
    assert "2 rows in, 2 rows out, dropped: none, share of an epoch 13.1% to 34.1%" in done.stderr
    first, second = csv.DictReader((tmp_path / "out/c.csv").read_text().splitlines())
    assert (first["model_label"], first["prompts"], first["pairs"], first["boundary_seconds"]) == (
        "Model A",
        "3",
        "6",
        "4.0",
    )
    assert (second["sampling_seconds"], second["comparing_seconds"], second["training_seconds"]) == (
        "4.5",
        "2.5",
        "20.5",
    )
    assert "| Model B | 4.5 s" in (tmp_path / "out/c.md").read_text()


def test_program_names_the_missing_file_and_writes_nothing(tmp_path, run_script, arguments):
    (tmp_path / "training1.jsonl").unlink()
    done = run_script("make_boundary_cost", *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "training1.jsonl does not exist; Snakemake writes it" in done.stderr
    done = run_script("make_boundary_cost", *[part for part in arguments if part != tmp_path / "sampling1.jsonl"])
    assert done.returncode == 2 and "--sampling has 1 files for 2 models" in done.stderr
    assert not (tmp_path / "out").exists()
