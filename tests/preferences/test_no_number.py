"""A preference model that gives no number for a pair: no label and no vote is made of it."""

import json

import numpy as np
import pytest

from dpo_stages.core.errors import BadInput
from dpo_stages.preferences.pairrm.scoring import PairRM
from dpo_stages.preferences.pairs import Pair, Verdicts, ask

PAIRS = [Pair([{"role": "user", "content": "Why?"}], "One.", "Two.")] * 3


class Broken:
    """What a model with broken weights says of three pairs."""

    name = version = "broken"

    def __init__(self, *orders):
        self.orders = np.array(orders, dtype=np.float32)

    def compare(self, pairs):
        return Verdicts(self.orders)


@pytest.mark.parametrize("order", [(np.nan, np.nan), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf)])
def test_it_is_named_with_the_number_of_pairs(order):
    with pytest.raises(BadInput, match="the preference model broken gives no finite number for 2 of 3 pairs"):
        ask(Broken(order, (1.0, 1.0), order), PAIRS)


def test_numbers_and_ties_pass():
    verdicts, counts = ask(Broken((0.0, 0.0), (1.0, -1.0), (2.0, 1.0)), PAIRS)
    assert verdicts.logits.tolist() == [0.0, 0.0, 1.5] and counts["ties"] == 2


def test_nothing_is_labelled(run_here, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(PairRM, "compare", lambda self, pairs: Verdicts(np.full((len(pairs), 2), np.nan, np.float32)))
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"prompt": "Why?", "response_1": "One.", "response_2": "Two."}))
    output = tmp_path / "labelled.parquet"
    files = ["--pairs", tmp_path / "pairs.jsonl", "--preference-model", model_folder, "--output", output]
    with pytest.raises(BadInput, match="gives no finite number for 1 of 1 pairs"):
        run_here("label_preferences", *files)
    assert not output.exists()
