"""What a study remembers of the hub and of the day it began."""

import datetime

from dpo_stages.core.files import read_json
from dpo_stages.core.hub import first_day, same_commit


def test_a_model_and_what_it_is_made_of_are_remembered_in_one_file(tmp_path):
    pin, today = tmp_path / "pins/ranker.json", datetime.date.today()
    with same_commit(pin, "a/ranker", "main", "1" * 40), same_commit(pin, "a/base", "main", "2" * 40):
        assert first_day(pin) == today
    assert read_json(pin) == {"date": today.isoformat(), "a/base@main": "2" * 40, "a/ranker@main": "1" * 40}


def test_the_first_day_stays(tmp_path):
    (tmp_path / "pin.json").write_text('{"date": "2026-11-25"}')
    assert first_day(tmp_path / "pin.json") == datetime.date(2026, 11, 25)
    assert first_day(None) == datetime.date.today()
