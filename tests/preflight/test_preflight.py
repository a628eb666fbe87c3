"""What would stop a run later is found before its first job, all of it in one list."""

import json
import re
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import ROOT
from studies import make_study

from dpo_stages.core.parquet import write_table
from dpo_stages.data.schemas import OFF_POLICY_CANDIDATES
from dpo_stages.preflight import check, judges, machine, models
from dpo_stages.preflight.data import Data, fitting_batch, why_no_steps
from dpo_stages.preflight.describe import Description
from dpo_stages.preflight.jobs import Jobs

OWN = """
accelerator: cpu
boundary: {split: train}
models: {mine: {path: ./model, parameters: 1.0e+6}}
preference_data: pairs.jsonl
evaluation: {instructions: tasks.jsonl, fit_difficulty_over: table1}
"""
JOBS = {
    "prepare_dataset": [{"dataset": "pairs", "split": "train"}, {"dataset": "tasks", "split": "evaluation"}],
    "train_policy": [{"model": "mine", "method": "dpo", "history": "off"}],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("pairs.jsonl", [{"prompt": f"question {n}", "chosen": "yes", "rejected": "no"} for n in range(40)])
    write("tasks.jsonl", [{"instruction": f"task {n}", "output": "yes"} for n in range(10)])
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"max_position_embeddings": 8192}')
    (tmp_path / "model/model.safetensors").touch()
    (tmp_path / "model/tokenizer.json").touch()
    (tmp_path / "model/chat_template.jinja").write_text("{{ messages }}")


