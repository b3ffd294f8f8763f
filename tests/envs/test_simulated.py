"""Any Gymnasium simulation as a world: what it must be like, and what is made of it."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from data.errors import ConfigError
from data.schema import Ending
from envs.simulation import Simulation

ID = "recap_test/Slide-v0"
PICTURES = {"top": (32, 48), "side": (16, 16)}


class Slide(gym.Env):
    """Slide along a line to 3 or beyond, which is success, or to -3, which ends it in failure."""

    metadata = {"render_fps": 10, "render_modes": []}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(self, task="slide to the right", **changes):
        pictures = {name: Box(0, 255, (*size, 3), np.uint8) for name, size in PICTURES.items()}
        self.observation_space = Dict(
            {"pixels": Dict(pictures), "agent_pos": Box(-9.0, 9.0, (3,), np.float64)}
        )
        self.action_space = Box(np.array([0.5, -1.0]), np.array([1.0, 1.0]), dtype=np.float64)
        self.task_description = task
        self._canvas = {name: np.zeros((*size, 3), np.uint8) for name, size in PICTURES.items()}
        self.taken = []
        self.is_open = True
        for name, value in changes.items():
            setattr(self, name, value)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = float(self.np_random.uniform(-0.5, 0.5))
        self.taken = []
        return self._look(), {"is_success": False}

    def step(self, action):
        self.taken.append(action)
        self._place += float(action[1])
        is_success = self._place > 3
        return self._look(), 0.0, is_success or self._place < -3, False, {"is_success": is_success}

    def close(self):
        self.is_open = False

    def _look(self):
        # The same memory again and again, as renderers do.
        for picture in self._canvas.values():
            picture[:] = round(100 + 10 * self._place)
        return {"pixels": self._canvas, "agent_pos": np.array([self._place, 0.0, 1.0])}


@pytest.fixture
def register():
    """Register an environment under an id, for one test."""
    registered = []

    def under(entry_point, env_id=ID, **settings):
        gym.register(env_id, entry_point=entry_point, **settings)
        registered.append(env_id)
        return Simulation(id=env_id, time_limit_steps=20)

    yield under
    for env_id in registered:
        del gym.registry[env_id]


def made(register, **changes):
    return register(lambda: Slide(**changes)).make()


def right(size=1.0):
    return np.array([0.5, size], dtype=np.float32)


def test_the_layout_is_read_out_of_the_spaces_and_the_metadata(register):
    layout = made(register).layout
    assert layout.fps == 10
    assert layout.cameras == PICTURES
    assert layout.state_names == ("state_0", "state_1", "state_2")
    assert layout.action_names == ("action_0", "action_1")
    assert layout.robot_type == ID


def test_a_single_picture_is_a_camera_and_names_that_fit_are_taken(register):
    space = Dict({"pixels": Box(0, 255, (8, 8, 3), np.uint8), "agent_pos": Box(-1.0, 1.0, (2,))})
    names = {"render_fps": 5.0, "state_names": ("x", "y"), "action_names": ("only one",)}
    world = made(register, observation_space=space, metadata=names)
    assert world.layout.cameras == {"image": (8, 8)}
    assert world.layout.state_names == ("x", "y")
    assert world.layout.action_names == ("action_0", "action_1")
    world._seen = {"pixels": np.ones((8, 8, 3), np.uint8), "agent_pos": np.zeros(2)}
    assert world.observe().images["image"].shape == (8, 8, 3)


def test_an_odd_picture_is_refused_as_every_layout_refuses_it(register):
    space = Dict({"pixels": Box(0, 255, (15, 16, 3), np.uint8), "agent_pos": Box(-1.0, 1.0, (2,))})
    with pytest.raises(ConfigError) as refusal:
        made(register, observation_space=space)
    assert str(refusal.value) == (
        "Camera 'image' is 15x16, but the video format needs an even height and width. Crop or "
        "resize it by one pixel."
    )


NO_PICTURE = Dict({"pixels": Box(0.0, 1.0, (8, 8, 3)), "agent_pos": Box(-1.0, 1.0, (2,))})
ONE_GREY = Dict(
    {
        "pixels": Dict(
            {"a": Box(0, 255, (8, 8, 3), np.uint8), "b": Box(0, 255, (8, 8, 1), np.uint8)}
        ),
        "agent_pos": Box(-1.0, 1.0, (2,)),
    }
)
NO_STATE = Dict({"pixels": Box(0, 255, (8, 8, 3), np.uint8), "agent_pos": Box(-1.0, 1.0, (2, 2))})


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        (
            {"observation_space": NO_PICTURE},
            "its observation has no 'pixels' of (height, width, 3) uint8",
        ),
        (
            {"observation_space": ONE_GREY},
            "its observation has no 'pixels' of (height, width, 3) uint8",
        ),
        (
            {"observation_space": NO_STATE},
            "its observation has no 'agent_pos', a row of numbers",
        ),
        (
            {"observation_space": Box(0, 255, (8, 8, 3), np.uint8)},
            "its observation has no 'pixels' of (height, width, 3) uint8; its observation has no "
            "'agent_pos', a row of numbers",
        ),
        ({"action_space": Discrete(3)}, "its action is no row of numbers"),
        (
            {"metadata": {"render_fps": 12.5}},
            "its metadata have no 'render_fps', the control rate in whole Hz",
        ),
        ({"metadata": {}}, "its metadata have no 'render_fps', the control rate in whole Hz"),
    ],
)
def test_an_environment_of_another_kind_is_refused_with_all_that_is_wrong(register, changes, wrong):
    with pytest.raises(ConfigError) as refusal:
        made(register, **changes)
    assert str(refusal.value) == (
        f"{ID} does not follow LeRobot's convention for simulations: {wrong}. Wrap it in an "
        f"environment that does, and register that one."
    )


def test_the_seed_draws_the_attempt(register):
    world = made(register)
    first, other, again = (world.reset(seed=seed).state for seed in (1, 2, 1))
    np.testing.assert_array_equal(first, again)
    assert first[0] != other[0]
    assert first.dtype == np.float32


def test_what_is_seen_is_what_was_there_after_the_last_step_and_stays_as_it_was(register):
    world = made(register)
    seen = [world.reset(seed=1)]
    for _ in range(3):
        world.act(right())
        world.act(right(-0.5))
        seen.append(world.observe())
    places = [float(moment.state[0]) for moment in seen]
    np.testing.assert_allclose(np.diff(places), [0.5] * 3, atol=1e-6)
    for moment, place in zip(seen, places, strict=True):
        assert {int(pixel) for pixel in np.unique(moment.images["top"])} == {
            round(100 + 10 * place)
        }
    assert world.observe().images["side"] is not world.observe().images["side"]


def test_actions_arrive_in_the_type_that_the_environment_wants(register):
    world = made(register)
    world.reset(seed=1)
    world.act(right())
    (taken,) = world._env.unwrapped.taken
    assert taken.dtype == np.float64
    assert taken.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(("size", "is_success"), [(1.0, True), (-1.0, False)])
def test_the_environment_ends_an_attempt_in_success_or_failure(register, size, is_success):
    world = made(register)
    world.reset(seed=1)
    while world.ending is None:
        assert world.is_success is False
        world.act(right(size))
    assert world.ending is Ending.TERMINATED
    assert world.is_success is is_success
    world.reset(seed=2)
    assert (world.ending, world.is_success) == (None, False)


def test_the_time_limit_of_the_settings_goes_over_the_registered_one(register):
    world = register(Slide, max_episode_steps=4).make()
    world.reset(seed=1)
    for step in range(1, 21):
        world.act(right(0.0))
        assert world.ending == (Ending.TIME_LIMIT if step == 20 else None)


def test_success_that_nobody_measures_is_unknown(register):
    class Silent(Slide):
        def step(self, action):
            return (*super().step(action)[:4], {})

        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0], {}

    world = register(Silent).make()
    world.reset(seed=1)
    while world.ending is None:
        world.act(right())
    assert world.is_success is None


def test_the_task_is_the_settings_else_the_environments(register):
    register(Slide)
    assert Simulation(id=ID).make().reset(seed=1).task == "slide to the right"
    world = Simulation(id=ID, task="go").make()
    assert world.reset(seed=1).task == world.task == "go"


def test_the_info_says_the_task_of_this_attempt(register):
    class Changing(Slide):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0], {"task": f"slide number {seed}"}

    world = register(lambda: Changing(task=None)).make()
    assert [world.reset(seed=seed).task for seed in (1, 2)] == ["slide number 1", "slide number 2"]


def test_an_environment_without_a_task_asks_for_one(register):
    with pytest.raises(ConfigError) as refusal:
        made(register, task="").reset(seed=1)
    assert str(refusal.value) == (
        f"{ID} does not say what the task is, and a policy is told in words. Say it: "
        f"--world.task='put the cube on the pad'"
    )


def test_to_hold_is_to_do_nothing_that_the_space_allows_or_the_last_again(register):
    register(Slide)
    zero, last = (Simulation(id=ID, hold=hold).make() for hold in ("zero", "last"))
    np.testing.assert_array_equal(zero.hold_action(None), [0.5, 0.0])  # 0 is outside its range
    np.testing.assert_array_equal(zero.hold_action(right()), [0.5, 0.0])
    np.testing.assert_array_equal(last.hold_action(None), [0.5, 0.0])
    np.testing.assert_array_equal(last.hold_action(right()), right())


def test_an_environment_that_knows_how_to_hold_is_asked(register):
    world = made(register, hold_action=lambda last: [1, 0 if last is None else last[1]])
    np.testing.assert_array_equal(world.hold_action(right(0.25)), [1, 0.25])
    assert world.hold_action(None).dtype == np.float32


def test_an_expert_is_one_that_the_environment_offers(register):
    rng = np.random.default_rng(0)
    without = made(register)
    assert not without.has_expert
    assert without.make_expert(rng, skill=1.0) is None
    offered = register(
        lambda: Slide(make_expert=lambda rng, *, skill: ("expert", skill)), "recap_test/Shown-v0"
    )
    assert offered.describe().has_expert
    assert offered.make().make_expert(rng, skill=0.5) == ("expert", 0.5)


def test_to_describe_a_simulation_leaves_nothing_open(register):
    opened = []

    def open_one():
        opened.append(Slide())
        return opened[-1]

    described = register(open_one).describe()
    assert (described.name, described.layout.cameras) == (ID, PICTURES)
    assert not described.has_expert
    assert [env.is_open for env in opened] == [False]


def test_an_id_that_nobody_registered_is_refused_with_the_nearest(register):
    register(Slide)
    with pytest.raises(ConfigError) as refusal:
        Simulation(id="recap_test/Slyde-v0").make()
    assert "--world.id=recap_test/Slyde-v0 cannot be made" in str(refusal.value)
    assert f"Did you mean '{ID}'?" in str(refusal.value)
    assert "--world.discover_packages_path=..." in str(refusal.value)


def test_a_package_that_cannot_be_imported_is_refused():
    with pytest.raises(ConfigError) as refusal:
        Simulation(id=ID, discover_packages_path="no_such_package").make()
    assert str(refusal.value) == (
        "--world.discover_packages_path=no_such_package cannot be imported (No module named "
        "'no_such_package')."
    )


@pytest.mark.render
def test_the_tabletop_through_gymnasium_is_the_tabletop():
    from envs.tabletop import LAYOUT, Tabletop

    simulation = Simulation(id="recap/Tabletop-v0", discover_packages_path="envs.gym_env")
    through, direct = simulation.make(), Simulation().make()
    assert isinstance(direct, Tabletop)
    assert through.layout.differences(LAYOUT) == [
        "robot_type was recap/Tabletop-v0, is recap_tabletop_arm"
    ]
    rng = np.random.default_rng(0)
    seen = [through.reset(seed=3), direct.reset(seed=3)]
    for _ in range(6):
        action = rng.uniform(-1.0, 1.0, 5).astype(np.float32)
        for world in (through, direct):
            world.act(action)
        seen += [through.observe(), direct.observe()]
        np.testing.assert_array_equal(through.hold_action(action), direct.hold_action(action))
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert one.task == other.task
        np.testing.assert_array_equal(one.state, other.state)
        for camera, picture in one.images.items():
            np.testing.assert_array_equal(picture, other.images[camera])
    assert Simulation().describe().layout is LAYOUT
