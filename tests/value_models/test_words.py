"""Instructions as numbers."""

from value_models.words import WordTable, split_words

TABLE = WordTable.of(["Put the red cube on the pad.", "push"], unknown_words=8)


def test_words_lose_case_and_punctuation_and_keep_their_order():
    assert split_words("Put the Würfel, please!") == ["put", "the", "würfel", "please"]


def test_every_known_word_has_its_own_number_and_rows_are_padded_with_zero():
    assert TABLE.vocabulary == ("cube", "on", "pad", "push", "put", "red", "the")
    assert TABLE.encode(["red CUBE", "push"]).tolist() == [[6, 1], [4, 0]]


def test_an_unknown_word_always_falls_into_the_same_unknown_slot():
    first, second = TABLE.encode(["green cube", "cube green"]).tolist()
    assert first == second[::-1]
    # crc32("green") is 3499814433, and 3499814433 % 8 is 1.
    assert first[0] == 1 + 7 + 1
    assert len(TABLE) == 1 + 7 + 8


def test_an_instruction_without_words_is_all_padding():
    assert TABLE.encode(["", "..."]).tolist() == [[0], [0]]
