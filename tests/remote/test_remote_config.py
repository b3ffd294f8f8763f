import pytest

from data.errors import CheckpointError, ConfigError
from recap.remote.card import Sizes, read_sizes
from recap.remote.config import (
    OpenpiConfig,
    RemotePolicyConfig,
    ServeConfig,
    address_to_uri,
)

SHORT = "short"
SPACED = "a token with spaces"
SECRET = "a-secret-of-some-length"  # noqa: S105 - no secret


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("gpu:8765", "ws://gpu:8765"),
        ("10.0.0.2:1", "ws://10.0.0.2:1"),
        ("[::1]:8765", "ws://[::1]:8765"),
        ("wss://gpu.lab:443", "wss://gpu.lab:443"),
    ],
)
def test_an_address_is_a_host_and_a_port(address, uri):
    assert address_to_uri(address) == uri


@pytest.mark.parametrize(
    "address",
    ["gpu", "gpu:", ":8765", "gpu:many", "gpu:99999", "http://gpu:1", "gpu:1?token=x", "a@gpu:1"],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigError) as caught:
        RemotePolicyConfig(address=address)
    assert str(caught.value) == (
        f"policy.address must be host:port, got '{address}'. "
        f"Type for example --policy.address=192.168.1.20:8765"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RemotePolicyConfig(deadline_s=0), "policy.deadline_s must be above 0 seconds"),
        (lambda: RemotePolicyConfig(deadline_s=float("nan")), "must be above 0 seconds, got nan"),
        (lambda: RemotePolicyConfig(jpeg_quality=101), "must lie between 0 and 100, got 101"),
        (
            lambda: RemotePolicyConfig(jpeg_quality=90, protocol="openpi"),
            "an openpi server takes pictures only as they are",
        ),
        (lambda: RemotePolicyConfig(protocol="grpc"), "must be one of recap, openpi, got grpc"),
        (lambda: OpenpiConfig(chunk_steps=4, executed_steps=5), r"chunk_steps \(4\), got 5"),
        (lambda: OpenpiConfig(executed_steps=0), "must lie between 1 and"),
        (lambda: ServeConfig(host=""), "serve.host must not be empty"),
        (lambda: ServeConfig(port=65536), "serve.port must lie between 0 and 65535, got 65536"),
        (lambda: ServeConfig(max_robots=0), "serve.max_robots must be at least 1, got 0"),
        (lambda: ServeConfig(threads=0), "serve.threads must be at least 1, got 0"),
        (lambda: ServeConfig(token=SHORT), "serve.token must be at least 16 letters"),
        (lambda: ServeConfig(token=SPACED), "without spaces"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_token_is_not_shown_with_the_settings():
    assert SECRET not in repr(ServeConfig(token=SECRET))
    assert SECRET not in repr(RemotePolicyConfig(token=SECRET))


@pytest.mark.parametrize(
    ("host", "is_private"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.1.20", False),
        ("gpu.lab", False),
    ],
)
def test_only_a_loopback_address_needs_no_token(host, is_private):
    assert ServeConfig(host=host).is_for_this_machine_only is is_private


CONFIG = """{
  "input_features": {
    "observation.images.front": {"type": "VISUAL", "shape": [3, 48, 64]},
    "observation.state": {"type": "STATE", "shape": [7]}
  },
  "output_features": {"action": {"type": "ACTION", "shape": [5]}}
}"""


def test_a_checkpoint_says_what_its_policy_sees_and_commands(tmp_path):
    (tmp_path / "config.json").write_text(CONFIG, encoding="utf-8")
    assert read_sizes(tmp_path) == Sizes(cameras={"front": (48, 64)}, state_size=7, action_size=5)


@pytest.mark.parametrize("content", ["{}", "[]", "no json", CONFIG.replace("[7]", "7")])
def test_a_checkpoint_that_does_not_say_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not say what the policy sees and commands"):
        read_sizes(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is not a policy checkpoint"):
        read_sizes(tmp_path)
