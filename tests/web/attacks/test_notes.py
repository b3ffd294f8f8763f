"""Notes and names that would like to be run."""

UID = "rollout-01-00000000"
VERDICT = {"rater": "Anna", "verdict": "success", "request_id": "attack-0001"}


NOTES = [
    "'; DROP TABLE judgements; --",
    '" OR 1=1; --',
    "%s %(note)s {note} :note ? $1",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "=HYPERLINK(\"http://evil.example\")",
    "line\r\nSet-Cookie: a=b",
    "\u202e\u2028\ufeff\U0001f600 \\u0000 \\",
]  # fmt: skip


def test_a_note_is_kept_as_it_is_and_does_nothing(
    open_wire, folder, make_project, require_harmless
):
    made = open_wire(make_project(folder / "noted", episodes=1))
    try:
        for number, note in enumerate(NOTES):
            verdict = {**VERDICT, "note": note, "request_id": f"request-{number}"}
            require_harmless(made.judge(verdict), status=201)
        assert [line.note for line in made.lines()] == NOTES
        for target in (f"/api/episodes/{UID}", "/label", f"/label/{UID}", "/", "/api/dashboard"):
            status, headers, body = made.ask("GET", target, "Accept: text/html")
            require_harmless((status, headers, body), status=200)
            if headers["content-type"].startswith("text/html"):
                assert "alert(1)" not in body.decode()
        assert made.ask("GET", "/api/verdicts.csv")[1]["content-type"].startswith("text/csv")
    finally:
        made.close()


def test_a_note_of_nothing_that_text_can_hold_is_refused(wire, require_harmless):
    # PostgreSQL cannot store it, and SQLite cuts what follows off in some tools.
    require_harmless(wire.judge({**VERDICT, "note": "a\0b"}), status=422)
    assert wire.lines() == []


def test_a_page_that_is_missing_shows_no_script_of_its_address(wire, require_harmless):
    script = "/label/%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    for target in (script, "/%3Cscript%3Ealert(1)%3C/script%3E", f"{script}?x=<script>"):
        status, headers, body = wire.ask("GET", target, "Accept: text/html")
        require_harmless((status, headers, body), status=(404, 422))
        assert headers["content-type"].startswith("text/html")
        assert b"<script" not in body.lower()
