from dataclasses import asdict, replace

import pytest

from data.errors import ConfigError, FingerprintError
from data.files import read_json, write_json_atomically
from recap.config import RecapConfig, WorldConfig
from recap.policies.fingerprint import policy_fingerprint
from recap.progress import silent
from recap.project import Project
from recap.rollout.execution import ExecutionConfig
from recap.settings import plain_settings
from recap.stages import evaluate
from recap.stages.collect import CollectConfig
from recap.stages.evaluate import EvaluateConfig

pytestmark = pytest.mark.render


@pytest.fixture
def config(tmp_path):
    return RecapConfig(
        project=tmp_path / "run",
        workers=1,
        world=WorldConfig(time_limit_steps=12),
        collect=CollectConfig(worlds_per_worker=3),
        evaluate=EvaluateConfig(episodes=4, first_seed=70, conditioning_episodes=2),
    )


@pytest.fixture
def project(config, tiny_policy):
    """A project whose policies are all the same one."""
    made = Project.create(config.project, plain_settings(config))
    for lap in (0, 1):
        made.policy(lap).parent.mkdir(parents=True)
        made.policy(lap).symlink_to(tiny_policy)
    return made


def test_an_evaluation_says_of_whom_how_and_what(config, project, tiny_policy):
    report = evaluate.run(config, project, iteration=0, progress=silent)
    content = read_json(project.evaluation(0))
    fingerprint = policy_fingerprint(tiny_policy)
    assert content["policy"] == {"path": "iterations/0/policy", "fingerprint": fingerprint}
    assert content["indicator"] == "positive"
    assert content["guidance"] == 1.0
    assert content["execution"]["type"] == "synchronous"
    assert content["control_rate_hz"] == 20
    assert content["time_limit_steps"] == 12
    assert [episode["seed"] for episode in content["episodes"]] == [70, 71, 72, 73]
    assert {episode["success"] for episode in content["episodes"]} == {False}
    assert {episode["steps"] for episode in content["episodes"]} == {12}
    assert content["summary"]["n"] == 4
    assert content["summary"]["success"][1] == 0.0
    assert content["summary"]["median_steps_to_success"] is None
    assert set(content) & {"against_sft", "conditioning"} == set()
    assert report.headline().startswith("0% [0%, ")


def test_how_chunks_are_carried_out_is_a_setting_that_is_written_down(config, project):
    evaluate.run(config, project, iteration=0, progress=silent)
    execution = ExecutionConfig(type="real_time", executed_steps=9)
    with pytest.raises(ConfigError, match="the policy predicts only 8 actions at once"):
        evaluate.run(replace(config, execution=execution), project, iteration=0, progress=silent)
    execution = ExecutionConfig(type="real_time", latency_s=0.2)
    evaluate.run(replace(config, execution=execution), project, iteration=0, progress=silent)
    content = read_json(project.evaluation(0))
    assert content["execution"] == asdict(execution)


def test_what_a_robot_does_is_judged_in_sessions_and_not_measured_here(config, project):
    with pytest.raises(ConfigError) as refusal:
        evaluate.run(
            replace(config, robot={"type": "so101_follower"}),
            project,
            iteration=1,
            progress=silent,
        )
    assert str(refusal.value) == (
        f"An evaluation measures in simulation, and the attempts of {config.project} are a "
        f"robot's. Let the policy fly in a session and judge what it does there: "
        f"`recap collect --project={config.project} --iteration=2`"
    )


def test_the_same_policy_evaluated_again_does_the_same(config, project):
    first = evaluate.run(config, project, iteration=0, progress=silent)
    again = evaluate.run(config, project, iteration=0, progress=silent)
    assert first == again


def test_a_lap_is_set_against_imitation_on_the_same_worlds(config, project):
    evaluate.run(config, project, iteration=0, progress=silent)
    report = evaluate.run(config, project, iteration=1, progress=silent)
    content = read_json(project.evaluation(1))
    assert content["episodes"] == read_json(project.evaluation(0))["episodes"]
    assert set(content["against_sft"]) == {"throughput_ratio", "failure_ratio", "mcnemar_p"}
    assert content["against_sft"]["failure_ratio"][1] == 1.0  # the same policy
    assert content["against_sft"]["mcnemar_p"] == 1.0
    assert {told: part["n"] for told, part in content["conditioning"].items()} == {
        "none": 2,
        "negative": 2,
    }
    assert set(report.inputs) == {"iterations/1/policy", "iterations/0/evaluation.json"}


def test_policies_that_were_measured_on_other_worlds_are_not_compared(config, project):
    evaluate.run(config, project, iteration=0, progress=silent)
    other = read_json(project.evaluation(0))
    other["episodes"][0]["seed"] = 12345
    write_json_atomically(project.evaluation(0), other)
    with pytest.raises(FingerprintError) as refusal:
        evaluate.run(config, project, iteration=1, progress=silent)
    assert str(refusal.value) == (
        "The policy of iteration 0 was evaluated on other worlds, so the two cannot be compared. "
        "Run `recap evaluate --iteration=0` again."
    )
    assert not project.evaluation(1).exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "evaluate.episodes must be at least 1, got 0."),
        (
            {"conditioning_episodes": -1},
            "evaluate.conditioning_episodes must not be negative, got -1.",
        ),
        (
            {"indicator": "good"},
            "evaluate.indicator must be one of positive, none, negative, got good.",
        ),
    ],
)
def test_numbers_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as refusal:
        EvaluateConfig(**settings)
    assert str(refusal.value) == message
