"""Every ledger says what made its output, and of what; outputs themselves hold nothing of that."""

import datetime
import hashlib
import json

import pytest

COMPARISONS = "prompt_id,on_index,off_index,on_policy_preferred\n" + "".join(
    f"p{prompt},{on},{off},{(prompt + on + off) % 2}\n" for prompt in range(20) for on in (1, 2) for off in (1, 2)
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, run_script):
    """The boundary measured twice from the same comparisons."""
    folder = tmp_path_factory.mktemp("provenance")
    (folder / "comparisons.csv").write_text(COMPARISONS)
    for name in ("first", "second"):
        done = run_script(
            "measure_boundary", "--comparisons", folder / "comparisons.csv", "--output", folder / f"{name}.json"
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_the_ledger_names_program_settings_inputs_versions_and_times(measured):
    about = json.loads((measured / "first.ledger.json").read_text())["provenance"]
    comparisons = str(measured / "comparisons.csv")
    assert about["program"] == "measure_boundary.py"
    assert about["arguments"][:2] == ["--comparisons", comparisons]
    assert about["inputs"] == {comparisons: hashlib.sha256(COMPARISONS.encode()).hexdigest()}
    assert about["packages"]["pyarrow"].count(".") >= 1
    started, ended = (datetime.datetime.fromisoformat(about[when]) for when in ("started", "ended"))
    assert started <= ended
    assert about["commit"].partition(",")[0].isalnum() or about["commit"].startswith("unknown: ")
    assert "cores" in about["hardware"]


def test_the_same_input_gives_the_same_bytes(measured):
    for suffix in ("json", "md"):
        assert (measured / f"first.{suffix}").read_bytes() == (measured / f"second.{suffix}").read_bytes()


def test_an_output_that_was_there_before_is_no_input(measured, run_script):
    output = measured / "first.json"
    run_script("measure_boundary", "--comparisons", measured / "comparisons.csv", "--output", output)
    about = json.loads((measured / "first.ledger.json").read_text())["provenance"]
    assert list(about["inputs"]) == [str(measured / "comparisons.csv")]