def write(name, rows):
    with open(name, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def weights(folder, *layers):
    """Weights of nothing but these projections."""
    names = [f"model.layers.0.self_attn.{layer}_proj.weight" for layer in layers]
    header = json.dumps({name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} for name in names}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def study(**changes):
    sets = {
        "tasks": {
            "kind": "instructions",
            "adapter": "local",
            "splits": dict.fromkeys(("evaluation", "verbose", "concise"), "tasks.jsonl"),
        }
    }
    return make_study(OWN, {"datasets": sets, "evaluation": {"instructions": "tasks"}, **changes})


def test_nothing_stops_what_can_run():
    of = study(methods={"dpo": {"batch_size": 8}})
    assert check.reasons_not_to_start(Data(of, Jobs({**JOBS, "fetch_model": [{"base": "mine"}]}))) == []


def test_every_file_is_read_as_the_workflow_will_read_it():
    write("pairs.jsonl", [{"query": "x", "chosen": "yes", "rejected": "no"}])
    write("tasks.jsonl", [{"instruction": "x"}])
    reasons = Data(study(), Jobs(JOBS)).reasons
    assert len(reasons) == 2
    assert "pairs.jsonl, record 1" in reasons[0] and "prompt" in reasons[0]
    assert "tasks.jsonl, record 1" in reasons[1] and "output" in reasons[1]


def test_columns_of_other_names_and_labels_that_are_not_there():
    write("pairs.jsonl", [{"question": f"question {n}", "answers": ["yes", "no"]} for n in range(40)])
    assert not Data(study(), Jobs(JOBS)).reasons  # in a form that is known
    own = study(labels="dataset", methods={"dpo": {"batch_size": 8}})
    (reason,) = check.reasons_not_to_start(Data(own, Jobs(JOBS)))
    assert reason.startswith("pairs.jsonl has no pair with a label of its own, which `labels: dataset` asks for")
    write("pairs.jsonl", [{"x": f"question {n}", "chosen": "yes", "rejected": "no"} for n in range(40)])
    splits = dict.fromkeys(("train", "test"), "pairs.jsonl")
    renamed = {"kind": "preferences", "adapter": "local", "splits": splits, "columns": {"prompt": "x"}}
    tasks = {
        "kind": "instructions",
        "adapter": "local",
        "splits": dict.fromkeys(("evaluation", "verbose", "concise"), "tasks.jsonl"),
    }
    data = Data(study(preference_data="pairs", datasets={"pairs": renamed, "tasks": tasks}), Jobs(JOBS))
    assert not data.reasons and len(data.of("pairs", "train")) == 40


def test_prompts_that_training_shares_with_the_evaluation_are_counted():
    write(
        "tasks.jsonl",
        [{"instruction": f"Question  {n}", "output": "yes"} for n in range(2)] + [{"instruction": "z", "output": "y"}],
    )
    (reason,) = Data(study(), Jobs(JOBS)).shared_prompts()
    assert "2 of the 3 prompts of tasks.jsonl are also in pairs.jsonl" in reason
    assert not [*Data(study(shared_prompts=0.7), Jobs(JOBS)).shared_prompts()]


def test_prompts_of_data_that_an_earlier_run_prepared_count_as_well():
    prepared = Data(study(), Jobs(JOBS)).rows["pairs", "train"]
    write_table("results/datasets/pairs/train.parquet", prepared, OFF_POLICY_CANDIDATES)
    write("tasks.jsonl", [{"instruction": "question 3", "output": "yes"}])
    tasks = Jobs({"prepare_dataset": [{"dataset": "tasks", "split": "evaluation"}]})
    (reason,) = Data(study(), tasks).shared_prompts()
    assert "1 of the 1 prompts of tasks.jsonl are also in pairs.jsonl" in reason
    (reason,) = Data(study(), Jobs({"train_policy": JOBS["train_policy"]})).steps()
    assert "40 rows in batches of 128 are one step" in reason


def test_a_training_of_one_step_at_learning_rate_zero_is_said_with_the_batch_that_fits():
    (reason,) = Data(study(), Jobs(JOBS)).steps()
    assert "40 rows in batches of 128 are one step" in reason and "set methods.dpo.batch_size to 2" in reason
    assert not [*Data(study(methods={"dpo": {"batch_size": 20}}), Jobs(JOBS)).steps()]  # two steps
    assert not [*Data(study(methods={"dpo": {"warmup_ratio": 0}}), Jobs(JOBS)).steps()]  # one, at its full rate
    assert not [*Data(study(), Jobs({**JOBS, "train_policy": []})).steps()]  # nothing is trained
    (reason,) = Data(study(methods={"dpo": {"batch_size": 10}}), Jobs(JOBS)).steps()
    assert "methods.dpo.batch_size is 10, which is no multiple of the 4 rows" in reason


def test_every_data_set_is_looked_at_for_itself():
    write("old.jsonl", [{"prompt": f"task {n}", "chosen": "yes", "rejected": "no"} for n in range(10)])
    of = study(preference_data=["pairs.jsonl", "old.jsonl"])
    jobs = {**JOBS, "prepare_dataset": [*JOBS["prepare_dataset"], {"dataset": "old", "split": "train"}]}
    (reason,) = Data(of, Jobs({**jobs, "train_policy": []})).shared_prompts()
    assert "10 of the 10 prompts of tasks.jsonl are also in old.jsonl" in reason
    trained = {**JOBS["train_policy"][0], "history": "off-mix50.old"}
    (reason,) = Data(of, Jobs({**jobs, "train_policy": [trained]})).steps()
    assert "10 rows in batches of 128 are one step" in reason
    chosen = {"model": "mine", "method": "dpo", "undecided": "auto"}  # of any of them
    assert len([*Data(of, Jobs({**jobs, "train_policy": [], "adopt_choice": [chosen]})).steps()]) == 2


def test_the_short_file_of_several_data_sets_says_what_each_is():
    write("old.jsonl", [{"prompt": f"task {n}", "chosen": "yes", "rejected": "no"} for n in range(10)])
    model = {"path": "./model", "parameters": 1.0e6}
    written = {"preset": "laptop", "models": {"mine": model}, "preference_data": ["pairs.jsonl", "old.jsonl"]}
    description = Description(written, ROOT)
    said = " ".join(description.sentences())
    assert "Data pairs, train: 40 pairs of 40 records" in said and "Data old, train: 10 pairs of 10 records" in said
    assert description.fitted == {"methods": {"dpo": {"batch_size": fitting_batch(10)[0], "per_device_batch_size": 1}}}
    sizes = description.sized()["datasets"]
    assert (sizes["pairs"]["rows"], sizes["old"]["rows"]) == ({"train": 40}, {"train": 10})


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (40, 2), (100, 8), (1000, 64), (20_000, 1024)])
def test_a_fitting_batch_gives_an_epoch_of_a_dozen_steps(rows, batch):
    assert fitting_batch(rows) == (batch, 1)


