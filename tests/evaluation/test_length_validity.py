"""Whether length control is valid: synthetic witnesses, and the program on what judge and witness wrote."""

import json

import numpy as np
import pytest
from fake_judge import quality

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import read_json, write_json
from dpo_stages.evaluation.annotations import write_annotations
from dpo_stages.evaluation.length_validity import LengthValidity, Share, compare_version
from dpo_stages.judges.record import judge_record

JUDGE = judge_record("judge", "judge-v1", "prompt", "served")
WITNESS = judge_record("ranker", "v1", "both orders", "preference-model")


def version(shift=0.0, size=400, sharpness=1.0, flips=0.1, margin=5, likes_length=0.8, witness=True):
    """A version whose content is better by `shift` in logits, by a judge that likes its length as well."""
    draw = np.random.default_rng(0)
    quality = draw.normal(0, 1, size)
    quality += shift - quality.mean()
    probability = 1 / (1 + np.exp(-sharpness * quality)) if witness else None
    judge = 1 / (1 + np.exp(-(quality + likes_length)))
    reference = draw.integers(50, 100, size).astype(float)
    return compare_version(judge, 1.6 * reference, reference, probability, flips if witness else None, margin)


def validity(verbose, concise):
    return LengthValidity(verbose, concise, 5.0, "the judge", "ranker")


def test_equal_references_whose_length_the_judge_likes_are_valid():
    found = validity(version(), version(likes_length=-0.8))
    assert found.valid is True and found.verbose.verdict == "equal"
    assert found.verbose.judge.low > 55 and found.concise.judge.high < 45  # what length control takes out
    text = found.sentence()
    assert text.startswith("Length control is valid here: against the reference the verbose one wins 50.")
    assert "both shown to be within 5 points of 50" in text and "1.6 times as long, wins 6" in text


@pytest.mark.parametrize("gamed", ["verbose", "concise"])
def test_one_that_is_longer_for_its_content_is_not(gamed):
    versions = {"verbose": version(), "concise": version(), gamed: version(shift=0.7)}
    found = validity(**versions)
    assert found.valid is False and getattr(found, gamed).verdict == "differs"
    assert f"The {gamed} one differs in quality, by more than 5 points, and" in found.sentence()
    assert found.sentence().startswith("Length control is not valid here") and "raw win rates" in found.sentence()


def test_few_instructions_do_not_show_that_they_are_equal():
    found = validity(version(size=30), version(size=30))
    assert found.valid is False and found.verbose.verdict == "not shown"
    assert "is not shown with 30 instructions" in found.sentence()
    assert found.sentence().startswith("Length control is not shown to be valid here")


def test_a_small_difference_that_is_certain_is_within_the_margin():
    shifted = version(shift=0.1, size=20000)
    assert shifted.witness.low > 50 and shifted.witness.estimate < 53 and shifted.verdict == "equal"
    assert version(shift=0.1, size=20000, margin=2).verdict == "differs"
    assert version(shift=0.1, size=100, margin=2).verdict == "not shown"  # an equal one is not ruled out either


def test_a_witness_that_is_never_sure_is_asked_for_its_votes():
    blunt = version(shift=0.7, sharpness=0.05)
    assert 50 < blunt.witness.estimate < 52 and blunt.witness_votes.estimate > 70
    assert blunt.verdict == "differs" and "vote by vote 7" in validity(blunt, version()).sentence()


def test_a_witness_that_goes_by_the_order_cannot_tell_and_one_that_sees_nothing_is_named():
    assert version(flips=0.6).verdict == "cannot tell"
    half = np.full(50, 0.5)
    ties = compare_version(half, half, half, half, 0.0, 5)
    assert (ties.ties, ties.verdict) == (50, "equal")
    assert "60% of its preferences hang on the order" in validity(version(flips=0.6), ties).sentence()
    assert "no difference at all in 50 of the verbose ones" in validity(ties, ties).sentence()


def test_without_a_witness_nothing_is_tested():
    found = validity(version(witness=False), version(witness=False))
    assert found.valid is None and found.record()["verbose"]["witness"] is None
    assert "is not tested: ranker is itself the judge" in found.sentence()
    assert "evaluation.length_witness" in found.sentence() and "By the judge the verbose one" in found.sentence()


def test_the_interval_holds_the_truth_in_nine_of_ten_studies():
    draw = np.random.default_rng(1)
    shares = [Share.of(draw.beta(2, 3, 40)) for _ in range(2000)]
    assert np.mean([share.low <= 40 <= share.high for share in shares]) == pytest.approx(0.9, abs=0.02)


def test_rows_without_a_preference_of_the_judge_count_for_it_alone():
    judge = np.array([np.nan, 0.8, 0.6, 0.7])
    lengths, witness = np.array([10.0, 20, 30, 40]), np.array([0.5, 0.6, 0.4, 0.7])
    found = compare_version(judge, lengths, lengths / 2, witness, 0.0, 5)
    assert found.judge.estimate == pytest.approx(70) and found.witness.estimate == pytest.approx(55)
    assert (found.instructions, found.average_length, found.reference_length, found.ties) == (4, 25, 12.5, 1)


