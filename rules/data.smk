"""Data sets: prompts with off-policy candidates, conversations for SFT, instructions for evaluation.

Required: a hub id or local files in `config["datasets"]`.
Output:   results/datasets/{dataset}/{split}.parquet
"""


def local_split(wildcards):
    """The file of a local data set, which may itself be made by a rule; nothing for a data set of the hub."""
    dataset = config["datasets"][wildcards.dataset]
    return dataset["splits"][wildcards.split] if dataset["adapter"] == "local" else []


def dataset_setting(key):
    return lambda wildcards: config["datasets"][wildcards.dataset][key]


rule prepare_dataset:
    input:
        rows=local_split,
        program=program("prepare_dataset", "train"),
    output:
        "results/datasets/{dataset}/{split}.parquet",
    log:
        "results/logs/prepare_dataset/{dataset}/{split}.log",
    benchmark:
        "results/benchmarks/prepare_dataset/{dataset}/{split}.jsonl"
    localrule: True  # asks the internet
    conda:
        "../envs/train.yaml"
    params:
        kind=dataset_setting("kind"),
        adapter=dataset_setting("adapter"),
        source=lambda w, input: config["datasets"][w.dataset]["path"] or input.rows,
        revision=dataset_setting("revision"),
        split=lambda w: config["datasets"][w.dataset]["splits"].get(w.split, w.split),
        limit=lambda w: config["datasets"][w.dataset]["limit"] or "none",
        seed=config["seeds"][0],
    shell:
        f"{RUN} train {SCRIPTS}/prepare_dataset.py"
        " --kind {params.kind}"
        " --adapter {params.adapter}"
        " --source {params.source:q}"
        " --revision {params.revision:q}"
        " --pin results/pins/datasets/{wildcards.dataset}.json"
        " --split {params.split:q}"
        " --limit {params.limit}"
        " --seed {params.seed}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


# All that the study takes from elsewhere, for a cluster whose compute nodes have no internet.
rule fetch:
    input:
        contents.from_the_hub(study),
    localrule: True
