from pathlib import Path

import pytest

from data.errors import ConfigError
from recap.config import RecapConfig
from recap.project import Project
from recap.settings import plain_settings, read_settings, settings_of

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def message_of(arguments):
    with pytest.raises(ConfigError) as caught:
        read_settings(arguments)
    return str(caught.value)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    return tmp_path / "configs" / "x.yaml"


def test_flags_go_over_the_file(in_folder):
    in_folder.write_text("project: runs/x\nseed: 1\nadvantage:\n  horizon: 7\n")
    config = read_settings(["--config_path=configs/x.yaml", "--advantage.horizon", "9"])
    assert (config.project, config.seed, config.advantage.horizon) == (Path("runs/x"), 1, 9)


def test_both_spellings_of_a_flag_mean_the_same():
    spelled = [["--project=p", "--seed=3"], ["--project", "p", "--seed", "3"]]
    assert read_settings(spelled[0]) == read_settings(spelled[1])


def test_a_flag_changes_one_place_of_a_group_that_stands_in_two(in_folder):
    in_folder.write_text("project: p\nvalue: &v\n  steps: 5\npretraining:\n  value: *v\n")
    config = read_settings(["--config_path=configs/x.yaml", "--value.steps=9"])
    assert (config.value.steps, config.pretraining.value.steps) == (9, 5)


def test_a_robot_is_described_in_lerobots_own_words():
    config = read_settings(
        [
            "--project=p",
            "--robot.type=so101_follower",
            "--robot.port=/dev/ttyACM0",
            "--robot.cameras.front.width=640",
            "--robot.cameras.front.type=opencv",
            "--teleop.type=so101_leader",
        ]
    )
    assert config.robot == {
        "type": "so101_follower",
        "port": "/dev/ttyACM0",
        "cameras": {"front": {"width": 640, "type": "opencv"}},
    }
    assert config.teleop == {"type": "so101_leader"}


def test_what_is_typed_at_every_session_has_short_names():
    config = read_settings(
        [
            "--project=p",
            "--robot.type=so101_follower",
            "--episodes=3",
            "--minutes=2.5",
            "--policy.path=runs/a/policy",
            "--policy.address=gpu:8765",
            "--policy.deadline_s=0.5",
            "--policy.openpi.chunk_steps=60",
            "--policy.guidance=2",
        ]
    )
    session, remote = config.session, config.remote
    assert (session.episodes, session.minutes) == (3, 2.5)
    assert session.policy == Path("runs/a/policy")
    assert (remote.address, remote.deadline_s, remote.openpi.chunk_steps) == ("gpu:8765", 0.5, 60)
    assert config.policy.guidance == 2  # how it is trained keeps its name


def test_a_flag_for_one_joint_leaves_the_others_as_they_are(in_folder):
    in_folder.write_text("project: p\nsafety:\n  speeds:\n    gripper.pos: 1000\n")
    flags = ["--safety.speeds.lift.pos=30", "--safety.high={lift.pos: 90}"]
    config = read_settings(["--config_path=configs/x.yaml", *flags])
    assert config.safety.speeds == {"gripper.pos": 1000, "lift.pos": 30}
    assert config.safety.high == {"lift.pos": 90}


@pytest.mark.parametrize("text", ["put it down: gently", "on", "7", "[red] to {green}", "#1", ""])
def test_an_instruction_is_taken_word_by_word(text):
    assert read_settings(["--project=p", f"--task={text}"]).session.task == text


def test_a_token_is_written_nowhere():
    config = read_settings(["--project=p", "--policy.token=correct-horse-battery"])
    assert config.remote.token == "correct-horse-battery"  # noqa: S105 - of this test
    assert "correct-horse-battery" not in f"{config} {plain_settings(config)}"


@pytest.mark.parametrize("name", ["form.token", "label.database_url", "database-url"])
def test_what_opens_a_door_is_written_nowhere(name):
    door = "postgresql://anna:correct-horse-battery@server/recap"
    config = read_settings(["--project=p", f"--{name}={door}"])
    assert door in {config.form.token, config.label.database_url}
    assert "correct-horse" not in f"{config} {plain_settings(config)}"


def test_a_question_is_taken_word_by_word():
    flags = ["--label.criteria.up=Is it up: yes or no?", "--label.criteria.n.1=1"]
    config = read_settings(["--project=p", *flags])
    assert config.label.criteria == {"up": "Is it up: yes or no?", "n.1": "1"}
    config = read_settings(["--project=p", "--label.criteria={up: 'Is it up?'}"])
    assert config.label.criteria == {"up": "Is it up?"}


def test_names_that_only_one_command_knows_are_unknown_elsewhere():
    assert message_of(["--project=p", "--to=v.csv"]).startswith("'to' is not a setting.")
    known = {"to": "label.file"}
    config = read_settings(["--project=p", "--to=v.csv"], short_names=known)
    assert config.label.file == Path("v.csv")
    with pytest.raises(ConfigError, match="'episodes' is not a setting"):
        read_settings(["--project=p", "--episodes=3"], short_names=known)


