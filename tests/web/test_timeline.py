"""What happened in an episode, frame by frame."""

import numpy as np
import pandas as pd
import pytest

from data.annotations import SCHEMA, AdvantageTable
from data.errors import EpisodeError
from data.schema import Ending, EpisodeInfo, Indicator, Pilot, Source
from recap.project import Project
from recap.web.desk import timeline
from recap.web.desk.timeline import MarkReader, read_pilots, segments
from recap.web.schemas import Marks, Segment


def info(uid="a", *, frames=3, source=Source.ROLLOUT):
    return EpisodeInfo(
        uid=uid,
        task="",
        seed=None,
        source=source,
        iteration=1,
        policy_id="",
        ending=Ending.TERMINATED,
        frames=frames,
        corrected_frames=0,
        measured_success=None,
    )


def mark(project, iteration, lengths, *, shift=0.0):
    """Mark a lap: frame ``i`` of the table has the value ``-i / 1000 + shift``."""
    uids = [uid for uid, length in lengths.items() for _ in range(length)]
    rows = np.arange(len(uids))
    content = {
        "episode_uid": uids,
        "frame_index": [frame for length in lengths.values() for frame in range(length)],
        "index": rows,
        "return": np.zeros(len(rows)),
        "value": -rows / 1000 + shift,
        "advantage": rows / 10,
        "indicator": np.where(rows % 2 == 0, Indicator.POSITIVE, Indicator.NEGATIVE),
        "is_correction": np.zeros(len(rows), dtype=bool),
    }
    AdvantageTable(
        frames=pd.DataFrame(content)[SCHEMA.names],
        thresholds={},
        trainset_fingerprint="",
        value_fingerprint="",
        settings={},
    ).save(project.advantages(iteration))


@pytest.fixture
def empty(tmp_path):
    return Project(tmp_path)


def test_segments_worked_by_hand():
    policy, person, expert = Pilot.POLICY, Pilot.TELEOPERATOR, Pilot.EXPERT
    flown = [policy, policy, person, expert, expert, policy]
    assert segments(info(frames=6), flown) == [
        Segment(start=0, stop=2, pilot=policy, is_correction=False),
        Segment(start=2, stop=3, pilot=person, is_correction=True),
        Segment(start=3, stop=5, pilot=expert, is_correction=True),
        Segment(start=5, stop=6, pilot=policy, is_correction=False),
    ]
    assert segments(info(frames=0), []) == []


def test_a_demonstration_corrects_nobody():
    [whole] = segments(info(source=Source.DEMONSTRATION), [Pilot.EXPERT] * 3)
    assert whole == Segment(start=0, stop=3, pilot=Pilot.EXPERT, is_correction=False)


def test_who_flew_comes_from_the_table(tmp_path, make_project, add_episodes):
    project = make_project(tmp_path / "corrected")
    [uid] = add_episodes(project, [0], corrected=4)
    flown = read_pilots(project.episodes / uid)
    assert flown == [Pilot.POLICY] * 20 + [Pilot.TELEOPERATOR] * 4


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not a table PAR1"])
def test_a_damaged_table_is_one_mistake(project, content):
    folder = project.episodes / "rollout-01-00000000"
    table = folder / timeline.TABLE_PATH
    table.unlink()
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(EpisodeError, match="its table of frames is missing or damaged"):
        read_pilots(folder)


def test_a_table_without_pilots_is_damaged(empty):
    mark(empty, 1, {"a": 2})
    folder = empty.folder / "a"
    (folder / timeline.TABLE_PATH).parent.mkdir(parents=True)
    empty.advantages(1).rename(folder / timeline.TABLE_PATH)
    with pytest.raises(EpisodeError):
        read_pilots(folder)


def test_no_lap_has_marked(empty):
    assert MarkReader(empty).marks(info()) is None


def test_marks_of_each_episode_worked_by_hand(empty):
    mark(empty, 1, {"a": 2, "b": 3, "c": 1})
    reader = MarkReader(empty)
    assert reader.marks(info("b", frames=3)) == Marks(
        iteration=1,
        value=[-0.002, -0.003, -0.004],
        advantage=[0.2, 0.3, 0.4],
        indicator=[Indicator.POSITIVE, Indicator.NEGATIVE, Indicator.POSITIVE],
    )
    assert reader.marks(info("a", frames=2)).value == [0.0, -0.001]
    assert reader.marks(info("c", frames=1)).value == [-0.005]
    assert reader.marks(info("d", frames=1)) is None


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_it_does_not_matter_how_much_is_read_at_once(empty, monkeypatch, rows):
    mark(empty, 1, {"a": 4, "b": 5, "c": 2})
    monkeypatch.setattr(timeline, "_ROWS_AT_ONCE", rows)
    reader = MarkReader(empty)
    for uid, first, frames in (("a", 0, 4), ("b", 4, 5), ("c", 9, 2)):
        marks = reader.marks(info(uid, frames=frames))
        assert marks.advantage == [row / 10 for row in range(first, first + frames)]


def test_the_newest_lap_that_has_it_counts(empty):
    mark(empty, None, {"a": 3, "b": 3, "c": 3}, shift=-0.5)
    mark(empty, 2, {"a": 3, "b": 3})
    mark(empty, 10, {"a": 3})
    reader = MarkReader(empty)
    assert reader.marks(info("a")).iteration == 10
    assert reader.marks(info("b")).iteration == 2
    pretrained = reader.marks(info("c"))
    assert (pretrained.iteration, pretrained.value[0]) == (None, -0.506)


def test_a_lap_that_is_marked_anew_is_read_anew(empty):
    mark(empty, 1, {"a": 3})
    reader = MarkReader(empty)
    assert reader.marks(info("a")).value[0] == 0.0
    mark(empty, 1, {"b": 2, "a": 3}, shift=-0.1)
    assert reader.marks(info("a")).value[0] == -0.102


def test_marks_of_an_episode_that_was_recorded_anew_do_not_fit(empty):
    mark(empty, 1, {"a": 3})
    assert MarkReader(empty).marks(info("a", frames=4)) is None


def test_marks_that_are_damaged_are_passed_over(empty):
    mark(empty, 1, {"a": 3})
    mark(empty, 3, {"a": 3}, shift=np.inf)  # JSON knows no infinity
    empty.advantages(2).parent.mkdir()
    empty.advantages(2).write_bytes(b"PAR1 not a table PAR1")
    (empty.lap(1).parent / "4x").mkdir()
    reader = MarkReader(empty)
    assert reader.marks(info("a")).iteration == 1
    table = pd.read_parquet(empty.advantages(3)).drop(columns="indicator")
    table.to_parquet(empty.advantages(3))
    assert reader.marks(info("a")).iteration == 1
    table.drop(columns="episode_uid").to_parquet(empty.advantages(3))
    assert reader.marks(info("a")).iteration == 1