@pytest.mark.parametrize("on", [1, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 40, 333])
def test_advice_about_batches_is_followed_by_no_other(rows, on):
    settings = {"batch_size": 1024 * on, "per_device_batch_size": 2, "epochs": 1, "warmup_ratio": 0.1}
    said = why_no_steps("methods.dpo", settings, rows, on)
    assert f"{rows} rows in batches" in said if rows > 1 else "one row in batches" in said
    told = {key: int(number) for key, number in re.findall(r"methods\.dpo\.(\w+) to (\d+)", said)}
    assert bool(told) == (rows > on), said  # else there are too few rows for any batch
    if told:
        assert why_no_steps("methods.dpo", settings | told, rows, on) is None


def test_lengths_are_those_that_the_model_reads(tmp_path):
    (tmp_path / "model/config.json").write_text('{"max_position_embeddings": 512}')
    model = {"path": "./model", "parameters": 1.0e6}
    description = Description({"preset": "laptop", "models": {"mine": model}, "preference_data": "pairs.jsonl"}, ROOT)
    assert (description.fitted["max_length"], description.fitted["sampling"]) == (512, {"max_length": 512})
    assert description.comments()["sampling"] == "tokens that the model reads"


@pytest.mark.parametrize("output", ["/proc/mine.yaml", "pairs.jsonl/mine.yaml"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(output):
    done = init_study("--model", "nowhere", "--data", "nowhere.jsonl", "--output", output)
    assert done.returncode == 2
    assert re.fullmatch(rf"init_study: --output {output} cannot be written in .*; choose another\n", done.stderr)


def init_study(*arguments):
    program = [sys.executable, ROOT / "workflow_scripts/init_study.py", *arguments]
    return subprocess.run(program, text=True, capture_output=True, check=False)


def test_no_file_is_written_while_something_is_to_be_mended(tmp_path):
    """And nothing is said of a network that it is not."""
    (tmp_path / "model/config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 8192}'
    )
    model = {"path": "./model", "parameters": 1.0e6}
    written = {"preset": "laptop", "models": {"mine": model}, "preference_data": "pairs.jsonl"}
    description = Description({**written, "preference_model": "./model"}, ROOT)
    assert "LlamaForCausalLM, which is no reward model" in " ".join(description.sentences())
    header = json.dumps({"weight": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}}).encode()
    (tmp_path / "model/model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(40))
    command = [
        "--model",
        "./model",
        "--data",
        "pairs.jsonl",
        "--preference-model",
        "./model",
        "--preset",
        "laptop",
        "--output",
        "mine.yaml",
    ]
    done = init_study(*command)
    assert done.returncode == 2, done.stderr
    assert "To mend: preference_models.model.path names model, whose network is LlamaForCausalLM" in done.stderr
    assert "init_study: mine.yaml was not written" in done.stderr and "preference_data: pairs.jsonl" in done.stdout
    assert not (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no folder of a model: it has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "has no chat template"),
        (
            lambda folder: (folder / "config.json").write_text('{"max_position_embeddings": 3000}'),
            "sampling.max_length is 4096",
        ),
        (
            lambda folder: (folder / "config.json").write_text('{"architectures": ["LlamaForSequenceClassification"]}'),
            "whose network is LlamaForSequenceClassification; a causal language model (…ForCausalLM) is expected",
        ),
        (
            lambda folder: (folder / "config.json").write_text(
                '{"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": true}'
            ),
            "whose network is T5ForConditionalGeneration",
        ),
    ],
)
def test_a_models_folder_is_looked_at(spoil, words, tmp_path):
    spoil(tmp_path / "model")
    (reason,) = models.models(study(), Jobs({"fetch_model": [{"base": "mine"}]}))
    assert words in reason


def test_layers_of_lora_that_a_model_has_not_are_named_before_the_first_job(tmp_path):
    weights(tmp_path / "model", *"qkv")
    jobs = Jobs({**JOBS, "fetch_model": [{"base": "mine"}]})
    for targets, wrong in (("all-linear", None), (["q_proj", "v_proj"], None), (["q_proj", "query"], "query")):
        of = study(methods={"dpo": {"lora": {"targets": targets}}})
        reasons = [*models.models(of, jobs)]
        expected = (
            f"methods.dpo.lora.targets names {wrong}, and models.mine has no such layer; it has k_proj, q_proj, v_proj"
        )
        assert reasons == ([expected] if wrong else [])


