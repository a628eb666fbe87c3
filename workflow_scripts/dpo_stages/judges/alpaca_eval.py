"""The parts of alpaca-eval that the workflow uses, without those that it does not."""

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
import types
import warnings

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
