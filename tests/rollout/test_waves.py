from dataclasses import replace

import numpy as np
import pytest

from data.schema import Pilot
from envs.tabletop import Tabletop
from envs.world import Observation
from recap.rollout.attempt import AttemptPlan
from recap.rollout.chunks import Prefix
from recap.rollout.critic import Critic
from recap.rollout.execution import ExecutionConfig
from recap.rollout.pilots import DEFAULT_EXECUTION, PolicyPilot, Question
from recap.rollout.takeover import WhenStalled, WhenValueFalls
from recap.rollout.wave import Wave, run_wave, waves_of

pytestmark = pytest.mark.render

PLACES = 4
PLANS = tuple(AttemptPlan(seed=seed, time_limit_steps=24) for seed in range(10, 14))


@pytest.fixture
def make_pilot(tiny_policy):
    def made(**told):
        return PolicyPilot(tiny_policy, batch_size=PLACES, **told)

    return made


@pytest.fixture
def critic(tiny_value):
    return Critic(tiny_value, batch_size=PLACES)


def flown(pilot, plans, execution=DEFAULT_EXECUTION, critic=None):
    """Run a wave and return what every attempt saw and did, by its seed."""
    records = {}

    def keep(attempt):
        records[attempt.plan.seed] = attempt.record(
            uid="rollout-01-00000001", iteration=1, policy_id="tiny"
        )

    worlds = [Tabletop() for _ in plans]
    run_wave(
        Wave(plans=tuple(plans)),
        worlds,
        pilot,
        is_recorded=True,
        on_finished=keep,
        execution=execution,
        critic=critic,
    )
    return records


def correcting(record):
    """Say who was in control, step by step: the policy or the expert."""
    return "".join("E" if pilot is Pilot.EXPERT else "p" for pilot in record.pilot)


def actions(chunks):
    return {place: chunk.actions for place, chunk in chunks.items()}


def assert_same(records, others, seed):
    first, second = records[seed], others[seed]
    np.testing.assert_array_equal(first.action, second.action)
    np.testing.assert_array_equal(first.state, second.state)
    for camera, pictures in first.images.items():
        np.testing.assert_array_equal(pictures, second.images[camera])
    assert first.pilot == second.pilot


@pytest.mark.parametrize(
    "others",
    [
        {"takeover_step": 0, "time_limit_steps": 100},
        {"takeover_step": 7},
        {"time_limit_steps": 5},
        {"seed": 77},
    ],
    ids=["the expert's", "corrected", "over soon", "other worlds"],
)
def test_an_attempt_does_not_depend_on_how_the_others_go(make_pilot, others):
    whole = flown(make_pilot(), PLANS)
    changed = [plan if place == 2 else replace(plan, **others) for place, plan in enumerate(PLANS)]
    assert_same(whole, flown(make_pilot(), changed), PLANS[2].seed)


def test_a_wave_that_is_not_full_goes_as_a_full_one(make_pilot):
    whole, part = flown(make_pilot(), PLANS), flown(make_pilot(), PLANS[:1])
    assert list(part) == [PLANS[0].seed]
    assert_same(whole, part, PLANS[0].seed)


def test_a_pilot_remembers_nothing_of_the_wave_before(make_pilot):
    used = make_pilot()
    flown(used, [replace(plan, seed=plan.seed + 50) for plan in PLANS])
    fresh, again = flown(make_pilot(), PLANS), flown(used, PLANS)
    for plan in PLANS:
        assert_same(fresh, again, plan.seed)


def test_every_attempt_has_noise_of_its_own(make_pilot):
    pilot = make_pilot()
    pilot.begin([1, 2, 1, 3])
    seen = Question(observation=Tabletop().reset(seed=0))
    chunks = actions(pilot.chunks(dict.fromkeys(range(PLACES), seen)))
    assert chunks[0].shape == (8, 5)
    np.testing.assert_allclose(chunks[0], chunks[2], atol=1e-5)
    for place in (1, 3):
        assert np.abs(chunks[0] - chunks[place]).max() > 0.1


def test_only_the_attempts_that_ask_are_answered_and_draw_noise(make_pilot):
    seen = Question(observation=Tabletop().reset(seed=0))
    patient, eager = make_pilot(), make_pilot()
    for pilot in (patient, eager):
        pilot.begin([1, 2, 3, 4])
    eager.chunks({0: seen, 3: seen})
    answers = [actions(pilot.chunks({1: seen})) for pilot in (patient, eager)]
    assert [list(answer) for answer in answers] == [[1], [1]]
    np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_what_the_policy_is_told_reaches_it(make_pilot):
    seen = Question(observation=Tabletop().reset(seed=0))
    chunks = []
    for told in ("positive", "none", "negative"):
        pilot = make_pilot(indicator=told)
        pilot.begin([1, 2, 3, 4])
        chunks.append(pilot.chunks({0: seen})[0].actions)
    assert not np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])


