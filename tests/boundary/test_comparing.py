"""Votes from responses and a judge, and what the forms of tables come to that users have."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SCRIPTS

from dpo_boundary import (
    BadInput,
    as_arm_comparisons,
    as_comparisons,
    compare,
    decide_race,
    look_again,
    measure_boundary,
)
from dpo_stages.preferences.pairs import Verdicts, vote

QUALITY = {"good": 2.0, "fair": 1.0, "fair!": 1.0, "bad": 0.0}


def judge(prompt, response_1, response_2):
    """The probability that the first is better, by Bradley and Terry."""
    return 1 / (1 + np.exp(QUALITY[response_2] - QUALITY[response_1]))


def first(prompt, response_1, response_2):
    """Likes what stands first."""
    return True


def test_every_response_meets_every_other_one_and_ties_are_halves():
    votes = compare(["a", "b"], [["good", "fair"], ["bad", "bad"]], [["fair!", "bad"], ["fair", "bad"]], judge)
    assert votes["prompt_id"] == ["0"] * 4 + ["1"] * 4
    assert (votes["on_index"], votes["off_index"]) == ([1, 1, 2, 2] * 2, [1, 2] * 4)
    assert votes["on_policy_preferred"] == [1, 1, 0.5, 1, 0, 0.5, 0, 0.5] and not any(votes["order_flip"])
    assert (votes["on_length"][:2], votes["off_length"][:2]) == ([4, 4], [5, 3])
    measured = measure_boundary(votes)
    assert (measured.votes_on, measured.comparisons, measured.prompts, measured.order_flip_rate) == (4.5, 8, 2, 0.0)


def test_two_orders_become_a_vote_as_in_the_workflow():
    draw = np.random.default_rng(0)
    logits = draw.choice([-3.0, -1.0, 0.0, 1.0, 3.0], (300, 2)).astype(
        np.float32
    )  # of the first response in either order
    said = Verdicts(logits)
    answers = [p for own_first, own_second in logits for p in (own_first, -own_second)]
    asked = iter(1 / (1 + np.exp(-np.array(answers, float))))
    votes = compare(["p"] * 300, [f"own {n}" for n in range(300)], ["other"] * 300, lambda *_: next(asked))
    assert votes["on_policy_preferred"] == [vote(logit) for logit in said.logits]
    assert votes["order_flip"] == said.order_flips.tolist()


def test_a_judge_that_likes_what_stands_first_decides_nothing():
    votes = compare(["a"] * 10, ["good"] * 10, ["bad"] * 10, first)
    assert votes["on_policy_preferred"] == [0.5] * 10 and all(votes["order_flip"])
    once = compare(["a"] * 10, ["good"] * 10, ["bad"] * 10, first, orders=1)
    assert once["on_policy_preferred"] == [1, 0] * 5 and "order_flip" not in once
    assert compare(["a", "b"], ["good"] * 2, ["bad"] * 2, judge, orders=1)["on_policy_preferred"] == [1, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_a_judge_of_batches_says_the_same_and_progress_counts_answers(batch_size):
    given = (["a", "b"], [["good", "fair"], ["fair", "fair"]], [["bad"], ["fair"]])
    sizes, seen = [], []

    def judges(prompts, responses_1, responses_2):
        sizes.append(len(prompts))
        return np.array([judge(*question) for question in zip(prompts, responses_1, responses_2, strict=True)])

    votes = compare(*given, judges, batch_size=batch_size, progress=lambda done, of: seen.append((done, of)))
    assert votes == compare(*given, judge)
    assert (
        max(sizes) <= batch_size and sum(sizes) == 4 and seen[-1] == (4, 4)
    )  # equal responses are asked about by nobody


@pytest.mark.parametrize("broken", [OSError("the line is dead"), KeyboardInterrupt()])
def test_what_was_judged_before_a_judge_broke_off_is_kept(broken):
    asked = []

    def fails(*question):
        asked.append(question)
        if len(asked) > 11:
            raise broken
        return judge(*question)

    given = (list("abcd"), [["good", "bad"]] * 3 + [["fair"]], [["fair"]] * 4)
    with pytest.raises(type(broken)) as caught:
        compare(*given, fails, prompt_ids=["w", "x", "y", "z"])
    votes = caught.value.votes
    assert votes["prompt_id"] == ["w", "w", "x", "x"] and votes["on_policy_preferred"] == [1, 0, 1, 0]
    assert measure_boundary(votes, sequential=True).prompts == 2


@pytest.mark.parametrize("said", [2, -1, "1", "the first", None, float("nan"), [0.5, 0.5]], ids=repr)
def test_an_answer_that_is_no_probability_is_refused(said):
    with pytest.raises(BadInput, match="probability that the first response is the better one"):
        compare(["a"], ["x"], ["y"], lambda *_: said)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((["a"], ["x", "y"], ["z"]), {}, "own is 2 elements, and there are 1 prompts"),
        ((["a"], ["x"], "z"), {}, "other is a text, and there are 1 prompts"),
        ((["a", "b"], ["x", []], ["z", "z"]), {}, "own has for prompt 1 what is neither a text nor a list of texts"),
        ((["a"], [[1]], ["z"]), {}, "own has for prompt 0"),
        ((["a"], [{"response": "x"}], ["z"]), {"prompt_ids": ["p", "p"]}, "prompt_ids has a name twice"),
        ((["a", "b"], ["x"], ["z"]), {"prompt_ids": ["p"]}, "there are 2 prompts and 1 prompt_ids"),
        (([], [], []), {}, "give as many, and at least one"),
        ((["a"], ["x"], ["z"]), {"orders": 3}, "orders is 3"),
        ((["a"], ["x"], ["z"]), {"batch_size": 0}, "batch_size is 0"),
        ((["a"], ["x"], ["z"]), {"batch_size": 2}, "the judge gave 1 answers to 2 questions"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(given, options, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        compare(*given, (lambda *_: [0.5]) if "batch_size" in options else judge, **options)


def test_the_readmes_judges_compare_and_the_endpoint_is_asked_in_both_orders(monkeypatch):
    """Every example under the heading runs, the second judge against an endpoint here."""
    asked = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body["messages"][-1]["content"]))
            said = "1" if len(asked) % 2 else "2\n"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": {"content": said}}]}).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("API_KEY", "secret")
    text = (SCRIPTS / "dpo_boundary/README.md").read_text(encoding="utf-8")
    section = text.partition("## From responses to votes")[2].partition("\n## ")[0]
    names = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(code.replace("https://api.example.org", f"http://127.0.0.1:{server.server_port}"), names)
    server.shutdown()
    server.server_close()
    assert names["result"].prompts == len(names["prompts"]) and names["judged"]["on_policy_preferred"] == [1.0] * len(
        names["prompts"]
    )
    assert len(asked) == 2 * len(names["prompts"])
    assert {path for path, *_ in asked} == {"/v1/chat/completions"} and asked[0][1] == "Bearer secret"
    prompt, own, other = names["prompts"][0], names["own"][0], names["other"][0]
    for (_, _, question), (one, two) in zip(asked, ((own, other), (other, own)), strict=False):
        assert prompt in question and question.index(one) < question.index(two)


# The forms of tables

VOTES = {"prompt_id": ["a", "a", "b"], "on_policy_preferred": [True, False, True]}
ROWS = [dict(zip(VOTES, row, strict=True)) for row in zip(*VOTES.values(), strict=True)]
INDEXED = {**VOTES, "on_index": [1, 2, 1], "off_index": [1, 1, 1], "order_flip": [False, True, False]}
FORMS = {
    "columns": VOTES,
    "columns of ranges and generators": {"prompt_id": iter("aab"), "on_policy_preferred": map(bool, (1, 0, 1))},
    "columns of arrays": {name: pa.array(values) for name, values in VOTES.items()},
    "rows": ROWS,
    "a generator of rows": iter(ROWS),
    "a data frame": pd.DataFrame(VOTES),
    "a data frame of pyarrow's types": pd.DataFrame(VOTES).convert_dtypes(dtype_backend="pyarrow"),
    "an Arrow table": pa.table(VOTES),
    "an Arrow table of dictionaries": pa.table(
        {**VOTES, "prompt_id": pa.array(VOTES["prompt_id"]).dictionary_encode()}
    ),
    "a record batch": pa.table(VOTES).to_batches()[0],
    "a structured array": np.array(
        [("a", 1.0), ("a", 0.0), ("b", 1.0)], [("prompt_id", "U1"), ("on_policy_preferred", float)]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_may_have_any_form(form):
    table = list(FORMS[form]) if form == "a generator of rows" else FORMS[form]
    if form.startswith("columns of ranges"):
        table = {"prompt_id": iter("aab"), "on_policy_preferred": map(bool, (1, 0, 1))}
    assert measure_boundary(table) == measure_boundary(VOTES)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "table", "rows"])
def test_a_file_may_be_named(tmp_path, kind):
    path = tmp_path / f"votes.{kind}"
    if kind in ("parquet", "table"):  # the first bytes say what the last is
        pq.write_table(pa.table(INDEXED), path)
    elif kind == "csv":
        pd.DataFrame(INDEXED).to_csv(path, index=False)
    else:
        path.write_text(pd.DataFrame(INDEXED).to_json(orient="records", lines=True))
    for name in (path, str(path)):
        assert measure_boundary(name) == measure_boundary(INDEXED)
        assert look_again(name)[0] == look_again(INDEXED)[0]


@pytest.mark.parametrize(
    "votes",
    [
        [True, False, 1, 0.5],
        np.array([1, 0, 1, 0.5]),
        pd.Series([1, 0, 1, 0.5], index=[7, 7, 8, 9]),
        pa.array([1, 0, 1, 0.5]),
        (vote for vote in (True, False, True, 0.5)),
    ],
    ids=lambda votes: type(votes).__name__,
)
def test_votes_alone_are_each_about_a_prompt_of_its_own(votes):
    made = as_comparisons(votes)
    assert made.prompt_ids == ("0", "1", "2", "3") and made.preferred.tolist() == [1, 0, 1, 0.5]


RACE = {"prompt_id": ["a", "b"], "arm_1": ["off"] * 2, "arm_2": ["on"] * 2, "arm_1_preferred": [1, 0.5]}


@pytest.mark.parametrize(
    "form", [RACE, pd.DataFrame(RACE), pa.table(RACE), pd.DataFrame(RACE).to_dict("records")], ids=type
)
def test_a_race_takes_the_same_forms(form, tmp_path):
    assert decide_race(form).leader == "off"
    path = tmp_path / "look.jsonl"
    path.write_text(pd.DataFrame(RACE).to_json(orient="records", lines=True))
    made = as_arm_comparisons(path, 0.05)
    assert made.share.tolist() == [0.05] * 2 and len(made) == 2
    assert decide_race(str(path), shares=[0.05, 0.1]) == decide_race(RACE, shares=[0.05, 0.1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "the comparisons are no table: they are None; give the name of a file"),
        (3, "they are of the type int"),
        (b"votes", "they are of the type bytes"),
        ([("a", 1)], "a row is of the type tuple"),
        (["votes.csv"], "a row is of the type str"),
        ([True, None], "a row is of the type bool"),
        ([], "there is no comparison at all"),
        ([0.7, 0.2], "on_policy_preferred is 0.7 in 2 of 2 comparisons"),
        (
            {"prompt_id": "a", "on_policy_preferred": 1},
            "the column prompt_id of the comparisons is no list of single values",
        ),
        (
            {"prompt_id": ["a", "b"], "on_policy_preferred": [[1], [0, 1]]},
            "the column on_policy_preferred of the comparisons is",
        ),
        ({"prompt_id": ["a"], "on_policy_preferred": ["won"]}, "holds what is not a number"),
        ("no such file.csv", "no such file.csv does not exist"),
    ],
    ids=str,
)
def test_what_is_no_table_is_one_sentence(given, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        measure_boundary(given)


def test_votes_alone_are_no_race():
    with pytest.raises(BadInput, match="a row is of the type bool; .* with prompt_id and arm_1 and arm_2"):
        decide_race([True, False])


def test_the_program_reads_what_the_library_reads_whatever_its_name(tmp_path, run_here):
    lines = pd.DataFrame(INDEXED).to_json(orient="records", lines=True)
    for name in ("votes.jsonl", "votes", "votes.txt"):
        (tmp_path / name).write_text(lines)
        run_here("measure_boundary", "--comparisons", tmp_path / name, "--output", tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text())["comparisons"] == 3
