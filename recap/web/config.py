"""Settings of the web form. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Final

from recap.listening import is_this_machine_only, require_address, require_strong

TOKEN_VARIABLE: Final = "RECAP_FORM_TOKEN"  # noqa: S105 - the name of a variable, not a token
DEFAULT_PORT: Final = 8420


@dataclass(frozen=True, slots=True, kw_only=True)
class FormConfig:
    """Settings of ``recap label``: where the form is served and who may open it."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own demands a token."""

    port: int = DEFAULT_PORT
    """Port to listen on; 0 for any that is free."""

    token: str = field(default="", repr=False)
    """What a browser must show; better given as RECAP_FORM_TOKEN. Made up if needed and empty."""

    open_browser: bool = True
    """Whether to open the form in the browser of this machine, where there is a screen. With a
    token only the link is shown: whatever starts a program is seen by everybody on a machine."""

    def __post_init__(self) -> None:
        """Refuse what cannot be listened on, and a token that is easily guessed."""
        require_address(self.host, self.port, group="form")
        require_strong(self.token, name="form.token")

    @property
    def is_for_this_machine_only(self) -> bool:
        """Whether nobody from outside can connect."""
        return is_this_machine_only(self.host)