def test_guidance_reaches_the_policy(make_pilot):
    seen = Question(observation=Tabletop().reset(seed=0))
    chunks = []
    for guidance in (1.0, 3.0):
        pilot = make_pilot(guidance=guidance)
        pilot.begin([1, 2, 3, 4])
        chunks.append(pilot.chunks({0: seen})[0].actions)
    assert not np.array_equal(*chunks)


def test_attempts_with_different_prefixes_are_answered_as_if_alone(make_pilot):
    execution = ExecutionConfig(type="real_time")
    seen = Tabletop().reset(seed=0)
    prefixes = [
        None,
        Prefix(normalised=np.ones((4, 5), dtype=np.float32), delay_steps=2),
        Prefix(normalised=np.ones((3, 5), dtype=np.float32), delay_steps=2),
        Prefix(normalised=-np.ones((4, 5), dtype=np.float32), delay_steps=2),
    ]
    questions = {
        place: Question(observation=seen, prefix=prefix) for place, prefix in enumerate(prefixes)
    }
    together = make_pilot(execution=execution)
    together.begin([1, 1, 1, 1])
    chunks = together.chunks(questions)
    for place, question in questions.items():
        alone = make_pilot(execution=execution)
        alone.begin([1, 1, 1, 1])
        chunk = alone.chunks({place: question})[place]
        np.testing.assert_array_equal(chunk.actions, chunks[place].actions)
    assert chunks[1].normalised.mean() > chunks[0].normalised.mean() > chunks[3].normalised.mean()


@pytest.mark.parametrize("kind", ["temporal_ensemble", "real_time"])
def test_however_chunks_are_carried_out_an_attempt_depends_on_itself_alone(make_pilot, kind):
    execution = ExecutionConfig(type=kind, latency_s=0.1)
    whole = flown(make_pilot(execution=execution), PLANS, execution)
    changed = [plan if place == 2 else replace(plan, seed=77) for place, plan in enumerate(PLANS)]
    part = flown(make_pilot(execution=execution), changed, execution)
    assert_same(whole, part, PLANS[2].seed)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        # Two steps of latency at 20 Hz; a chunk of 8 actions of which 4 are carried out.
        ("synchronous", "001111" * 4),
        ("temporal_ensemble", "00" + "1" * 22),
        ("real_time", "00" + "1" * 22),
    ],
)
def test_under_latency_the_arm_holds_where_the_execution_has_nothing_to_do(make_pilot, kind, asked):
    execution = ExecutionConfig(type=kind, latency_s=0.1)
    record = flown(make_pilot(execution=execution), PLANS[:1], execution)[PLANS[0].seed]
    has_action = ~np.isnan(record.policy_action).all(axis=1)
    assert "".join(str(int(flag)) for flag in has_action) == asked
    assert not record.action[~has_action][:, :4].any()


def test_without_latency_synchronous_execution_looks_every_few_steps_and_holds_never(make_pilot):
    record = flown(make_pilot(), PLANS[:1])[PLANS[0].seed]
    np.testing.assert_array_equal(record.policy_action, record.action)

    pilot = make_pilot()
    pilot.begin([PLANS[0].seed])
    for start in (0, 4, 8):
        seen = Observation(
            images={name: pictures[start] for name, pictures in record.images.items()},
            state=record.state[start],
            task=record.info.task,
        )
        chunk = pilot.chunks({0: Question(observation=seen)})[0]
        np.testing.assert_array_equal(record.action[start : start + 4], chunk.actions[:4])


def test_plans_are_cut_into_waves_in_their_order():
    assert [len(wave.plans) for wave in waves_of(PLANS, size=3)] == [3, 1]
    assert [plan for wave in waves_of(PLANS, size=3) for plan in wave.plans] == list(PLANS)
    assert waves_of([], size=3) == []


class Told:
    """A value model that says what it is told to, and notes when it was asked of which places."""

    def __init__(self, **values):
        self._values = {int(name[1:]): list(told) for name, told in values.items()}
        self.asked = []

    def values(self, seen):
        self.asked.append(sorted(seen))
        return {place: self._values[place].pop(0) for place in seen}


FALLS = WhenValueFalls(drop=0.25, earliest_step=0)


def test_the_value_model_is_asked_when_the_policy_is_and_never_in_the_experts_hands(make_pilot):
    plans = [
        replace(PLANS[0], time_limit_steps=16, takeover=FALLS),
        replace(PLANS[1], time_limit_steps=16),
        replace(PLANS[2], time_limit_steps=16, takeover=FALLS),
    ]
    told = Told(_0=[-0.5, -0.25, -0.75], _2=[-0.5, -0.5, -0.25, -0.5])
    records = flown(make_pilot(), plans, critic=told)
    # The policy carries out four actions of a chunk, so it decides at steps 0, 4, 8 and 12.
    assert told.asked == [[0, 2], [0, 2], [0, 2], [2]]
    assert [correcting(records[plan.seed]) for plan in plans] == ["p" * 8 + "E" * 8] + [
        "p" * 16
    ] * 2


