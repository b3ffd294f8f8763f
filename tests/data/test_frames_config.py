"""Sizes as they are told and typed."""

import pytest

from data.frames_config import GIB, FramesConfig, enough_gib, in_words

MIB = 1024**2


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (300, "0.29 KiB"),
        (5376, "5.25 KiB"),
        (MIB // 10, "102.40 KiB"),
        (MIB // 10 + 1, "0.10 MiB"),
        (3 * MIB, "3.00 MiB"),
        (GIB // 10, "102.40 MiB"),
        (GIB // 2, "0.50 GiB"),
        (20 * GIB, "20.00 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_shows_it(size, words):
    assert in_words(size) == words


@pytest.mark.parametrize("size", [1, 5376, MIB - 1, 77 * MIB, GIB // 2, GIB + 1, 123 * GIB + 5])
def test_the_size_to_type_is_enough_and_not_much_more(size):
    typed = float(enough_gib(size))
    assert size <= FramesConfig(cache_gib=typed).cache_bytes + 1
    assert typed * GIB <= 1.11 * size


def test_the_size_to_type_has_two_digits():
    assert [enough_gib(size) for size in (GIB // 2, int(1.234 * GIB))] == ["0.5", "1.3"]
    assert enough_gib(3 * GIB // 1024) == "0.003"
