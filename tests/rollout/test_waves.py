from dataclasses import replace

import numpy as np
import pytest

from envs.tabletop import Tabletop
from recap.rollout.attempt import AttemptPlan
from recap.rollout.pilots import PolicyPilot
from recap.rollout.wave import Wave, run_wave, waves_of

pytestmark = pytest.mark.render

PLACES = 4
PLANS = tuple(AttemptPlan(seed=seed, time_limit_steps=24) for seed in range(10, 14))


@pytest.fixture
def make_pilot(tiny_policy):
    def made(**told):
        return PolicyPilot(tiny_policy, batch_size=PLACES, **told)

    return made


def flown(pilot, plans):
    """Run a wave and return what every attempt saw and did, by its seed."""
    records = {}

    def keep(attempt):
        records[attempt.plan.seed] = attempt.record(
            uid="rollout-01-00000001", iteration=1, policy_id="tiny"
        )

    worlds = [Tabletop() for _ in plans]
    run_wave(Wave(plans=tuple(plans)), worlds, pilot, is_recorded=True, on_finished=keep)
    return records


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
    seen = Tabletop().reset(seed=0)
    chunks = pilot.chunks(dict.fromkeys(range(PLACES), seen))
    assert chunks[0].shape == (8, 5)
    np.testing.assert_allclose(chunks[0], chunks[2], atol=1e-5)
    for place in (1, 3):
        assert np.abs(chunks[0] - chunks[place]).max() > 0.1


def test_only_the_attempts_that_ask_are_answered_and_draw_noise(make_pilot):
    seen = Tabletop().reset(seed=0)
    patient, eager = make_pilot(), make_pilot()
    for pilot in (patient, eager):
        pilot.begin([1, 2, 3, 4])
    eager.chunks({0: seen, 3: seen})
    answers = [pilot.chunks({1: seen}) for pilot in (patient, eager)]
    assert [list(answer) for answer in answers] == [[1], [1]]
    np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_what_the_policy_is_told_reaches_it(make_pilot):
    seen = Tabletop().reset(seed=0)
    chunks = []
    for told in ("positive", "none", "negative"):
        pilot = make_pilot(indicator=told)
        pilot.begin([1, 2, 3, 4])
        chunks.append(pilot.chunks({0: seen})[0])
    assert not np.array_equal(chunks[0], chunks[1])
    assert not np.array_equal(chunks[0], chunks[2])


def test_guidance_reaches_the_policy(make_pilot):
    seen = Tabletop().reset(seed=0)
    chunks = []
    for guidance in (1.0, 3.0):
        pilot = make_pilot(guidance=guidance)
        pilot.begin([1, 2, 3, 4])
        chunks.append(pilot.chunks({0: seen})[0])
    assert not np.array_equal(*chunks)


def test_plans_are_cut_into_waves_in_their_order():
    assert [len(wave.plans) for wave in waves_of(PLANS, size=3)] == [3, 1]
    assert [plan for wave in waves_of(PLANS, size=3) for plan in wave.plans] == list(PLANS)
    assert waves_of([], size=3) == []
