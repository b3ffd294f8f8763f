from __future__ import annotations

import pytest
import torch

from recap.policies.pooling import pooled
from value_models.policy_features_config import Pooling

TOKENS = torch.tensor(
    [[[1.0, 10.0], [3.0, 30.0], [8.0, 20.0]], [[2.0, 4.0], [6.0, -8.0], [9.0, 9.0]]]
)
MASK = torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize(
    ("pooling", "rows"),
    [
        (Pooling.MEAN, [[4.0, 20.0], [4.0, -2.0]]),
        (Pooling.MEAN_MAX, [[4.0, 20.0, 8.0, 30.0], [4.0, -2.0, 6.0, 4.0]]),
        # three tokens make three stretches, and what only fills up counts as nothing
        (Pooling.GRID, [[1.0, 10.0, 3.0, 30.0, 8.0, 20.0], [2.0, 4.0, 6.0, -8.0, 0.0, 0.0]]),
    ],
)
def test_tokens_that_only_fill_up_do_not_count(pooling, rows):
    torch.testing.assert_close(pooled(TOKENS, mask=MASK, pooling=pooling), torch.tensor(rows))


def test_a_long_sequence_keeps_the_means_of_sixteen_stretches():
    tokens = torch.arange(33.0)[None, :, None]
    mask = torch.ones(1, 33, dtype=torch.bool)
    mask[0, 0] = False
    # 33 = 3 + 15 * 2: 0 to 2, 3 and 4, 5 and 6, ...
    wanted = [1.5, *(3.5 + 2.0 * step for step in range(15))]
    torch.testing.assert_close(
        pooled(tokens, mask=mask, pooling=Pooling.GRID), torch.tensor([wanted])
    )


@pytest.mark.parametrize("pooling", Pooling)
def test_a_row_is_a_row_already(pooling):
    row = torch.randn(3, 5)
    assert pooled(row, mask=None, pooling=pooling) is row


def test_more_axes_than_a_map_has_are_refused():
    with pytest.raises(ValueError, match=r"an output of shape \(1, 2, 3, 4, 5\) cannot be pooled"):
        pooled(torch.zeros(1, 2, 3, 4, 5), mask=None, pooling=Pooling.MEAN)