@pytest.fixture
def written(tmp_path):
    """Files of judge and witness, of a concise version that is worse, and the program's arguments."""
    draw = np.random.default_rng(2)
    files = []
    for record, folder in ((JUDGE, "judge"), (WITNESS, "witness")):
        for name, centre in (("verbose", 1.5), ("concise", 1.2)):
            path = tmp_path / folder / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            rows = [
                {"index": n, "prompt_id": str(n), "instruction": f"q {n}", "output_1": "x" * 20, "output_2": name * (n + 1),
                 "generator_1": "reference", "generator_2": name}
                for n in range(300)
            ]  # fmt: skip
            preferences = [*np.clip(draw.normal(centre, 0.1, 300), 1, 2)]
            write_annotations(path, rows, [None, *preferences[1:]] if record is JUDGE else preferences, record)
            write_json(path.with_name(f"{name}.ledger.json"), {"order_flip_rate": 0.25})
            files.append(path)
    arguments = ["--witness", "ranker", "--margin", 5, "--output", tmp_path / "length_control.json"]
    return files, arguments


def test_the_program_reads_what_judge_and_witness_wrote(written, tmp_path, run_here):
    (*judged, verbose, concise), arguments = written
    run_here("check_length_control", "--judged", *judged, "--witnessed", verbose, concise, *arguments)
    record = read_json(tmp_path / "length_control.json")
    assert (record["valid"], record["margin"], record["confidence"], record["witness"]) == (False, 5, 0.9, "ranker")
    assert (record["verbose"]["verdict"], record["concise"]["verdict"]) == ("equal", "differs")
    assert record["concise"]["witness"]["estimate"] == pytest.approx(20, abs=2)
    assert record["verbose"]["order_flips"] == 0.25 and record["judge"].startswith("judge (version judge-v1")
    ledger = read_json(tmp_path / "length_control.ledger.json")
    assert ledger["dropped"] == {"refused by the judge": 2} and ledger["valid"] is False
    run_here("check_length_control", "--judged", *judged, *arguments)
    assert read_json(tmp_path / "length_control.json")["valid"] is None


def test_what_does_not_belong_together_is_refused(written, run_here):
    (*judged, verbose, concise), arguments = written
    with pytest.raises(BadInput, match="not about the same texts"):
        run_here("check_length_control", "--judged", *judged, "--witnessed", concise, verbose, *arguments)
    with pytest.raises(BadInput, match="give points between 0 and 50"):
        run_here("check_length_control", "--judged", *judged, *arguments, "--margin", 50)
    with pytest.raises(BadInput, match="judged by two judges"):
        run_here("check_length_control", "--judged", judged[0], concise, *arguments)
    rows = json.loads(judged[0].read_text())
    judged[0].write_text(json.dumps([{**row, "preference": None} for row in rows]))
    with pytest.raises(BadInput, match="fewer than two judged rows"):
        run_here("check_length_control", "--judged", *judged, *arguments)


def test_a_judge_behind_an_endpoint_may_be_the_witness(make_evaluation, fake_judge, tmp_path, run_here):
    """As the rule asks it, in the environment of judges: both orders, and the ledger that the check reads."""
    outputs, instructions, rows = make_evaluation(12)
    manifest, witnessed = tmp_path / "models/fake/manifest.json", tmp_path / "witnesses/fake.json"
    run_here("describe_judge", "--model", "fake", "--base-url", fake_judge.url, "--output", manifest)
    files = [
        "--outputs",
        outputs,
        "--instructions",
        instructions,
        "--preference-model",
        manifest,
        "--output",
        witnessed,
    ]
    run_here("judge_with_preference_model", *files, "--cache", tmp_path / "cache")
    preferences = [row["preference"] for row in read_json(witnessed)]
    expected = [quality(row["output"]) - quality(row["reference"]) for row in rows]  # the fake judge's logit
    assert preferences == pytest.approx([1 + 1 / (1 + np.exp(-logit)) for logit in expected], abs=1e-4)
    assert len(fake_judge.bodies) == 2 * 11  # one row is a tie without a request
    assert read_json(witnessed.with_name("fake.ledger.json"))["order_flip_rate"] == 0


@pytest.mark.parametrize(("instructions", "verdict"), [(3, "not shown"), (20, "not shown"), (50, "equal")])
def test_ties_of_a_few_instructions_show_nothing(instructions, verdict):
    half = np.full(instructions, 0.5)
    found = compare_version(half, half, half, half, 0.0, 5)
    assert found.verdict == verdict and validity(found, found).valid is (verdict == "equal")
    all_won = Share.of(np.ones(instructions))
    assert all_won.high == 100 and all_won.low < 100
