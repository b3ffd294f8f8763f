"""What a page shows of the marked frames."""

import pandas as pd

from recap.report.marks import advantage_histograms, source_shares

#             task, iteration, source, is_correction, advantage, indicator
ROWS = [
    ("red", 0, "demonstration", False, 0.1, "negative"),
    ("red", 1, "rollout", False, 0.2, "negative"),
    ("red", 2, "rollout", False, 0.3, "positive"),
    ("red", 2, "rollout", False, 0.4, "positive"),
    ("red", 2, "rollout", True, -0.9, "positive"),
    ("blue", 0, "demonstration", False, 0.6, "positive"),
    ("blue", 2, "rollout", True, 0.7, "positive"),
]
COLUMNS = ["task", "iteration", "source", "is_correction", "advantage", "indicator"]
FRAMES = pd.DataFrame(ROWS, columns=COLUMNS)


def test_a_histogram_holds_the_newest_autonomous_frames_of_its_task():
    blue, red = advantage_histograms(FRAMES, {"red": 0.25, "blue": 0.5})
    assert (red.task, red.threshold, list(red.advantages)) == ("red", 0.25, [0.3, 0.4])
    assert (blue.task, blue.threshold, list(blue.advantages)) == ("blue", 0.5, [0.6])


def test_every_frame_has_one_source():
    shares = source_shares(FRAMES)
    assert [(share.source, share.positive, share.frames) for share in shares] == [
        ("demonstration", 1, 2),
        ("autonomous", 2, 3),
        ("correction", 2, 2),
    ]


def test_a_source_without_frames_is_not_named():
    shares = source_shares(FRAMES[~FRAMES["is_correction"]])
    assert [share.source for share in shares] == ["demonstration", "autonomous"]