def test_an_unknown_key_of_the_file_names_the_nearest(in_folder):
    in_folder.write_text("project: runs/x\nadvantage:\n  horizn: 7\n")
    assert message_of(["--config_path", "configs/x.yaml"]) == (
        "configs/x.yaml: 'advantage.horizn' is not a setting. Did you mean 'horizon'?"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--advantage.horizn=7"],
            "'advantage.horizn' is not a setting. Did you mean 'horizon'?",
        ),
        (
            ["--advantge.horizon=7"],
            "'advantge.horizon' is not a setting. Did you mean 'advantage'?",
        ),
        (["--horizon=7"], "'horizon' is not a setting. Did you mean 'advantage.horizon'?"),
        (["--xyzzy=7"], "'xyzzy' is not a setting."),
        (["--seed"], "--seed needs a value: --seed=..."),
        (["--seed", "--workers=2"], "--seed needs a value: --seed=..."),
        (["seed=1"], "'seed=1' is not a setting. Settings look like --field.sub=value."),
        (["--project=p", "--seed={"], "--seed: '{' cannot be read as a value."),
        (["--project=p", "--seed=one"], "seed: Couldn't parse 'one' into an int"),
        (
            ["--project=p", "--advantage.horizon=0"],
            "advantage.horizon must be at least 1 frame, got 0.",
        ),
        (
            ["--project=p", "--advantage.positive_fraction=1"],
            "advantage.positive_fraction must lie strictly between 0 and 1, got 1.0. "
            "The paper uses 0.3 for demonstrations and 0.4 for rollouts.",
        ),
        (
            ["--seed=1"],
            "project is not set. Say which folder the run lives in: --project=runs/NAME",
        ),
        (["--config_path=no/such.yaml"], "There is no file 'no/such.yaml'."),
        (["--project=p", "--iterations=0"], "iterations must be at least 1, got 0."),
        (
            ["--project=p", "--session.operator=Simulator"],
            "session.operator must not be Simulator: what a person says would count as measured, "
            "and give way to everybody else. Type --session.operator=YOUR_NAME.",
        ),
        (
            ["--project=p", "--wandb.mode=of"],
            "wandb.mode must be one of disabled, offline, online, got of.",
        ),
        (
            ["--project=p", "--inspect.pick=best"],
            "inspect.pick must be one of worst, random, failures, corrected; got 'best'.",
        ),
        (
            ["--project=p", "--pretraining.value.model.policy.pooling=0.5"],
            "pretraining.value.model.policy.pooling must be one of mean, mean_max, grid; got "
            "'0.5'.",
        ),
        (
            ["--project=p", "--value.holdout_by="],
            "value.holdout_by must be one of episode, session, rater; got ''.",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, message):
    assert message_of(arguments) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "advantage: 7\nproject: p\n",
            "configs/x.yaml: 'advantage' is a group of settings, not one: "
            "horizon, positive_fraction, pretraining_positive_fraction, accept_unusable.",
        ),
        ("- 1\n", "configs/x.yaml is not a list of settings: it needs lines like 'seed: 1'."),
        (
            "seed: [1\nproject: p\n",
            "configs/x.yaml cannot be read as YAML: while parsing a flow sequence",
        ),
    ],
)
def test_a_file_that_is_not_a_configuration_is_named(in_folder, content, message):
    in_folder.write_text(content)
    assert message_of(["--config_path=configs/x.yaml"]).startswith(message)


def test_a_misspelled_file_names_its_neighbour(in_folder):
    in_folder.write_text("")
    assert message_of(["--config_path=configs/y.yaml"]) == (
        "There is no file 'configs/y.yaml'. Did you mean 'configs/x.yaml'?"
    )


def test_a_project_is_opened_with_the_settings_it_was_made_with(tmp_path):
    made = RecapConfig(project=tmp_path / "run", seed=7)
    Project.create(made.project, plain_settings(made))
    assert read_settings([f"--project={made.project}"]) == made


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["--demonstrations.first_seed=100"],
            "'demonstrations' and 'evaluate' use the same worlds, seeds 100 to 199: a policy would "
            "be measured on what it was trained on. Move one of them with "
            "--evaluate.first_seed=...",
        ),
        (
            ["--base=b", "--demonstrations.first_seed=8999999"],
            "'demonstrations' and 'base' use the same worlds, seeds 9000000 to 9000298: a policy "
            "would be measured on what it was trained on. Move one of them with "
            "--demonstrations.first_seed=...",
        ),
        (["--evaluate.first_seed=-1"], "Seeds must not be negative: 'evaluate' starts at -1."),
    ],
)
def test_no_world_is_used_twice(settings, message):
    assert message_of(["--project=p", *settings]) == message


def test_the_laps_collect_in_worlds_of_their_own():
    config = RecapConfig(project=Path("p"))
    assert config.collection_seeds(1) == range(1_000_000, 1_000_200)
    assert config.collection_seeds(2) == range(1_000_200, 1_000_400)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_of_the_repository_is_valid(path):
    read_settings([f"--config_path={path}"])


def test_every_setting_has_a_sentence():
    listed = settings_of(tuple(RecapConfig.__dataclass_fields__))
    assert [setting.name for setting in listed if not setting.sentence.endswith(".")] == []


def test_what_is_for_a_session_is_refused_where_there_is_no_robot(tmp_path):
    with pytest.raises(ConfigError) as mistake:
        read_settings([f"--project={tmp_path}", "--episodes=3"])
    assert str(mistake.value) == (
        "--episodes is for a session with a robot, and none is named. Name it with "
        "--robot.type=... or --config_path=..., or, for the simulation, use --collect.episodes or "
        "--demonstrations.episodes."
    )
    assert (
        read_settings(
            [f"--project={tmp_path}", "--episodes=3", "--robot.type=so101_follower"]
        ).session.episodes
        == 3
    )


def test_a_short_name_is_suggested_too(tmp_path):
    with pytest.raises(ConfigError, match=r"'epsiodes' is not a setting. Did you mean 'episodes'"):
        read_settings([f"--project={tmp_path}", "--epsiodes=3"])
