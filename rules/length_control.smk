"""Whether length control is valid: a witness that is not the judge compares the length-gamed references with the reference.

Required: outputs and annotations of both versions, where the instructions' difficulties are fitted here; a preference model.
Output:   results/evaluations/{instruction set}/{verbose,concise}/witnesses/{witness}.json,
          results/evaluations/{instruction set}/length_control.json
"""

LENGTH_CONTROL = independence.length_control(study)

if LENGTH_CONTROL:
    WITNESS = Asked.of(study, independence.length_witness(study))

    rule ask_length_witness:
        input:
            outputs=f"results/evaluations/{study.instruction_set}/{{variant}}/model_outputs.json",
            instructions=INSTRUCTIONS,
            preference_model=paths.preference_model("{witness}"),
            program=program("judge_with_preference_model", WITNESS.env, WITNESS.without),
            judge=WITNESS.files,
        output:
            f"results/evaluations/{study.instruction_set}/{{variant}}/witnesses/{{witness}}.json",
        log:
            f"results/logs/ask_length_witness/{study.instruction_set}/{{variant}}/{{witness}}.log",
        benchmark:
            f"results/benchmarks/ask_length_witness/{study.instruction_set}/{{variant}}/{{witness}}.jsonl"
        wildcard_constraints:
            variant="verbose|concise",
            witness=one_of([WITNESS.name]),
        localrule: bool(WITNESS.judge)  # an API is asked from where the internet is
        conda:
            f"../envs/{WITNESS.env}.yaml"
        threads: needs.threads_to_ask(WITNESS)
        resources:
            gpu=0 if WITNESS.judge else needs.gpus("labelling"),
            mem_mb=needs.labelling_memory,
            cents=needs.preference_cents(needs.gamed_pairs),
            seconds=needs.expected(needs.preference_seconds(needs.gamed_pairs)),
            runtime=needs.limit(needs.preference_seconds(needs.gamed_pairs)),
        params:
            preference_model=flags.preference_model(WITNESS.name),
        shell:
            f"{RUN} {WITNESS.env} {SCRIPTS}/judge_with_preference_model.py"
            " --outputs {input.outputs:q}"
            " --instructions {input.instructions:q}"
            " --preference-model {input.preference_model:q}"
            " {params.preference_model}"
            f"{WITNESS.cache('witnesses', '{wildcards.witness}/{wildcards.variant}')}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"

    rule check_length_control:
        input:
            judged=[
                paths.evaluation(f"{study.instruction_set}/{one}", "annotations.json")
                for one in ("verbose", "concise")
            ],
            witnessed=(
                []
                if independence.is_judge(study, WITNESS.name)
                else [
                    f"results/evaluations/{study.instruction_set}/{one}/witnesses/{WITNESS.name}.json"
                    for one in ("verbose", "concise")
                ]
            ),
            program=program("check_length_control", "workflow"),
        output:
            LENGTH_CONTROL,
        log:
            f"results/logs/check_length_control/{study.instruction_set}.log",
        localrule: True
        conda:
            "../envs/workflow.yaml"
        params:
            witnessed=lambda w, input: given(witnessed=input.witnessed),
            witness=WITNESS.name,
            margin=config["evaluation"]["length_margin"],
        shell:
            f"{RUN} workflow {SCRIPTS}/check_length_control.py"
            " --judged {input.judged:q}"
            " {params.witnessed:q}"
            " --witness {params.witness}"
            " --margin {params.margin}"
            " --output {output:q}"
            " > {log:q} 2>&1 && tail -n 1 {log:q}"
