"""One command in several processes (``torchrun``): the main one works, the others help it train.

The others only read: they take no lock and write no manifest. They wait until the main process asks
for them, and go home when it is done.
"""

from typing import Final

from value_models.launch import is_main_process, process_count

_OVER: Final = 0.0
_PRETRAINING: Final = 1.0
_FIRST_LAP: Final = 2.0


def ask_for_help(iteration: int | None, *, device: str) -> None:
    """Have the other processes, if there are any, train the value model of this lap too."""
    _tell(_PRETRAINING if iteration is None else _FIRST_LAP + iteration, device=device)


def send_home(*, device: str) -> None:
    """Tell the other processes, if there are any, that there is nothing more to do."""
    _tell(_OVER, device=device)


def wait_until_asked(*, device: str) -> tuple[bool, int | None]:
    """Wait for the main process; give whether there is something to train, and of which lap."""
    from value_models.processes import told_by_main

    told = told_by_main(_OVER, device=device)
    return told != _OVER, int(told - _FIRST_LAP) if told >= _FIRST_LAP else None


def _tell(number: float, *, device: str) -> None:
    if process_count() == 1 or not is_main_process():
        return
    from value_models.processes import told_by_main

    told_by_main(number, device=device)
