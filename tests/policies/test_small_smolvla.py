from __future__ import annotations

import numpy as np

from recap.policies.checkpoint import load_policy
from recap.policies.small_smolvla import train_small_smolvla


def test_a_smolvla_is_built_trained_and_loaded_offline_with_the_indicator_in_its_prompt(
    tmp_path, frames, make
):
    report = train_small_smolvla(
        frames,
        destination=tmp_path / "smolvla",
        settings=make.settings(steps=2),
        statistics=make.statistics(frames),
        width=32,
        layers=2,
    )

    loaded = load_policy(report.destination, indicator="negative")
    batch = loaded.preprocessor(make.observation(frames, np.arange(2)))
    assert batch["task"][0] == f"{frames.tasks[0]}\nAdvantage: negative\n"
    assert 1 not in batch["observation.language.tokens"]  # no word is unknown
    chunk = loaded.postprocessor(loaded.policy.predict_action_chunk(batch))
    assert chunk.shape == (2, 8, frames.action.shape[1])
