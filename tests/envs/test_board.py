import os
import threading

import numpy as np
import pytest

from envs.board import SENSED, TRUTH, Board, nameless_file


@pytest.fixture
def sides():
    """The same board, laid over the same memory twice."""
    descriptor = nameless_file()
    boards = [Board.open(descriptor, cameras=2, height=4, width=6) for _ in range(2)]
    os.close(descriptor)
    return boards


def test_what_one_side_publishes_the_other_side_reads(sides):
    writer, reader = sides
    assert reader.targets.count == 0
    writer.targets.publish(np.arange(6.0))
    assert reader.targets.count == 1
    np.testing.assert_array_equal(reader.targets.newest(), np.arange(6.0))


def test_only_the_newest_counts_however_often_the_places_were_filled(sides):
    writer, reader = sides
    for number in range(100):
        writer.targets.publish(np.full(6, float(number)))
    np.testing.assert_array_equal(reader.targets.newest(), np.full(6, 99.0))
    assert reader.targets.count == 100


def test_what_was_read_does_not_change_afterwards(sides):
    writer, reader = sides
    writer.targets.publish(np.zeros(6))
    read = reader.targets.newest()
    for _ in range(40):
        writer.targets.publish(np.ones(6))
    np.testing.assert_array_equal(read, np.zeros(6))


def test_the_rings_of_a_board_do_not_overlap(sides):
    writer, reader = sides
    writer.pictures.publish(np.full((2, 4, 6, 3), 255, np.uint8))
    truth = np.zeros((), TRUTH)
    truth["task"], truth["qpos"] = 3, np.arange(21)
    writer.truth.publish(truth)
    writer.sensed.publish((1.5, np.full(6, 2.0)))
    for _ in range(20):
        writer.targets.publish(np.full(6, 7.0))
    assert (reader.pictures.newest() == 255).all()
    assert reader.truth.newest()["task"] == 3
    np.testing.assert_array_equal(reader.truth.newest()["qpos"], np.arange(21))
    assert reader.sensed.newest()["time_s"] == 1.5
    assert reader.sensed.newest().dtype == SENSED


def test_pictures_of_two_moments_are_never_mixed(sides):
    writer, reader = sides
    is_over = threading.Event()

    def write():
        for number in range(4000):
            writer.pictures.publish(np.full((2, 4, 6, 3), number % 251, np.uint8))
        is_over.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not is_over.is_set():
        assert len(np.unique(reader.pictures.newest())) == 1
    thread.join()


def test_nothing_is_left_of_a_closed_board_in_any_folder():
    descriptor = nameless_file()
    assert os.fstat(descriptor).st_nlink == 0
    os.close(descriptor)
