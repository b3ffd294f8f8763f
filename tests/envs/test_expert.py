import numpy as np
import pytest

from envs.expert import SKILLED, Expert, Habits, draw_habits
from envs.tabletop import CUBE_HALF_METRES, TIME_LIMIT_STEPS, Tabletop

pytestmark = pytest.mark.render

SEEDS = range(20)


def clumsy(seed):
    return draw_habits(np.random.default_rng([seed, 1]), skill=0.0)


def take_over(world, *, seed=0):
    """Let the skilled expert finish what somebody else began."""
    expert = Expert(rng=np.random.default_rng(seed), habits=SKILLED)
    expert.take_over(world)
    for step in range(TIME_LIMIT_STEPS):
        world.act(expert.action(world))
        if world.is_success:
            return step + 1
    return None


def test_the_skilled_expert_succeeds_and_the_clumsy_one_is_slower_and_fails_more(play):
    skilled = [play(seed) for seed in SEEDS]
    assert sum(steps is not None for steps in skilled) >= 0.95 * len(SEEDS)

    clumsily = [play(seed, habits=clumsy(seed)) for seed in SEEDS]
    failures = sum(steps is None for steps in clumsily)
    assert 0.2 * len(SEEDS) <= failures <= 0.8 * len(SEEDS)
    slow, quick = ([s for s in steps if s is not None] for steps in (clumsily, skilled))
    assert np.median(slow) > 1.3 * np.median(quick)


def test_a_cube_that_is_knocked_away_is_fetched_where_it_went(play, place):
    def knock(step, world):
        if step == 15:
            x, y, _ = world.target_cube
            place(world, world.target_colour, [x + 0.01, y - 0.05, CUBE_HALF_METRES])

    assert sum(play(seed, before_step=knock) is not None for seed in range(6)) >= 5


def test_a_cube_that_slips_out_of_the_hand_is_picked_up_again(play, place):
    slipped = []

    def slip(step, world):
        is_carrying = world.target_cube[2] > 0.05
        if is_carrying and len(slipped) < 1:
            slipped.append(step)
            x, y, _ = world.target_cube
            place(world, world.target_colour, [min(x, 0.36), y, CUBE_HALF_METRES])

    for seed in range(3):
        slipped.clear()
        steps = play(seed, before_step=slip)
        assert slipped
        assert steps is not None
        assert steps > slipped[0] + 10


@pytest.mark.parametrize("seed", range(4))
def test_the_expert_takes_over_from_somebody_who_flails(seed):
    world = Tabletop()
    world.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        world.act(rng.uniform(-1, 1, 5).astype(np.float32))
    assert take_over(world) is not None


def test_the_expert_takes_over_a_cube_that_is_already_in_the_hand():
    world = Tabletop()
    world.reset(seed=2)
    first = Expert(rng=np.random.default_rng(0))
    steps = 0
    while world.target_cube[2] < 0.05:
        world.act(first.action(world))
        steps += 1
    carried = []
    second = Expert(rng=np.random.default_rng(1))
    second.take_over(world)
    while not world.is_success:
        world.act(second.action(world))
        carried.append(world.target_cube[2])
    assert max(carried[:3]) > 0.05  # it goes on carrying, and does not drop the cube first
    assert steps + len(carried) < 60


def test_commands_lie_within_one_and_are_no_faster_than_the_habit():
    world = Tabletop()
    for seed, speed in ((0, 0.22), (1, 0.4), (2, 1.0)):
        world.reset(seed=seed)
        expert = Expert(rng=np.random.default_rng(seed), habits=Habits(speed=speed))
        actions = []
        for _ in range(40):
            actions.append(expert.action(world))
            world.act(actions[-1])
        assert np.abs(np.array(actions)[:, :4]).max() == pytest.approx(speed, rel=1e-5)
        assert set(np.unique(np.array(actions)[:, 4])) <= {-1.0, 1.0}


def test_who_starts_with_the_wrong_cube_goes_there_first():
    world = Tabletop()
    world.reset(seed=1)
    other = next(colour for colour in ("red", "blue") if colour != world.target_colour)
    expert = Expert(rng=np.random.default_rng(0), habits=Habits(starts_with_wrong_cube=True))
    visited = []
    while not world.is_success:
        world.act(expert.action(world))
        visited += [
            colour
            for colour in (other, world.target_colour)
            if np.linalg.norm(world.cube(colour)[:2] - world.fingertips[:2]) < 0.03
        ]
    assert visited[0] == other
    assert visited[-1] == world.target_colour


@pytest.mark.parametrize("habit", ["hesitation", "wandering_metres", "grasp_error_metres"])
def test_a_habit_costs_time(play, habit):
    bad = {"hesitation": 0.2, "wandering_metres": 0.08, "grasp_error_metres": 0.03}
    habits = Habits(**{habit: bad[habit]})
    taken = [play(seed, habits=habits) or TIME_LIMIT_STEPS for seed in range(6)]
    assert np.mean(taken) > 1.05 * np.mean([play(seed) for seed in range(6)])


def test_the_best_demonstrator_has_no_habits():
    rng = np.random.default_rng(0)
    assert {draw_habits(rng, skill=1.0) for _ in range(50)} == {SKILLED}


def test_novices_have_every_habit_some_of_the_time():
    rng = np.random.default_rng(0)
    drawn = [draw_habits(rng, skill=0.0) for _ in range(500)]
    shares = {
        "slow": np.mean([habits.speed < 1.0 for habits in drawn]),
        "misses": np.mean([habits.grasp_error_metres > 0 for habits in drawn]),
        "misplaces": np.mean([habits.placing_error_metres > 0 for habits in drawn]),
        "hesitates": np.mean([habits.hesitation > 0 for habits in drawn]),
        "wanders": np.mean([habits.wandering_metres > 0 for habits in drawn]),
        "errs": np.mean([habits.starts_with_wrong_cube for habits in drawn]),
    }
    expected = {
        "slow": 1.0,
        "misses": 0.7,
        "misplaces": 0.5,
        "hesitates": 0.5,
        "wanders": 0.3,
        "errs": 0.2,
    }
    assert shares == pytest.approx(expected, abs=0.08)


def test_skill_is_the_share_of_practised_attempts():
    rng = np.random.default_rng(0)
    practised = [draw_habits(rng, skill=0.3) == SKILLED for _ in range(1000)]
    assert np.mean(practised) == pytest.approx(0.3, abs=0.05)


def test_the_same_seed_gives_the_same_habits_and_the_same_steps(play):
    assert clumsy(5) == clumsy(5)
    assert play(5, habits=clumsy(5)) == play(5, habits=clumsy(5))
