"""Table 3 on a real SLURM: jobs on the nodes and GPUs that they ask for, and the same results whatever fails."""

import os
import re
import signal
import time

from cluster import GPU_NODES, GPUS, processes, wait_until
from conftest import MODEL, PATIENCE, TABLE, TRAINING_GPUS

GPU_RULES = {
    "train_sft": TRAINING_GPUS, "train_policy": TRAINING_GPUS, "sample_candidates": 1, "label_preferences": 1,
    "compare_candidates": 1, "compare_arms": 1, "compute_reference_logps": 1, "generate_evaluation_outputs": 1,
    "measure_preference_model": 1,
}  # fmt: skip
CPU_RULES = {"make_demo_model", "sample_ranker_candidates", "train_ranker"}


def minutes(limit):
    hours, minutes, _ = map(int, limit.split(":"))
    return 60 * hours + minutes


def test_gpu_jobs_run_on_gpu_nodes_with_the_gpus_they_asked_for(undisturbed):
    jobs = undisturbed.jobs()
    assert {job["rule"] for job in jobs} == GPU_RULES.keys() | CPU_RULES
    visible = {}
    for job, node, gpus in undisturbed.cluster.steps():
        visible.setdefault(job, set()).add((node, gpus))
    for job in jobs:
        assert job["JobState"] == "COMPLETED" and job["Restarts"] == "0"
        assert {node for node, _ in visible[job["JobId"]]} == {job["NodeList"]}
        ((_, gpus),) = visible[job["JobId"]]
        if job["rule"] in CPU_RULES:
            assert job["Partition"] == "cpu" and "TresPerJob" not in job and gpus == "none"
        else:
            number = GPU_RULES[job["rule"]]
            assert job["Partition"] == "gpu" and job["NodeList"] in GPU_NODES
            assert job["TresPerJob"] == f"gres:gpu:a100:{number}"
            assert len(set(gpus.split(",")) & set(map(str, range(GPUS)))) == number


def test_shards_are_jobs_of_their_own_and_are_gathered(undisturbed):
    assert len(undisturbed.jobs("label_preferences")) == 2 * 2  # off-policy pairs and the policy's own, in two shards
    assert (undisturbed / f"results/preferences/{MODEL}/sft/train.parquet").exists()


def test_slurms_logs_are_kept(undisturbed):
    for job in undisturbed.jobs():
        assert list((undisturbed / "results/logs/slurm").rglob(f"{job['JobId']}.log")), job["rule"]


def test_a_training_outlives_its_node_a_preemption_and_the_controller(undisturbed, disturbed):
    cluster, policy = disturbed.cluster, "dpo/on"
    disturbed.forget(policy, trained=True)
    snakemake = disturbed.start()

    first, step, process = disturbed.freeze_training(policy)
    cluster.crash_node(first["NodeList"])
    second, later, process = disturbed.freeze_training(policy, beyond=step, but=process)
    assert f"going on from results/checkpoints/{MODEL}/{policy}/checkpoint-{step}" in disturbed.training_log(policy)
    assert second["JobId"] == first["JobId"] and second["NodeList"] != first["NodeList"]  # SLURM ran the same job again
    cluster.start_node(first["NodeList"])
    cluster.wait_for_node(first["NodeList"])

    urgent = ["--partition=gpu-urgent", f"--gpus=a100:{GPUS}", f"--nodelist={second['NodeList']}", "--output=/dev/null"]
    cluster.run("sbatch", *urgent, "--wrap=true")
    third, latest, process = disturbed.freeze_training(policy, beyond=later, but=process)
    assert re.search(r"going on from \S+/checkpoint-(\d+)\n", disturbed.training_log(policy))
    assert third["JobId"] == first["JobId"] and third["Restarts"] == "2"

    cluster.stop_controller()
    os.kill(process, signal.SIGCONT)
    time.sleep(3)  # Snakemake asks about its jobs in vain
    cluster.start_controller()
    disturbed.finish(snakemake)
    assert len(disturbed.jobs("train_policy")) == 1
    assert disturbed.results() == undisturbed.results()


def test_a_job_over_its_memory_or_time_limit_comes_back_with_more(undisturbed, disturbed):
    cluster, policy = disturbed.cluster, "dpo/on"
    rule = "generate_evaluation_outputs"
    disturbed.edit_profile(lambda rules: {rule: {"mem_mb": "500 * attempt"}})
    disturbed.forget(policy, trained=True)
    disturbed.forget("dpo/off", trained=False)
    snakemake = disturbed.start()
    hanging, step, _ = disturbed.freeze_training(policy)
    cluster.run("scontrol", "update", f"JobId={hanging['JobId']}", "TimeLimit=1")  # minutes: the limit is there soon
    disturbed.finish(snakemake)

    first, second = disturbed.jobs("train_policy")
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert minutes(second["TimeLimit"]) == 2 * minutes(hanging["TimeLimit"]) > 2
    assert f"going on from results/checkpoints/{MODEL}/{policy}/checkpoint-" in disturbed.training_log(policy)
    for trained in ("dpo/off", policy):
        jobs = [job for job in disturbed.jobs(rule) if trained.replace("/", "_") in job["Comment"]]
        assert [job["MinMemoryNode"] for job in jobs] in (["500M", "1000M"], ["500M", "1000M", "1500M"]), trained
        assert [job["JobState"] == "COMPLETED" for job in jobs] == [False] * (len(jobs) - 1) + [True]
    assert disturbed.results() == undisturbed.results()


def test_ctrl_c_leaves_no_job_behind_and_a_killed_snakemake_can_be_started_again(undisturbed, disturbed):
    cluster, policy = disturbed.cluster, "dpo/off"
    disturbed.forget(policy, trained=True)
    snakemake = disturbed.start()
    _, step, process = disturbed.freeze_training(policy)
    os.killpg(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(PATIENCE) != 0
    wait_until(lambda: not disturbed.queue(), 60, "no job is left")
    wait_until(lambda: process not in [pid for pid, *_ in processes()], 60, "no process is left")

    snakemake = disturbed.start()
    job, step, process = disturbed.freeze_training(policy, beyond=step)
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    assert disturbed.queue() == [job["JobId"]]

    assert disturbed.start().wait(PATIENCE) != 0
    assert "--unlock" in disturbed.output
    assert disturbed.start(options=("--unlock",)).wait(PATIENCE) == 0
    assert disturbed.start().wait(PATIENCE) != 0
    assert f"scancel {job['JobId']}" in disturbed.output, disturbed.output
    cluster.run("scancel", job["JobId"])
    wait_until(lambda: not disturbed.queue(), 60, "the job is gone")
    assert not (disturbed / TABLE).exists()
    disturbed.finish(disturbed.start())
    assert f"going on from results/checkpoints/{MODEL}/{policy}/checkpoint-" in disturbed.training_log(policy)
    assert disturbed.results() == undisturbed.results()
