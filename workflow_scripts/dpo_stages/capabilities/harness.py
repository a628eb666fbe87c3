"""EleutherAI's lm-evaluation-harness: tasks by name, and which share of their questions a policy gets right.

A task's accuracy is the first of its metrics, after the first of its filters (`exact_match,strict-match` of gsm8k,
`prompt_level_strict_acc` of ifeval); the others are kept beside it.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_stages.core.errors import BadInput
from dpo_stages.core.files import first_line
from dpo_stages.core.libraries import importing_libraries, quiet_libraries
from dpo_stages.models.merging import whole_policy

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.models.huggingface import HFLM

END_OF_THOUGHT = "</think>"


def load_tasks(names: Sequence[str], folder: Path | None) -> dict[str, "Task"]:
    """Load tasks by name, and what they ask: from the hub or its cache, or from files that the task's own file names.

    Args:
        names: of single tasks; a group of several is none.
        folder: with further task files (YAML), which go before the harness's own of the same name.

    Raises:
        BadInput: a task is unknown, a group, runs code that a policy wrote, has no accuracy, or its questions cannot be had.
    """
    with importing_libraries():
        from lm_eval.tasks import TaskManager
    quiet_libraries()
    # The harness reads the files of all of its tasks, more than ten thousand, which takes longer than many a measurement.
    manager = TaskManager(include_path=str(folder), include_defaults=False) if folder else None
    if manager is None or not {*names} <= {*manager.all_tasks}:
        manager = TaskManager(include_path=None if folder is None else str(folder))
    for name in names:
        if name not in manager.all_subtasks:
            close = ", ".join(difflib.get_close_matches(name, manager.all_subtasks, n=3))
            kind = "a group of tasks" if name in manager.all_tasks else "no task"
            raise BadInput(
                f"capabilities.tasks names {name}, which is {kind} of the harness{' or of ' + str(folder) if folder else ''}; "
                f"name single tasks{f', such as {close}' if close else ''}"
            )
    tasks = {}
    for name in names:
        try:
            task = manager.load([name])["tasks"][name]
            questions = len(task.eval_docs)
        except Exception as error:  # no internet, a file that is missing, another layout of the data
            raise BadInput(
                f"the task {name} cannot be loaded ({type(error).__name__}: {first_line(error)}); see to its file and its data"
            ) from error
        if task.config.unsafe_code:
            raise BadInput(f"the task {name} runs code that the policy wrote; name another")
        metric, higher = next(iter(task.higher_is_better().items()))
        if not higher:
            raise BadInput(
                f"the task {name} measures {metric}, of which less is better; name a task that has an accuracy"
            )
        if not questions:
            raise BadInput(f"the task {name} has no questions; see to its file and its data")
        tasks[name] = task
    return tasks


def load_policy(folder: Path, dtype: str, batch_size: int) -> "HFLM":
    """Load a policy for the harness, on the accelerator if there is one; no remote code is run.

    Raises:
        BadInput: there is no causal language model in the folder.
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
    try:
        with whole_policy(folder) as whole:
            return HFLM(
                pretrained=str(whole),
                dtype=dtype,
                device=str(device),
                batch_size=batch_size,
                think_end_token=END_OF_THOUGHT,
            )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{folder} has no language model that the harness can load: {first_line(error)}") from error


def measure(
    model: "HFLM", tasks: Mapping[str, "Task"], limit: int | None, fewshot: int | None, seed: int
) -> dict[str, dict[str, Any]]:
    """Ask a policy the questions of tasks, through its chat template, and count what it gets right.

    Args:
        model: the policy.
        tasks: of `load_tasks`.
        limit: first questions of each task that are asked; None: all.
        fewshot: examples before each question, as turns of the conversation; None: as many as the task has itself. One that
            wants none has none.
        seed: of all random numbers, those that draw examples among them.

    Returns:
        For each task accuracy and standard_error (shares; None where the harness gives no error), the `metric` that this is, n
        questions, the task's version, fewshot, cut_prompts (questions that did not fit before the answer and lost their
        beginning), and all metrics.

    Raises:
        BadInput: a task's answers take all of the policy's context, or its first metric is no share.
    """
    import lm_eval

    for name, task in tasks.items():
        if task.OUTPUT_TYPE == "generate_until" and _answer(task.config.generation_kwargs, model) >= model.max_length:
            raise BadInput(
                f"answers of the task {name} may take {_answer(task.config.generation_kwargs, model)} tokens, and the policy has "
                f"{model.max_length} for question and answer; give the task a smaller max_gen_toks in a file of its own"
            )
    found = lm_eval.simple_evaluate(
        model,
        tasks=list(tasks.values()),
        num_fewshot=fewshot,
        limit=limit,
        apply_chat_template=True,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
    )
    return {
        name: {
            **_accuracy(name, found["results"][name]),
            "n": found["n-samples"][name]["effective"],
            "version": str(found["versions"][name]),
            "fewshot": found["n-shot"][name],
            "cut_prompts": _cut(model, found["samples"][name]),
        }
        for name in tasks
    }


def _accuracy(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {key: value for key, value in result.items() if "," in key}
    metric = next(iter(metrics))
    error = metrics.get(metric.replace(",", "_stderr,", 1))
    if not 0 <= metrics[metric] <= 1:
        raise BadInput(f"{metric} of the task {name} is {metrics[metric]}, no share; name a task that has an accuracy")
    return {
        "accuracy": metrics[metric],
        "standard_error": error if isinstance(error, float) else None,
        "metric": metric,
        "metrics": {key: value for key, value in metrics.items() if isinstance(value, int | float)},
    }


def _answer(settings: Mapping[str, Any], model: "HFLM") -> int:
    """Tokens that an answer may take."""
    return (settings or {}).get("max_gen_toks", model.max_gen_toks)


def _cut(model: "HFLM", samples: Sequence[Mapping[str, Any]]) -> int:
    """Questions of which some request did not fit into the policy's context."""

    def is_cut(request: Sequence[Any]) -> bool:
        prompt, rest = request[0], request[1] if len(request) > 1 else {}
        room = model.max_length - (_answer(rest, model) if isinstance(rest, Mapping) else 0)
        return len(model.tok_encode(prompt + (rest if isinstance(rest, str) else ""))) > room

    return len({sample["doc_id"] for sample in samples if any(map(is_cut, sample["arguments"]))})
