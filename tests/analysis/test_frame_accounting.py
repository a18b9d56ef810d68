from dataclasses import replace

import numpy as np
import pytest
from known import known_result

from exitwave.analysis.frame_accounting import HELD_OUT, USED, account_for_frames, format_ranges


def test_every_frame_is_in_exactly_one_group():
    result = known_result(npos=30)  # holds out 2 and 5
    reasons = {"no counts": (3, 1), "position not finite": (5, 1, 7), "never": ()}
    groups = account_for_frames(replace(result, scan=replace(result.scan, left_out=reasons)))
    assert list(groups) == [USED, HELD_OUT, "no counts", "position not finite"]
    assert groups[HELD_OUT].tolist() == [2, 5]
    assert groups["no counts"].tolist() == [1, 3]
    assert groups["position not finite"].tolist() == [7]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(groups.values()))), np.arange(30))


def test_scan_has_used_and_no_held_out_frames():
    scan = known_result(npos=30).scan
    assert {name: len(frames) for name, frames in account_for_frames(scan).items()} == {USED: 30}


@pytest.mark.parametrize(
    ("frames", "text"),
    [([], "none"), ([4], "4"), ([1, 2, 3, 7, 9, 10], "1–3, 7, 9–10"), (range(0, 100, 2), "0, 2, 4 and 47 more")],
)
def test_format_ranges(frames, text):
    assert format_ranges(np.array(frames, np.int64), most=3) == text
