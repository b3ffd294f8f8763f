import pytest

from data.errors import ConfigError
from recap.listening import require_address, token_or_environment

TOKEN = "sixteen-letters-"  # noqa: S105 - no secret
VARIABLE = "RECAP_SOME_TOKEN"


def test_the_token_given_goes_before_that_of_the_environment():
    def found(token, **environment):
        return token_or_environment(token, variable=VARIABLE, environment=environment)

    assert found(TOKEN, RECAP_SOME_TOKEN=TOKEN[::-1]) == TOKEN
    assert found("", RECAP_SOME_TOKEN=TOKEN[::-1]) == TOKEN[::-1]
    assert found("") == ""


def test_a_weak_token_of_the_environment_is_named_by_its_variable():
    with pytest.raises(ConfigError) as caught:
        token_or_environment("", variable=VARIABLE, environment={VARIABLE: "short"})
    assert str(caught.value) == (
        "RECAP_SOME_TOKEN must be at least 16 letters, digits or signs without spaces. Leave it "
        "out where the server starts, and one is made up."
    )


@pytest.mark.parametrize("port", [0, 65535])
def test_a_port_may_be_any_or_free_to_choose(port):
    require_address("127.0.0.1", port, group="serve")


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("", 1, "serve.host must not be empty. For every address, type --serve.host=0.0.0.0."),
        ("127.0.0.1", -1, "serve.port must lie between 0 and 65535, got -1."),
        ("127.0.0.1", 65536, "serve.port must lie between 0 and 65535, got 65536."),
    ],
)
def test_what_cannot_be_listened_on_is_refused(host, port, words):
    with pytest.raises(ConfigError) as caught:
        require_address(host, port, group="serve")
    assert str(caught.value) == words
