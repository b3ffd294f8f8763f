import io

from recap.progress import PlainProgress, show_progress, silent, watched


def test_lines_are_sparse_and_the_last_one_always_comes():
    stream, clock = io.StringIO(), iter([0.0, 0.0, 4.0, 9.9, 10.0, 12.0, 13.0])
    progress = PlainProgress("collect", stream, clock=lambda: next(clock))
    for done in range(1, 7):
        progress.update(done, 6, f"{done} of it")
    assert stream.getvalue().splitlines() == [
        "collect: 1/6  0 s  1 of it",
        "collect: 4/6  10 s  4 of it",
        "collect: 6/6  13 s  6 of it",
    ]


def test_a_stream_that_is_no_terminal_gets_lines():
    stream = io.StringIO()
    with show_progress(stream) as progress:
        progress("label").update(1, 1)
    assert stream.getvalue() == "label: 1/1  0 s\n"


def test_a_terminal_gets_bars():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with show_progress(stream) as progress:
        progress("label").update(3, 3, "loss 0.1")
    assert "label" in stream.getvalue()
    assert "3/3" in stream.getvalue()


def test_the_watcher_hears_of_every_update():
    heard = []
    progress = watched(silent, lambda: heard.append(1))
    progress("collect").update(1, 2)
    progress("collect").update(2, 2)
    assert heard == [1, 1]
