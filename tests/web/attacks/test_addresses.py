"""Addresses that try to lead out of the project, and links that lie in it."""

import json
import os

import pytest

UID = "rollout-01-00000000"
JSON = "Content-Type: application/json"


UPWARDS = [
    "..",
    "%2e%2e",
    "%252e%252e",
    "..%2f..%2f..%2fsecret.txt",
    "..%252f..%252fsecret.txt",
    "..%5c..%5csecret.txt",
    "..\\..\\secret.txt",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "%00",
    "palette.css%00",
    "palette.css%00.js",
    "..%2fmain.js",
    "main.js%00",
    "....//....//secret.txt",
    "%c0%ae%c0%ae%c0%afsecret.txt",
    "%ff%fe",
    "~root",
    "C:%5csecret.txt",
    "a" * 5000,
]


@pytest.mark.parametrize("part", UPWARDS)
@pytest.mark.parametrize(
    "address",
    [
        "/videos/{}/front.mp4",
        f"/videos/{UID}/{{}}.mp4",
        f"/videos/{UID}/{{}}",
        "/static/{}",
        "/static/../{}",
        "/static/form/{}",
        "/static/form/../{}",
        "/static/dashboard/{}/main.js",
        "/reports/{}",
        "/label/{}",
        "/api/episodes/{}",
        "/{}",
    ],
)
def test_no_address_leads_out_of_the_project(wire, require_harmless, address, part):
    answer = wire.ask("GET", address.format(part))
    require_harmless(answer, status=(404, 422))


@pytest.mark.parametrize(
    "name", ["../square/secret.html", "../secret.txt", "-1", "1.0", "1e3", "٣"]
)
def test_no_report_is_read_but_that_of_a_lap(wire, require_harmless, name):
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())
    require_harmless(wire.ask("GET", f"/reports/{encoded}"), status=(404, 422))


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000])
def test_a_huge_number_is_a_mistake_not_a_crash(wire, require_harmless, number):
    require_harmless(wire.ask("GET", f"/reports/{number}"), status=(404, 422))
    address = f"/api/verdicts/{number}/withdrawal"
    body = json.dumps({"rater": "Anna", "request_id": "attack-0002"}).encode()
    require_harmless(wire.ask("POST", address, JSON, body=body), status=(404, 422))
    require_harmless(wire.ask("GET", f"/api/queue?limit={number}"), status=422)
    require_harmless(wire.ask("GET", f"/api/queue?iteration={number}"), status=(200, 422))


@pytest.mark.parametrize("depth", ["file", "camera", "videos", "episode", "pipe"])
def test_a_link_in_the_store_is_not_followed(
    open_wire, folder, make_project, require_harmless, depth, secret
):
    project = make_project(folder / f"linked-{depth}", episodes=2)
    episode = project.episodes / UID
    file = episode / "videos" / "observation.images.front" / "chunk-000" / "file-000.mp4"
    at = {"file": file, "pipe": file, "camera": file.parent.parent, "videos": file.parents[2]}
    moved = at.get(depth, episode)
    elsewhere = folder / f"elsewhere-{depth}"
    if depth in {"file", "pipe"}:
        elsewhere.write_text(secret)
        moved.unlink()
    else:
        moved.rename(elsewhere)
        for video in elsewhere.rglob("*.mp4"):
            video.write_text(secret)
    if depth == "pipe":
        os.mkfifo(moved)
    else:
        moved.symlink_to(elsewhere)
    made = open_wire(project)
    try:
        require_harmless(made.ask("GET", f"/videos/{UID}/front.mp4"), status=404)
        assert made.ask("GET", "/videos/rollout-01-00000001/front.mp4")[0] == 200
    finally:
        made.close()


def test_a_report_that_is_a_link_is_not_followed(wire, folder, require_harmless):
    report = wire.project.report(7)
    report.parent.mkdir(parents=True)
    report.symlink_to(folder / "secret.txt")
    require_harmless(wire.ask("GET", "/reports/7"), status=404)