@pytest.mark.parametrize("kind", ["synchronous", "temporal_ensemble", "real_time"])
@pytest.mark.parametrize("latency_s", [0.0, 0.1])
def test_the_policy_begins_afresh_where_control_is_handed_back(
    make_pilot, kind, latency_s, monkeypatch
):
    execution = ExecutionConfig(type=kind, latency_s=latency_s)
    plan = replace(PLANS[0], takeover_step=5, correction_steps=6)
    pilot, states = make_pilot(execution=execution), []
    answer = pilot.chunks

    def note(asked):
        states.append(asked[0].observation.state)
        return answer(asked)

    monkeypatch.setattr(pilot, "chunks", note)
    record = flown(pilot, [plan], execution)[plan.seed]
    assert correcting(record) == "p" * 5 + "E" * 6 + "p" * 13
    asked = ~np.isnan(record.policy_action).all(axis=1)
    waits = round(latency_s * 20)
    # It sees where it is before it acts: what it wanted before the correction is forgotten.
    assert asked[11:].tolist()[: waits + 2] == [False] * waits + [True] * 2
    seen = Observation(
        images={name: pictures[11] for name, pictures in record.images.items()},
        state=record.state[11],
        task=record.info.task,
    )
    at_handover = [np.array_equal(state, record.state[11]) for state in states].index(True)
    fresh = make_pilot()
    fresh.begin([plan.seed])
    question = {0: Question(observation=seen)}
    *_, chunk = [fresh.chunks(question)[0] for _ in range(at_handover + 1)]  # its noise is drawn on
    np.testing.assert_allclose(record.action[11 + waits], chunk.actions[0], atol=1e-6)


def test_control_may_be_taken_over_again_and_the_best_is_that_since_it_was_handed_back(make_pilot):
    plan = replace(PLANS[0], takeover=FALLS, correction_steps=4)
    told = Told(_0=[-0.25, -0.75, -0.75, -0.9, -0.25, -0.75])
    record = flown(make_pilot(), [plan], critic=told)[plan.seed]
    assert correcting(record) == "pppp" + "EEEE" + "p" * 12 + "EEEE"
    assert told.asked == [[0]] * 6


RULES = {
    "value": WhenValueFalls(drop=0.0001, earliest_step=3),
    "stall": WhenStalled(window_steps=4, spread=1.0, deviations=(0.3,) * 10, earliest_step=3),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    "others",
    [{"seed": 77}, {"time_limit_steps": 5}, {"takeover": None}, {"takeover_step": 0}],
    ids=["other worlds", "over soon", "not watched", "the expert's"],
)
def test_a_takeover_depends_on_its_attempt_alone(make_pilot, critic, rule, others):
    plans = [replace(plan, takeover=rule, correction_steps=6) for plan in PLANS]
    whole = flown(make_pilot(), plans, critic=critic)
    corrected = {correcting(record) for record in whole.values()}
    assert any("Ep" in pilots for pilots in corrected)
    if "takeover_step" in others:
        others = {**others, "takeover": None, "correction_steps": 0}
    changed = [plan if place == 2 else replace(plan, **others) for place, plan in enumerate(plans)]
    assert_same(whole, flown(make_pilot(), changed, critic=critic), PLANS[2].seed)


def test_the_value_of_an_attempt_does_not_depend_on_who_else_is_asked(critic, tiny_value):
    seen = {place: Tabletop().reset(seed=place) for place in range(PLACES)}
    together = critic.values(seen)
    assert len(set(together.values())) == PLACES
    assert all(-1.0 <= value <= 0.0 for value in together.values())
    for place in seen:
        assert critic.values({place: seen[place]}) == {place: together[place]}
    # A longer instruction pads all the others, which must not move their values.
    wordy = replace(seen[3], task="put the red cube on the green pad and then do nothing else")
    assert critic.values({**seen, 3: wordy})[0] == together[0]


def test_the_critic_says_what_the_value_model_says(critic, tiny_value):
    from value_models.checkpoint import load_checkpoint
    from value_models.frames import Observations
    from value_models.prediction import predict_values

    seen = [Tabletop().reset(seed=seed) for seed in (5, 6)]
    observations = Observations(
        images={name: np.stack([s.images[name] for s in seen]) for name in seen[0].images},
        state=np.stack([s.state for s in seen]),
        task_index=np.array([0, 1]),
        tasks=[s.task for s in seen],
    )
    values = predict_values(load_checkpoint(tiny_value), observations)
    said = critic.values({1: seen[0], 3: seen[1]})
    np.testing.assert_allclose([said[1], said[3]], values, atol=1e-6)
