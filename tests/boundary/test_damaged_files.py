"""Damaged files of comparisons: one sentence that names the file."""

import gzip

import pytest

from dpo_boundary import BadInput
from dpo_boundary.reading import read_comparisons

HEADER = "prompt_id,on_index,off_index,on_policy_preferred\n"
WHOLE = gzip.compress((HEADER + "".join(f"{row},1,1,{row % 2}\n" for row in range(500))).encode(), mtime=0)


@pytest.mark.parametrize("end", ["cut", "altered", "no gzip"])
def test_a_damaged_gzip_file_is_named(tmp_path, end):
    middle = len(WHOLE) // 2
    content = {"cut": WHOLE[:middle], "altered": WHOLE[:20] + b"\xff" * 40 + WHOLE[60:], "no gzip": HEADER.encode()}
    path = tmp_path / "votes.csv.gz"
    path.write_bytes(content[end])
    with pytest.raises(BadInput, match=r"votes\.csv\.gz cannot be read"):
        read_comparisons(path)


def test_a_number_of_hundreds_of_digits_is_no_number_that_can_be_used(tmp_path):
    path = tmp_path / "votes.jsonl"
    path.write_text(f'{{"prompt_id": 1, "on_index": 1, "off_index": {"9" * 400}, "on_policy_preferred": 1}}\n')
    with pytest.raises(
        BadInput, match=r"votes\.jsonl: the column off_index of the comparisons holds what is not a number"
    ):
        read_comparisons(path)
