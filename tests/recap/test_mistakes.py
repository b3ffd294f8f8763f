"""Each mistake at the command line: one message, exit code 2, nothing changed."""

import shutil

import pytest

from data.files import content_hash
from data.outcomes import OutcomeStore
from data.schema import Outcome
from recap.cli import main
from recap.project import Project
from recap.settings import plain_settings, read_settings

EPISODES = 6
SETTINGS = f"""
workers: 1
demonstrations:
  episodes: {EPISODES}
value: &value
  steps: 3
  batch_size: 4
  measurements: 1
policy: &policy
  steps: 2
  batch_size: 4
  warmup_steps: 1
pretraining:
  value: *value
  policy: *policy
advantage:
  horizon: 4
"""
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"
TABLE = "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory, demonstrate):
    """A project with demonstrations that nobody has judged."""
    folder = tmp_path_factory.mktemp("demonstrated")
    (folder / "settings.yaml").write_text(SETTINGS)
    config = read_settings(
        ["--config_path", str(folder / "settings.yaml"), f"--project={folder / 'run'}"]
    )
    project = Project.create(config.project, plain_settings(config))
    demonstrate(project, config.collection_seeds(0))
    return project.folder


@pytest.fixture(scope="module")
def marked(demonstrated, tmp_path_factory):
    """The same project, pre-trained, with the values and marks of a lap."""
    folder = shutil.copytree(demonstrated, tmp_path_factory.mktemp("marked") / "run")
    for command in ("pretrain", "train-value", "mark-advantage"):
        assert main([command, f"--project={folder}"]) == 0
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path.__class__("run")


