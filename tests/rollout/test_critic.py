"""What the value model beside the policy was made for, and what it says of the rest."""

from dataclasses import replace

import pytest

from data.errors import CheckpointError
from envs.tabletop import LAYOUT, Tabletop
from recap.rollout.critic import Critic
from value_models.checkpoint import load_checkpoint, save_checkpoint


def test_a_task_it_was_not_trained_on_is_warned_of_once(tiny_value, caplog):
    critic = Critic(tiny_value, batch_size=2)
    seen = replace(Tabletop().reset(seed=5), task=load_checkpoint(tiny_value).spec.tasks[0])
    foreign = replace(seen, task="sing a song")
    critic.values({0: seen})
    assert caplog.messages == []
    for _ in range(2):
        assert -1.0 <= critic.values({0: seen, 1: foreign})[1] <= 0.0
    assert caplog.messages == ["The value model was not trained on 'sing a song': it guesses."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 50}, "made for 20 frames a second, and the episodes have 50"),
        ({"state_names": LAYOUT.state_names[::-1]}, "made for the state entries ee_x, ee_y"),
    ],
)
def test_attempts_at_another_rate_or_of_another_robot_are_refused(
    tiny_value, tmp_path, change, message
):
    model = load_checkpoint(tiny_value)
    model.spec = replace(model.spec, fps=LAYOUT.fps, state_names=LAYOUT.state_names)
    save_checkpoint(model, tmp_path / "value")
    seen = {0: Tabletop().reset(seed=5)}
    Critic(tmp_path / "value", batch_size=1, layout=LAYOUT).values(seen)
    other = Critic(tmp_path / "value", batch_size=1, layout=replace(LAYOUT, **change))
    with pytest.raises(CheckpointError, match=message):
        other.values(seen)
