"""What `torchrun` starts in the tests: train on the random walk, and write down what came out."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from value_models.config import ValueModelConfig, ValueTrainingConfig
from value_models.frames import JudgedFrames
from value_models.launch import end_process, is_main_process, process_count
from value_models.processes import told_by_main
from value_models.training import train_value_model

FIXTURES = Path(__file__).with_name("conftest.py")
SETTINGS = ValueTrainingConfig(
    model=ValueModelConfig(bins=11, channels=4, keypoints=2, text_width=4, hidden_size=8),
    steps=40,
    batch_size=8,
    measurements=4,
    holdout_fraction=0.2,
    save_every=10,
)


def random_walk(episodes: int) -> JudgedFrames:
    """Make the walks that the tests in one process learn from."""
    about = importlib.util.spec_from_file_location("worlds", FIXTURES)
    worlds = importlib.util.module_from_spec(about)
    about.loader.exec_module(worlds)
    return worlds.walk(episodes)


def main() -> None:
    """Train with the settings given as JSON, and write weights and learning curve to a folder."""
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    heard = []
    trained = train_value_model(
        random_walk(30),
        config=replace(SETTINGS, **changes),
        workspace=folder / "workspace",
        progress=lambda *said: heard.append(said),
    )
    name = "main" if is_main_process() else "other"
    save_file(trained.model.state_dict(), folder / f"{name}.safetensors")
    content = {
        "processes": process_count(),
        "metrics": trained.metrics,
        "heard": len(heard),
        "told": told_by_main(7.0 if is_main_process() else 0.0, device="cpu"),
    }
    (folder / f"{name}.json").write_text(json.dumps(content))
    if process_count() > 1:
        end_process(0)


if __name__ == "__main__":
    main()