def kept(folder):
    """Everything that a mistake must leave alone; merges are named by their content."""
    return {
        path.relative_to(folder): content_hash(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock" and path.parts[1] not in {"trainsets", "cache"}
    }


def refuse(arguments, folder, capsys):
    """Let a command refuse its work, and return what it said."""
    before = kept(folder)
    capsys.readouterr()
    assert main([*arguments, f"--project={folder}"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert kept(folder) == before
    return "\n".join(line for line in captured.err.splitlines() if not _is_progress(line))


def _is_progress(line):
    return line.split(":")[0] in {"frames", "train-value", "mark-advantage", "evaluate"}


def fingerprint(folder, iteration):
    """The training set that the lap's value model was made from."""
    from value_models.checkpoint import load_checkpoint

    return load_checkpoint(Project(folder).value(iteration)).spec.trainset_fingerprint


def change_an_outcome(folder):
    outcomes = OutcomeStore(Project(folder).outcomes)
    outcomes.judge(min(outcomes.outcomes()), Outcome.FAILURE, rater="me")
    outcomes.close()


def test_an_unknown_setting_in_the_file(folder, capsys):
    folder.mkdir()
    (folder / "mine.yaml").write_text("advantage:\n  horizn: 7\n")
    assert refuse(["iterate", "--config_path", "run/mine.yaml"], folder, capsys) == (
        "run/mine.yaml: 'advantage.horizn' is not a setting. Did you mean 'horizon'?"
    )


def test_an_unknown_setting_as_a_flag(folder, capsys):
    assert refuse(["iterate", "--advantage.horizn=7"], folder, capsys) == (
        "'advantage.horizn' is not a setting. Did you mean 'horizon'?"
    )
    assert not folder.exists()


def test_a_base_without_weights_before_a_project_is_made_with_it(folder, tmp_path, capsys):
    for half in ("value", "policy"):
        (tmp_path / "base" / half).mkdir(parents=True)
    (tmp_path / "base" / "value" / "model.safetensors").touch()
    assert refuse(["iterate", "--base=base"], folder, capsys) == (
        "base is not a base to start from: no policy/model.safetensors. Make one with `make base`, "
        "or leave the setting `base` out to pre-train here."
    )
    assert not folder.exists()


@pytest.mark.slow
def test_a_policy_without_weights(folder, marked, capsys):
    shutil.copytree(marked, folder)
    shutil.copytree(folder / "pretrained/policy", folder / "iterations/1/policy")
    (folder / "iterations/1/policy/model.safetensors").unlink()
    assert refuse(["evaluate"], folder, capsys) == (
        "run/iterations/1/policy has no weights (model.safetensors is missing), and a policy "
        "without them acts at random. Train it again, or restore the file."
    )


def test_unjudged_episodes(folder, demonstrated, capsys):
    shutil.copytree(demonstrated, folder)
    assert refuse(["train-value"], folder, capsys) == (
        "3 episode(s) of 'put the blue cube on the white pad', 3 episode(s) of 'put the red cube "
        "on the green pad' have no outcome. A missing label is never read as a failure. Judge them "
        "with `recap label --project=run`, let the simulation judge with `recap auto-label "
        "--project=run --iteration=0`, or leave them out with `--skip_unjudged=true`."
    )
    assert (
        main(["auto-label", "--project=run", "--iteration=0"]) == 0
    )  # what the message says to do
    assert main(["train-value", "--project=run"]) == 2  # past the outcomes, the base is missing
    assert "run/pretrained is not a base to start from" in capsys.readouterr().err


@pytest.mark.slow
def test_people_are_waited_for_and_the_same_command_goes_on(folder, demonstrated, capsys):
    shutil.copytree(demonstrated, folder)
    command = ["pretrain", "--project=run", "--label.rater=people"]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("iteration 0, collect: 6 episodes")
    assert captured.err.endswith(
        "6 attempt(s) of iteration 0 wait for people to judge them. Open the form with `recap "
        "label --project=run`; when they are judged, type the same command again. To go on without "
        "them: `--skip_unjudged=true`.\n"
    )
    outcomes = OutcomeStore(Project(folder).outcomes)
    uids = [episode.name for episode in sorted(Project(folder).episodes.glob("demonstration-*"))]
    outcomes.judge_many([(uid, Outcome.SUCCESS) for uid in uids[:4]], rater="anna")
    outcomes.judge_many([(uid, Outcome.FAILURE) for uid in uids[4:]], rater="anna")
    assert main(command) == 0
    outcomes.judge(uids[0], Outcome.FAILURE, rater="anna")
    outcomes.close()
    capsys.readouterr()
    assert main(command) == 0  # what is done stays done
    said = capsys.readouterr().out
    assert "label: 3 of 6 episodes are successes\n  warning: 1 verdict(s) changed since" in said
    assert said.count("(done before)") == 1 + 3  # collecting, and everything but the judging


@pytest.mark.parametrize("part", [VIDEO, TABLE])
def test_an_episode_that_was_cut_short(folder, demonstrated, capsys, part):
    shutil.copytree(demonstrated, folder)
    main(["auto-label", "--project=run", "--iteration=0"])
    episode = min(Project(folder).episodes.glob("demonstration-*"))
    whole = (episode / part).read_bytes()
    (episode / part).write_bytes(whole[: len(whole) // 2])
    assert refuse(["train-value"], folder, capsys) == (
        f"{episode} is not a whole episode: its files changed after they were written. Move the "
        f"folder away or delete it; the attempt can then be recorded again."
    )


@pytest.mark.slow
def test_a_value_model_of_another_training_set(folder, marked, capsys):
    shutil.copytree(marked, folder)
    Project(folder).advantages(1).unlink()
    change_an_outcome(folder)
    said = refuse(["mark-advantage"], folder, capsys)
    assert said.startswith(
        f"run/iterations/1/value was trained on the training set {fingerprint(folder, 1)}, but the "
        f"episodes and outcomes now make "
    )
    assert said.endswith(". Delete the folder and run `recap train-value` again.")


@pytest.mark.slow
def test_advantages_of_another_training_set(folder, marked, capsys):
    shutil.copytree(marked, folder)
    change_an_outcome(folder)
    said = refuse(["train-policy"], folder, capsys)
    assert said.startswith(f"These advantages mark the training set {fingerprint(folder, 1)}, not ")
    assert said.endswith(
        "Episodes or outcomes changed since: delete the file and run `recap mark-advantage` again."
    )