def test_a_model_that_is_here_already_is_looked_at_before_it_is_trained_or_sampled(tmp_path):
    weights(tmp_path / "results/models/mine", "q", "k")
    (tmp_path / "results/models/mine/config.json").write_text('{"max_position_embeddings": 2048}')
    of = study(methods={"dpo": {"lora": {"targets": ["query"]}}}, max_length=4096, sampling={"max_length": 3000})
    too_long, layers = models.models(of, Jobs(JOBS))
    assert too_long == "max_length is 4096, and models.mine reads no more than 2048 tokens; set it to 2048 or less"
    assert "methods.dpo.lora.targets names query, and models.mine has no such layer" in layers
    for job in (
        ("sample_candidates", {"sampled": "mine/sft"}),
        ("generate_evaluation_outputs", {"policy": "mine@1/dpo/on"}),
    ):
        (too_long,) = models.models(of, Jobs({job[0]: [job[1]]}))
        assert "sampling.max_length is 3000" in too_long
    assert not [*models.models(of, Jobs({"label_preferences": [{"labelled": "mine/sft"}]}))]


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma3ForConditionalGeneration"])
def test_models_that_write_text_are_taken(name, tmp_path):
    (tmp_path / "model/config.json").write_text(json.dumps({"architectures": [name]}))
    assert not [*models.models(study(), Jobs({"fetch_model": [{"base": "mine"}]}))]


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"hidden_size": 64, "num_attention_heads": 4}, 16),
        ({"hidden_size": 64, "num_attention_heads": 4, "head_dim": 24}, 24),
        ({"text_config": {"hidden_size": 64, "num_attention_heads": 4}}, 16),
        ({"hidden_size": 128, "num_attention_heads": 4, "head_dim": None}, None),
        ({"hidden_size": 64, "num_attention_heads": 4, "head_dim": 32}, None),
        ({}, None),
    ],
)
def test_heads_that_vllm_does_not_take_on_cpu_cores_are_said_where_it_samples_there(config, size, tmp_path):
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    fetching, sampling = {"fetch_model": [{"base": "mine"}]}, {"sample_candidates": [{"sampled": "mine/sft"}]}
    reasons = [*models.models(study(), Jobs(fetching | sampling))]
    assert len(reasons) == (size is not None)
    if reasons:
        assert (
            f"models.mine has attention heads of size {size}, and vLLM samples on CPU cores only with 32, 64"
            in reasons[0]
        )
    assert not [*models.models(study(), Jobs(fetching))]
    assert not [*models.models(study(accelerator="gpu"), Jobs(fetching | sampling))]


def test_a_preference_models_folder_is_looked_at(tmp_path):
    of = study(preference_model="./model")
    (reason,) = models.preference_models(of, Jobs({"fetch_preference_model": [{"name": "model"}]}))
    assert "whose network is of no kind" in reason
    (tmp_path / "model/config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    assert not [*models.preference_models(of, Jobs({"fetch_preference_model": [{"name": "model"}]}))]


def test_all_that_the_hub_would_have_to_give_is_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    of = study(models={"mine": {"path": "org/mine"}})
    jobs = Jobs({"fetch_model": [{"base": "mine"}], "fetch_preference_model": [{"name": "pairrm"}]})
    (reason,) = models.hub(of, jobs)
    assert "org/mine (models.mine.path)" in reason and "llm-blender/PairRM (preference_models.pairrm.path)" in reason
    (tmp_path / "cache/models--org--mine").mkdir(parents=True)
    (reason,) = models.hub(of, jobs)
    assert "org/mine" not in reason


def test_memory_that_no_machine_has_is_said():
    of = study(models={"mine": {"path": "./model", "parameters": 1e15}})
    (reason,) = machine.memory(of, Jobs(JOBS))
    assert "training 1e+06 billion parameters" in reason and "train with `lora: {}`, take a smaller model" in reason
    with_lora = study(models={"mine": {"path": "./model", "parameters": 1e15}}, methods={"dpo": {"lora": {}}})
    (reason,) = machine.memory(with_lora, Jobs(JOBS))
    assert "takes at least 4" in reason and "lora" not in reason  # four bytes of each
    assert not [*machine.memory(study(), Jobs(JOBS))]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"preset": "laptop"},
            "Training it takes about 22.4 GB of memory and what its activations need, with `lora: {}`",
        ),
        (
            {"preset": "one-gpu"},
            "Training it takes about 30 GB of a GPU's memory, with `lora: {}` in methods.dpo 8 GB.",
        ),
        (
            {"preset": "one-gpu", "methods": {"dpo": {"lora": {}}}},
            "Training it with LoRA takes about 8 GB of a GPU's memory.",
        ),
    ],
)
def test_what_a_training_takes_is_said_of_a_study_of_ones_own(changes, words):
    model = {"path": "./model", "parameters": 1.5e9}
    written = {"models": {"mine": model}, "preference_data": "pairs.jsonl", **changes}
    assert words in next(Description(written, ROOT).sentences())


