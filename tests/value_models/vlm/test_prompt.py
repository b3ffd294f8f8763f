import numpy as np
import pytest
import torch

from value_models.vlm.prompt import standardise, state_bins, write_prompt
from value_models.vlm.tokens import PromptTokens, make_rows


def test_joints_three_standard_deviations_off_reach_the_ends():
    mean, std = torch.tensor([1.0]), torch.tensor([2.0])
    state = torch.tensor([[1.0], [7.0], [-5.0], [4.0], [100.0], [-100.0]])
    #   (1 - 1) / 6 = 0, (7 - 1) / 6 = 1, (-5 - 1) / 6 = -1, (4 - 1) / 6 = 0.5, beyond: the ends
    expected = [[0.0], [1.0], [-1.0], [0.5], [1.0], [-1.0]]
    assert standardise(state, mean, std).tolist() == expected


def test_joints_are_numbered_as_pi05_numbers_them():
    standard = np.linspace(-1.0, 1.0, 1001, dtype=np.float32)[:-1]
    as_pi05 = np.digitize(standard, bins=np.linspace(-1, 1, 256 + 1)[:-1]) - 1
    assert state_bins(torch.from_numpy(standard)).tolist() == as_pi05.tolist()
    assert state_bins(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]


def test_a_prompt_names_task_and_state():
    assert write_prompt(" lift_the cube\n", [3, 255]) == (
        "Task: lift the cube, State: 3 255;\nValue:"
    )
    assert write_prompt("lift") == "Task: lift;\nValue:"


def test_rows_are_padded_on_the_right_and_say_where_the_answer_is():
    rows = make_rows([[5, 6], [7]], [[8], [9, 10, 11]], padding=4)
    assert rows.ids.tolist() == [[5, 6, 8, 4], [7, 9, 10, 11]]
    assert rows.valid.tolist() == [[True, True, True, False], [True] * 4]
    assert rows.is_answer.tolist() == [[False, False, True, False], [False, True, True, True]]
    assert rows.last().tolist() == [2, 3]


def test_a_place_for_the_state_follows_every_prompt():
    rows = make_rows([[5, 6], [7]]).with_place_for_state()
    assert rows.valid.tolist() == [[True, True, True], [True, True, False]]
    assert rows.last().tolist() == [2, 1]
    assert not rows.is_answer.any()


def test_each_distinct_prompt_is_encoded_once():
    asked = []

    def encode(texts):
        asked.append(list(texts))
        return [[len(text)] for text in texts]

    tokens = PromptTokens(encode, vocabulary_size=9)
    assert tokens(["a", "bb", "a"]) == [[1], [2], [1]]
    assert tokens(["bb", "ccc"]) == [[2], [3]]
    assert asked == [["a", "bb"], ["ccc"]]


def test_a_token_without_an_embedding_is_refused():
    from data.errors import CheckpointError

    tokens = PromptTokens(lambda texts: [[9]] * len(texts), vocabulary_size=9)
    with pytest.raises(CheckpointError, match="writes token 9, and the language model has embeddi"):
        tokens(["a"])
