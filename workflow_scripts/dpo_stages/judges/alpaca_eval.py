"""The fence around alpaca-eval: nothing else in the workflow imports the package or reaches inside it.

Its prompt, its order of two outputs, its parser and its length-controlled win rate are used as they are. What it offers no
parameter for is replaced here, each time for the reason given there; tests/evaluation/test_alpaca_eval_contract.py tells
in one sentence what a new release has changed of all that.
"""

import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpo_stages.core.files import write_json, write_text
from dpo_stages.core.libraries import importing_libraries

PROMPT = "weighted_alpaca_eval_gpt4_turbo"


def load(*modules: str) -> list[types.ModuleType]:
    """Import modules of alpaca-eval, such as `annotators` or `metrics.glm_winrate`.

    The package's own `__init__` reads API keys from any `.env` file above the working directory and imports its
    command line and plots: it is left out. So is `datasets`, of which nothing but the name of a type is used and which
    takes as long to import as all the rest. The messages that alpaca-eval switches on for the whole process are
    switched off again; they would repeat for every policy.
    """
    if "alpaca_eval" not in sys.modules:
        specification = importlib.util.find_spec("alpaca_eval")
        package = importlib.util.module_from_spec(specification)
        package.__version__ = version()
        sys.modules["alpaca_eval"] = package
        placeholder = types.ModuleType("datasets")
        placeholder.Dataset = type("Dataset", (), {})
        sys.modules.setdefault("datasets", placeholder)
    os.environ["TQDM_DISABLE"] = "1"  # its bars are not made for log files
    with importing_libraries(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation of pkg_resources, which the environment's pins take care of
        loaded = [importlib.import_module(f"alpaca_eval.{module}") for module in modules]
    logging.getLogger().setLevel(logging.ERROR)
    return loaded


def version() -> str:
    """Version of alpaca-eval."""
    return importlib.metadata.version("alpaca-eval")


def read_annotator() -> tuple[dict, str, dict[str, Any]]:
    """What alpaca-eval ships of the annotator.

    Returns:
        Its configuration without what belongs to the package's own decoder, the template of its prompt, and what a
        request asks for besides the messages and the model.
    """
    import yaml

    (constants,) = load("constants")
    shipped = Path(constants.EVALUATORS_CONFIG_DIR)
    configuration = yaml.safe_load((shipped / PROMPT / "configs.yaml").read_text(encoding="utf-8"))
    annotator = configuration[PROMPT]
    request = {key: value for key, value in annotator.pop("completions_kwargs").items() if key != "model_name"}
    del annotator["fn_completions"]
    annotator["prompt_template"] = str(shipped / annotator["prompt_template"])
    return configuration, Path(annotator["prompt_template"]).read_text(encoding="utf-8"), request


def make_annotator(
    complete: Callable[[Sequence[str]], list[dict]], template: str | None = None
) -> Callable[[list[dict]], list[float | None]]:
    """The package's annotator with another decoder.

    Its own retries nothing but rate limits, stores the rows that it gave up as if they were judged, sends judges with
    "instruct" in their name to another endpoint and opens a client a request. A configuration that names a decoder
    cannot be given another, so the annotator reads a copy that names none. `caching_path=None` because the package
    keeps its answers in a file inside itself, rewritten every 128 rows, which a kill tears.

    Args:
        complete: takes prompts as the annotator writes them, in ChatML, and gives one answer each, with `logprobs`.
        template: of the prompt; None: the annotator's own.

    Returns:
        A function from rows with instruction, output_1 and output_2 to the preference of each, in [1, 2], None where
        the parser found none.
    """
    (annotators,) = load("annotators")
    configuration, _, _ = read_annotator()
    with tempfile.TemporaryDirectory() as folder:
        path, own = Path(folder) / PROMPT / "configs.yaml", Path(folder) / "prompt.txt"
        if template is not None:
            write_text(own, template)
            configuration[PROMPT]["prompt_template"] = str(own)
        write_json(path, configuration)  # JSON is YAML
        annotator = annotators.PairwiseAnnotator(
            annotators_config=path,
            caching_path=None,
            fn_completions=lambda prompts: {"completions_all": complete(prompts)},
        )

    def annotate(rows: list[dict]) -> list[float | None]:
        annotated = annotator(rows, chunksize=None)
        if [{key: row[key] for key in rows[0]} for row in annotated] != rows:
            raise AssertionError("alpaca-eval returned other rows than it was given")
        return [row["preference"] for row in annotated]

    return annotate


def win_rate(preference: NDArray[np.float64]) -> dict[str, float]:
    """The package's win rate of one policy, in percent, with its standard error and counts; see `win_rates`."""
    (winrate,) = load("metrics.winrate")
    import pandas as pd

    return winrate.get_winrate(pd.DataFrame({"preference": preference + 1}))


def win_rates(
    place: NDArray[np.int64],
    preference: NDArray[np.float64],
    length: NDArray[np.int64],
    reference_length: NDArray[np.int64],
    gamed: str,
) -> tuple[dict[str, float], list[float], float | None]:
    """The package's win rate and length-controlled win rate of one policy.

    The package downloads the gamed baselines and keeps the fitted model to itself. For the length of the call its
    download gives `gamed` instead, and its fit is noted down.

    Args:
        place: (n,) row of each instruction in `gamed`, ascending: the package finds a difficulty by row number, and the
            folds of its cross-validation, and with them the result, depend on the order of rows.
        preference: (n,) probability in [0, 1] that the policy's response beats the reference's; NaN where the judge gave
            none, which the package leaves out of the win rate and of the fit.
        length, reference_length: (n,) of the two responses, in characters.
        gamed: the CSV of the gamed baselines, see `Difficulties.table`.

    Returns:
        The package's metrics, in percent; the coefficients of its model (length, difficulty, policy); and the strength
        C that its cross-validation chose, None where all lengths are equal and there is nothing to control for.
    """
    (glm,) = load("metrics.glm_winrate")
    import pandas as pd

    annotations = pd.DataFrame(
        {
            "index": place,
            "preference": preference + 1,
            "output_1": [range(characters) for characters in reference_length.tolist()],  # their lengths alone count
            "output_2": [range(characters) for characters in length.tolist()],
            "generator_1": "reference",
            "generator_2": "policy",
            "annotator": "judge",
        }
    )
    if (length == reference_length).all():  # the package would divide by a spread of zero
        metrics = glm.get_winrate(annotations)
        return {**metrics, "length_controlled_winrate": metrics["win_rate"]}, [0.0, 0.0, 0.0], None
    fitted = []
    download, fit = glm.hf_hub_download, glm.fit_LogisticRegressionCV

    def fit_and_keep(*arguments: object, **options: object) -> object:
        fitted.append(fit(*arguments, **options))
        return fitted[-1]

    glm.hf_hub_download = lambda **_: io.StringIO(gamed)
    glm.fit_LogisticRegressionCV = fit_and_keep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn announces changes that the environment's pins keep away
            metrics = glm.get_length_controlled_winrate(annotations, save_weights_dir=None)
    finally:
        glm.hf_hub_download, glm.fit_LogisticRegressionCV = download, fit
    (model,) = fitted
    return metrics, [float(value) for value in model.coef_[0]], float(model.C_[0])