# Judges


class Endpoint(BaseHTTPRequestHandler):
    """Answers with what `answer` of the server says."""

    def do_POST(self):
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, body = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words):
        pass


@pytest.fixture
def endpoint():
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def judged(port, **more):
    settings = {"kind": "endpoint", "model": "judge", "base_url": f"http://127.0.0.1:{port}/v1", **more}
    return study(
        judges={"mine": settings},
        evaluation={"instructions": "tasks", "fit_difficulty_over": "table1", "judge": "mine"},
    )


JUDGING = Jobs({"judge_outputs": [{"judged": "mine/sft"}]})


def test_a_judge_answers_with_log_probabilities_or_is_refused(endpoint):
    of = judged(endpoint.server_port)
    endpoint.answer = 200, {"choices": [{"logprobs": {"content": [{"token": "m"}]}}]}
    assert not [*judges.judges(of, JUDGING)]
    assert endpoint.asked[0]["logprobs"] is True and endpoint.asked[0]["model"] == "judge"
    endpoint.answer = 200, {"choices": [{"message": {"content": "m"}}]}
    assert "without log-probabilities" in next(judges.judges(of, JUDGING))
    endpoint.answer = 404, {"error": "no such model"}
    assert "HTTP 404 for the model judge" in next(judges.judges(of, JUDGING))
    for passing in (503, {}), (200, {"choices": []}), (200, ["odd"]):  # what the job tells better
        endpoint.answer = passing
        assert not [*judges.judges(of, JUDGING)]
    asked = len(endpoint.asked)
    assert not [*judges.judges(of, Jobs({"train_policy": []}))] and len(endpoint.asked) == asked  # only if jobs ask


def test_a_key_that_is_not_set_and_a_port_where_nothing_listens_are_said(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.delenv("MY_KEY", raising=False)
    assert "MY_KEY is not set" in next(judges.judges(judged(port, api_key_variable="MY_KEY"), JUDGING))
    monkeypatch.setenv("MY_KEY", "secret")
    (reason,) = judges.judges(judged(port, api_key_variable="MY_KEY"), JUDGING)
    assert "nothing answers" in reason and "secret" not in reason


def test_the_rules_that_are_looked_for_are_there():
    known = {
        name
        for file in (ROOT / "rules").glob("*.smk")
        for name in re.findall(r"(?:rule|checkpoint|as) (\w+)(?: with)?:", file.read_text())
    }
    sources = "".join(file.read_text() for file in (ROOT / "workflow_scripts/dpo_stages/preflight").glob("*.py"))
    named = {name for call in re.findall(r"jobs\.of\(([^)]*)\)", sources) for name in re.findall(r'"(\w+)"', call)}
    named |= {*judges.LABELLING, *judges.AUDITING, *judges.JUDGING}
    assert named and named <= known


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "votes.jsonl"),
        ([{"prompt": "x", "response_1": "a", "response_2": "b", "label": 1}], "pair 1: preferred should be 1, 2, or 0"),
        ([{"prompt": "x", "response_1": "a", "preferred": 1}], "pair 1: response_2 should be text"),
        ([{"prompt": "x", "response_1": "a", "response_2": "b", "preferred": 0}], "every vote is a tie"),
        ([{"prompt": "x", "response_1": "a", "response_2": "b", "preferred": 2}], None),
    ],
)
def test_held_out_votes_are_read_beforehand(rows, words):
    write("votes.jsonl", rows)
    voted = study(preference_models={"pairrm": {"held_out": ["votes.jsonl", "missing.jsonl"]}})
    reasons = check.reasons_not_to_start(Data(voted, Jobs({"measure_preference_model": [{"voted": "pairrm"}]})))
    assert len(reasons) == (words is not None)
    assert all(reason.startswith("preference_models.pairrm.held_out: ") and words in reason for reason in reasons)
