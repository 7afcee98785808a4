"""The README's curl lines, run as they stand by curl itself on a real `mmrec serve`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mmrec import Interaction, Item

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WRITTEN = "http://127.0.0.1:8000"  # where the README's service listens
ROUTES = {
    "/items", "/recommend", "/search", "/similar", "/interactions", "/fit", "/jobs", "/monitor", "/metrics",
}


def lines():
    """The commands between the marks."""
    [marked] = re.findall(r"<!-- service:curl -->\n(.*?)<!-- /service:curl -->", README, re.DOTALL)
    return [line for line in marked.splitlines() if line.startswith("curl ")]


@pytest.fixture
def address(open_shop, picture, running):
    """A service of a shop with the items that the README speaks of, and a picture beside it."""
    Image.new("RGB", (64, 64), "navy").save(picture("photos/b99.jpg", "blue"), "JPEG")
    with open_shop() as shop:
        shop.ingest(
            Item(item_id=f"B{n:02}", text={"title": f"red dress {n}"},
                 attributes={"price": 5.0 * n, "category": "dress"}) for n in range(1, 13)
        )
        shop.record([Interaction(user_id="u42", item_id="B07")])
    with running(shop.path) as at:
        yield at


def test_the_curl_lines_run_as_written(address, tmp_path):
    assert shutil.which("curl"), "apt-get install curl"
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n", encoding="utf-8")
    commands = lines()
    assert {route for route in ROUTES if any(WRITTEN + route in line for line in commands)} == ROUTES
    answers, job_id = {}, ""
    for line in commands:
        assert WRITTEN in line
        done = subprocess.run(
            ["bash", "-c", line.replace(WRITTEN, address).replace("JOB_ID", job_id)], cwd=tmp_path,
            capture_output=True, text=True, timeout=120, env=os.environ | {"CURL_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        answers[line] = done.stdout
        if "/fit" in line:
            job_id = json.loads(done.stdout)["job_id"]
    for line, answer in answers.items():
        if "/recommend" in line or "/similar" in line or "/search" in line:
            assert json.loads(answer)["results"], line
        elif "/fit" in line or "/jobs" in line:
            assert (json.loads(answer)["kind"], json.loads(answer)["job_id"]) == ("fit", job_id), line
        elif "POST" in line or "--json" in line or "-F" in line:
            assert (json.loads(answer)["added"], json.loads(answer)["rejected"]) == (1, 0), line
    monitored = next(json.loads(answer) for line, answer in answers.items() if "/monitor" in line)
    assert monitored["window"] == "hour"
