"""What leaves the workflow: pairs for another trainer, and the card of a policy.

Required: preferences or mixtures; a policy with its trace.
Output:   results/exports/{labelled}/{split}.jsonl, results/exports/{initial}/{mixture}.jsonl, results/policies/{carded}/README.md
"""


rule export_preferences:
    input:
        preferences="results/preferences/{labelled}/{split}.parquet",
        program=program("export_preferences", "workflow"),
    output:
        "results/exports/{labelled}/{split}.jsonl",
    log:
        "results/logs/export_preferences/{labelled}/{split}.log",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    shell:
        f"{RUN} workflow {SCRIPTS}/export_preferences.py"
        " --preferences {input.preferences:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"


use rule export_preferences as export_mixture with:
    input:
        preferences="results/mixtures/{initial}/{mixture}.parquet",
        program=program("export_preferences", "workflow"),
    output:
        "results/exports/{initial}/{mixture}.jsonl",
    log:
        "results/logs/export_mixture/{initial}/{mixture}.log",
    wildcard_constraints:
        mixture=rf"(?:{BLEND}|{MIX}|{POOL}|{PICK}){patterns.data}",


# In the policy's folder, so that it goes wherever that goes; whatever makes the policy anew takes it away.
rule write_model_card:
    input:
        policy="results/policies/{carded}/manifest.json",
        trained=lambda w: paths.policy(study.resolved(Policy.parse(w.carded))),
        base=lambda w: paths.base_model(Policy.parse(w.carded).model),
        trace=lambda w: f"results/traces/{w.carded}.json" if Policy.parse(w.carded).history else [],
        program=program("write_model_card", "workflow"),
    output:
        "results/policies/{carded}/README.md",
    log:
        "results/logs/write_model_card/{carded}.log",
    wildcard_constraints:
        carded=rf"{patterns.policy}|{patterns.model}/(?:{patterns.method})/{patterns.undecided}",
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        given=lambda w, input: given(
            trace=[input.trace] if input.trace else [],
            about=contents.on_cards(study, Policy.parse(w.carded)),
        ),
    shell:
        f"{RUN} workflow {SCRIPTS}/write_model_card.py"
        " --policy {wildcards.carded}"
        " --trained {input.trained:q}"
        " --base {input.base:q}"
        " {params.given:q}"
        " --output {output:q}"
        " > {log:q} 2>&1 && tail -n 1 {log:q}"
