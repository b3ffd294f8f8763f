import csv
import datetime as dt
import io
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ProjectError, RecapError, WithdrawnVerdictError
from data.judgement_batch import NewJudgement
from data.outcomes import OutcomeStore
from data.schema import Outcome
from data.verdict_files import (
    Imported,
    csv_bytes,
    export_verdicts,
    import_verdicts,
    parquet_bytes,
)
from data.verdict_rows import lines_of
from data.verdicts import Judgement

KINDS = pytest.mark.parametrize("kind", ["csv", "parquet"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NOTES = TEXTS | st.tuples(st.sampled_from("=+-@'\t\r\n\"＝"), TEXTS).map("".join)
RATERS = st.sampled_from(["ann", "=bob", "'eve", "simulator"])
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path):
    with closing(OutcomeStore(tmp_path / "outcomes.db")) as store:
        yield store


@pytest.fixture
def other(tmp_path):
    with closing(OutcomeStore(tmp_path / "other.db")) as store:
        yield store


def judge_all_sorts(store):
    """Judge two episodes in every way there is."""
    first = store.judge("a", Outcome.SUCCESS, rater="ann", success_frame=7, note="=SUM(A1)")
    store.withdraw(first.id, rater="ann")
    store.judge("a", Outcome.FAILURE, rater="ann", note='said "no",\nthen left')
    answered = NewJudgement(
        episode_uid="b",
        rater="Zoë",
        verdict=Outcome.DISCARD,
        answers={"safe": False},
        criteria_version="0123abcd",
    )
    store.add([answered])
    store.judge("b", Outcome.SUCCESS, rater="simulator")


def write(path, *rows):
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@KINDS
def test_a_history_is_rebuilt_from_its_file(store, other, tmp_path, kind):
    judge_all_sorts(store)
    path = tmp_path / f"verdicts.{kind}"
    assert export_verdicts(store.since(), path) == 5
    assert import_verdicts(path, other, known_uids={"a", "b"}) == Imported(added=5, known=0)
    assert other.since() == store.since()
    assert other.outcomes() == {"a": Outcome.FAILURE, "b": Outcome.DISCARD}


@KINDS
def test_importing_twice_or_where_it_came_from_adds_nothing(store, other, tmp_path, kind):
    judge_all_sorts(store)
    path = tmp_path / f"verdicts.{kind}"
    export_verdicts(store.since(), path)
    before = store.since()
    assert import_verdicts(path, store, known_uids=None) == Imported(added=0, known=5)
    assert store.since() == before
    other.judge("c", Outcome.SUCCESS, rater="bob")
    assert import_verdicts(path, other, known_uids=None) == Imported(added=5, known=0)
    assert import_verdicts(path, other, known_uids=None) == Imported(added=0, known=5)
    # Ids moved on by one, and so did what is withdrawn.
    assert [line.withdraws for line in other.since()] == [None, None, 2, None, None, None]


@KINDS
def test_lines_from_before_there_were_requests_are_known_again(tmp_path, other, kind):
    path, table = tmp_path / "old.db", tmp_path / f"verdicts.{kind}"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE judgements (
                id INTEGER PRIMARY KEY, episode_uid VARCHAR NOT NULL, rater VARCHAR NOT NULL,
                verdict VARCHAR NOT NULL, note VARCHAR NOT NULL, judged_at DATETIME NOT NULL
            );
            INSERT INTO judgements VALUES
                (1, 'a', 'ann', 'success', '', '2026-01-31 14:05:00.000000'),
                (2, 'a', 'ann', 'success', '', '2026-01-31 14:05:00.000000');
            """
        )
    with closing(OutcomeStore(path)) as store:
        store.withdraw(2, rater="ann")
        export_verdicts(store.since(), table)
        assert import_verdicts(table, store, known_uids=None) == Imported(added=0, known=3)
        assert import_verdicts(table, other, known_uids=None) == Imported(added=3, known=0)
        assert [line.withdraws for line in other.since()] == [None, None, 2]
        other.judge("a", Outcome.FAILURE, rater="bob")
        export_verdicts(other.since(), table)
        assert import_verdicts(table, store, known_uids=None) == Imported(added=1, known=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NOTES, RATERS, st.sampled_from(Outcome)), max_size=5))
def test_no_text_is_lost_on_the_way_and_none_starts_a_formula(told):
    said = [
        Judgement(id=n, episode_uid="a", rater=rater, verdict=verdict, note=note, judged_at=NOON)
        for n, (note, rater, verdict) in enumerate(told)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("csv", "parquet"):
            path = Path(folder) / f"verdicts.{kind}"
            path.write_bytes({"csv": csv_bytes, "parquet": parquet_bytes}[kind](said))
            read = [line.new for line in lines_of(path)]
            assert [(new.note, new.rater, new.verdict) for new in read] == told
            assert len({new.request_id for new in read}) == len(told)
    rows = list(csv.reader(io.StringIO(csv_bytes(said).decode(), newline="")))
    assert len(rows) == 1 + len(told)
    assert not any(cell.startswith(tuple("=+-@\t\r\n＝")) for row in rows for cell in row)


def test_the_file_for_a_spreadsheet_reads_like_this(store):
    at = dt.datetime(2026, 1, 31, 14, 5, tzinfo=dt.UTC)
    new = NewJudgement(
        episode_uid="a",
        rater="ann",
        verdict=Outcome.SUCCESS,
        note="=1+1",
        success_frame=7,
        answers={"safe": True},
        criteria_version="0123abcd",
        judged_at=at,
        request_id="click-1",
    )
    back = NewJudgement(rater="ann", withdraws="click-1", judged_at=at, request_id="click-2")
    store.add([new, back])
    assert csv_bytes(store.since()).decode().splitlines() == [
        "id,episode_uid,rater,verdict,note,judged_at,success_frame,answers,criteria_version,"
        "withdraws,request_id",
        '1,a,ann,success,\'=1+1,2026-01-31T14:05:00+00:00,7,"{""safe"": true}",0123abcd,,click-1',
        "2,a,ann,,,2026-01-31T14:05:00+00:00,,,,1,click-2",
    ]
    table = pq.read_table(pa.BufferReader(parquet_bytes(store.since())))
    assert table.column("judged_at").to_pylist() == [at, at]
    assert table.column("success_frame").to_pylist() == [7, None]
    assert table.schema.field("withdraws").type == pa.int64()
    assert pq.read_table(pa.BufferReader(parquet_bytes([]))).schema == table.schema


def test_a_table_made_by_hand_needs_three_columns_and_may_grow(store, tmp_path):
    path = tmp_path / "mine.csv"
    rows = ["episode_uid,rater,verdict", "a,ann,success", "a,ann,Failure", "a,ann,success"]
    write(path, *rows)
    assert import_verdicts(path, store, known_uids={"a"}) == Imported(added=3, known=0)
    assert store.outcomes() == {"a": Outcome.SUCCESS}  # said again after the failure
    write(path, *rows, "a,bob,failure")
    assert import_verdicts(path, store, known_uids={"a"}) == Imported(added=1, known=3)
    # The same lines with an empty column more are the same lines.
    write(path, *[f"{row},{'note' if not n else ''}" for n, row in enumerate(rows)])
    assert import_verdicts(path, store, known_uids={"a"}) == Imported(added=0, known=3)


def test_a_table_of_a_spreadsheet_or_of_pandas_is_read(store, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(
        "\ufeffepisode_uid;rater;verdict;judged_at;note\r\n"
        "a;ann;success;2026-01-31 14:05;'tis fine\r\n".encode()
    )
    import_verdicts(path, store, known_uids=None)
    (line,) = store.since()
    assert line.judged_at == dt.datetime(2026, 1, 31, 14, 5, tzinfo=dt.UTC)
    assert line.note == "'tis fine"
    table = pa.table(
        {
            "episode_uid": ["b", "b"],
            "rater": ["ann", "bob"],
            "verdict": ["success", "failure"],
            "success_frame": [12.0, float("nan")],
            "note": ["", None],
        }
    )
    pq.write_table(table, tmp_path / "frame.parquet")
    import_verdicts(tmp_path / "frame.parquet", store, known_uids=None)
    assert [line.success_frame for line in store.history("b")] == [12, None]


def test_lines_are_added_in_the_order_they_were_said_however_the_file_is_sorted(store, tmp_path):
    path = write(
        tmp_path / "sorted.csv",
        "id,episode_uid,rater,verdict,withdraws",
        "9,a,ann,,7",
        "8,a,bob,failure,",
        "7,a,ann,success,",
    )
    import_verdicts(path, store, known_uids=None)
    assert [line.rater for line in store.since()] == ["ann", "bob", "ann"]
    assert store.outcomes() == {"a": Outcome.FAILURE}


HEAD = "id,episode_uid,rater,verdict,judged_at,success_frame,answers,withdraws"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,a,ann,maybe,,,,", "'maybe' is not a verdict. Write success, failure, discard."),
        ("2,c,ann,success,,,,", "The project has no episode 'c'."),
        ("2,,ann,success,,,,", "It names no episode."),
        ("2,a,,success,,,,", "'' cannot be the name of a rater: a name begins"),
        ("2,a,ann:,success,,,,", "'ann:' cannot be the name of a rater: a name begins with a let"),
        ("2,a,Simulator,success,,,,", "'Simulator' cannot be the name of a rater: the sim"),
        ("2,a,simulator,success,,,,", "'simulator' cannot be the name of a rater: the simulator m"),
        ("2,a,ｓimulator,success,,,,", "'ｓimulator' cannot be the name of a rater: the simulator"),
        ("2,a,ann,,,,,", "A line either says a verdict or takes one back."),
        ("2,a,ann,success,soon,,,", "judged_at must be a time like 2026-01-31T14:05:00+01:00, got"),
        ("2,a,ann,success,,7.5,,", "success_frame must be a whole number or empty, got '7.5'."),
        ("2,a,ann,success,,x,,", "success_frame must be a whole number or empty, got 'x'."),
        ("2,a,ann,failure,,7,,", "Only a success has a moment of success."),
        ("2,a,ann,failure,,,[],", "answers must be JSON like {\"upright\": true}, got '[]'."),
        ("2,a,ann,failure,,,{,", "answers must be JSON like {\"upright\": true}, got '{'."),
        ("2,a,ann,,,,,5", "It takes back line 5, but no line before it has that id."),
        ("2,a,bob,,,,,1", "is ann's, not bob's."),
        ("2,b,ann,,,,,1", "to take back."),
        ("1,a,bob,success,,,,", "The id 1 is there twice."),
    ],
)
def test_one_line_that_cannot_be_is_named_and_none_is_added(store, tmp_path, row, message):
    path = write(tmp_path / "v.csv", HEAD, "1,a,ann,success,,,,", row)
    with pytest.raises(RecapError, match=f"^{re.escape(f'{path}, line 3: ')}") as caught:
        import_verdicts(path, store, known_uids={"a", "b"})
    assert message in str(caught.value)
    assert store.since() == []


def test_a_verdict_changed_in_the_file_is_refused_not_dropped(store, tmp_path):
    judge_all_sorts(store)
    path = tmp_path / "verdicts.csv"
    export_verdicts(store.since(), path)
    path.write_text(path.read_text().replace("Zoë,discard", "Zoë,failure"))
    with pytest.raises(
        RecapError, match=r"line 6: The request .* was made before with another ver"
    ):
        import_verdicts(path, store, known_uids=None)


def test_a_verdict_withdrawn_twice_is_named_by_its_place(store, tmp_path):
    rows = ["1,a,ann,success,,,,", "2,a,ann,,,,,1", "3,a,ann,,,,,1"]
    path = write(tmp_path / "v.csv", HEAD, *rows)
    with pytest.raises(WithdrawnVerdictError, match=re.escape(f"{path}, line 4: Verdict ")):
        import_verdicts(path, store, known_uids=None)
    assert store.since() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"episode_uid,rater\na,ann\n", "has no column 'verdict'. A table of verdicts needs"),
        (b"", "has no column 'episode_uid'."),
        (b"episode_uid,rater,verdict,mood\na,ann,success,x\n", "has a column 'mood', which would"),
        (b"episode_uid,rater,verdict\na,ann\n", "line 2: It has not as many values as the first"),
        (b"episode_uid,rater,verdict\na,ann,success,x\n", "line 2: It has not as many values"),
        (b"episode_uid,rater,verdict\na,\xff,success\n", "is not a CSV file in UTF-8"),
        (b'episode_uid,rater,verdict\na,"ann,success\n', "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_verdicts_is_named(store, tmp_path, content, message):
    path = tmp_path / "v.csv"
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=re.escape(str(path))) as caught:
        import_verdicts(path, store, known_uids=None)
    assert message in str(caught.value)


def test_a_file_that_is_missing_or_of_another_kind_is_named(store, tmp_path):
    for name, message in (
        ("v.csv", "cannot be read (No such file or directory)."),
        ("v.parquet", "cannot be read (No such file or directory)."),
        ("v.xlsx", "must end in .csv or .parquet, which says what kind of file it is."),
    ):
        with pytest.raises(ProjectError) as caught:
            import_verdicts(tmp_path / name, store, known_uids=None)
        assert str(caught.value) == f"{tmp_path / name} {message}"
    with pytest.raises(ProjectError, match="must end in"):
        export_verdicts([], tmp_path / "v.xlsx")
    (tmp_path / "v.parquet").write_bytes(b"no parquet" * 10)
    with pytest.raises(ProjectError, match="is not a parquet file"):
        import_verdicts(tmp_path / "v.parquet", store, known_uids=None)


def test_only_an_exported_line_speaks_for_the_simulator_or_by_a_login(store, other, tmp_path):
    path = tmp_path / "v.csv"
    store.judge("a", Outcome.SUCCESS, rater="simulator")
    store.judge("a", Outcome.SUCCESS, rater="_root")
    export_verdicts(store.since(), path)
    assert import_verdicts(path, other, known_uids=None) == Imported(added=2, known=0)
    for line in ("b,simulator,failure,", "b,Simulator,failure,click-1"):
        write(path, "episode_uid,rater,verdict,request_id", line)
        with pytest.raises(RecapError, match=r"'[sS]imulator' cannot be the name of a rater"):
            import_verdicts(path, other, known_uids=None)
    assert len(other.since()) == 2


def test_a_name_made_by_hand_has_the_spelling_of_the_form(store, tmp_path):
    path = write(tmp_path / "v.csv", "episode_uid,rater,verdict", "a,Zoe\u0308,success")
    import_verdicts(path, store, known_uids=None)
    assert [line.rater for line in store.since()] == ["Zo\u00eb"]
    assert import_verdicts(path, store, known_uids=None) == Imported(added=0, known=1)


def test_a_moment_of_success_after_the_end_is_refused_with_its_line(store, tmp_path):
    def frames_of(uid):
        asked.append(uid)
        return {"a": 10}.get(uid)

    asked = []
    head = "episode_uid,rater,verdict,success_frame"
    path = write(tmp_path / "v.csv", head, "b,ann,success,", "a,ann,success,10")
    with pytest.raises(RecapError) as caught:
        import_verdicts(path, store, known_uids=None, frames_of=frames_of)
    assert str(caught.value) == (
        f"{path}, line 3: The moment of success must be a frame of the episode, 0 to 9, got 10."
    )
    assert store.since() == []
    assert asked == ["a"]
    # Of an episode that cannot be read nobody knows the end.
    write(path, head, "a,ann,success,9", "c,ann,success,99")
    assert import_verdicts(path, store, known_uids=None, frames_of=frames_of).added == 2


def test_no_folder_is_made_for_an_export(tmp_path):
    path = tmp_path / "new" / "v.csv"
    with pytest.raises(ProjectError) as caught:
        export_verdicts([], path)
    assert str(caught.value) == (
        f"{path} cannot be written: there is no folder {tmp_path / 'new'}. Make it, or choose "
        f"another."
    )
    assert not path.parent.exists()
