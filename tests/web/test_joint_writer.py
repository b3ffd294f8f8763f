"""Many people's lines in one transaction."""

import threading
import time

import pytest

from data.errors import ProjectError, VerdictError
from recap.web.desk.joint_writer import JointWriter

PATIENCE_S = 20


class Slow:
    """A store that writes a transaction only when it is let, and threads that wait for it."""

    def __init__(self, write):
        self.batches = []
        self.got = {}
        self.writer = JointWriter(self.write)
        self._really_write = write
        self._threads = []
        self._began = threading.Semaphore(0)
        self._go_on = threading.Semaphore(0)

    def write(self, batch):
        self.batches.append(list(batch))
        self._began.release()
        assert self._go_on.acquire(timeout=PATIENCE_S)
        return self._really_write(batch)

    def send(self, lines):
        """Send each line from a thread of its own; the first is being written, the rest wait."""
        for place, line in enumerate(lines):
            thread = threading.Thread(target=self._run, args=(line,))
            thread.start()
            self._threads.append(thread)
            if place == 0:
                assert self._began.acquire(timeout=PATIENCE_S)
            while len(self.writer._waiting) < place:
                pass
        return self

    def finish(self):
        for _ in self._threads:
            self._go_on.release()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        return self.got

    def _run(self, line):
        try:
            self.got[line] = self.writer.write(line)
        except (VerdictError, ProjectError, RuntimeError, KeyError) as error:
            self.got[line] = error


def test_who_comes_while_one_is_written_joins_the_next():
    slow = Slow(lambda batch: [f"stored {line}" for line in batch]).send("abc")
    assert slow.finish() == {"a": "stored a", "b": "stored b", "c": "stored c"}
    assert slow.batches == [["a"], ["b", "c"]]


def test_one_after_the_other_is_one_by_one():
    batches = []
    writer = JointWriter(lambda batch: batches.append(list(batch)) or batch)
    assert [writer.write("a"), writer.write("b")] == ["a", "b"]
    assert batches == [["a"], ["b"]]


def test_a_refused_line_is_refused_alone():
    no = VerdictError("no")
    got = Slow(lambda batch: [no if line == "b" else line for line in batch]).send("abc").finish()
    assert got == {"a": "a", "b": no, "c": "c"}


@pytest.mark.parametrize(
    ("failure", "told_the_other"),
    [
        (ProjectError("the database is away"), "the database is away"),
        (KeyError("a bug"), "The thread that was writing this line failed."),
    ],
)
def test_when_writing_fails_nobody_is_told_it_was_stored(failure, told_the_other):
    def write(batch):
        if len(batch) > 1:
            raise failure
        return batch

    slow = Slow(write).send("abc")
    got = slow.finish()
    assert got["a"] == "a"
    assert got["b"] is failure  # this thread's turn it was
    assert str(got["c"]) == told_the_other
    assert slow.writer.write("d") == "d"


def test_a_thousand_lines_of_eight_threads_are_each_stored_once():
    stored, got = [], []
    busy = threading.Lock()

    def write(batch):
        assert busy.acquire(blocking=False)  # never two at once
        time.sleep(0.0002)
        stored.extend(batch)
        busy.release()
        return batch

    writer = JointWriter(write)

    def run(thread):
        got.extend(writer.write((thread, number)) for number in range(125))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(stored) == sorted(got) == [(t, n) for t in range(8) for n in range(125)]
    for thread in range(8):  # in the order they came
        assert [n for t, n in stored if t == thread] == list(range(125))
