"""The report from end to end: a shop with planted faults, in Python and by the command."""

import json
from dataclasses import replace

import pytest
from checking import named, tally
from planting import plant
from rich.console import Console

from mmrec import Recommender
from mmrec.check.report import tables_of

TOY = {"text_encoder": "toy", "image_encoder": "toy"}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("planted"), seed=5, products=240, shoppers=80)


@pytest.fixture(scope="module")
def path(planted, tmp_path_factory):
    """A store with every fault; only to be read."""
    path = tmp_path_factory.mktemp("faulty") / "shop.mmrec"
    with Recommender.open(path, TOY) as shop:
        shop.ingest(planted.items)
        shop.record(planted.interactions)
    return path


@pytest.fixture(scope="module")
def report(path):
    with Recommender.open(path) as shop:
        return shop.check()


def test_planted_faults_are_found(planted, report):
    counts = tally(planted, report)
    faults = {what for what, kind in counts if kind == "planted"} - {"sound items"}
    missed = {what: (counts[what, "found"], counts[what, "planted"]) for what in faults
              if counts[what, "found"] < counts[what, "planted"]}
    assert {what for what in missed if not what.startswith("near-pictures")} == set()
    assert counts["near-pictures", "found"] >= 0.85 * counts["near-pictures", "planted"]
    false = sum(n for (what, kind), n in counts.items() if what.startswith("sound items named"))
    assert false <= 0.02 * counts["sound items", "planted"]


def test_errors_come_first(report):
    order = [one.severity for one in report.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert report.misleading
    assert report["no such finding"] is None


def test_the_command_prints_the_report_and_exits_with_4(mmrec, path, report):
    result = mmrec("check", path, "--json")
    assert (result.exit_code, result.stderr) == (4, "")
    assert json.loads(result.stdout) == json.loads(json.dumps(report.as_dict()))
    assert len(json.loads(mmrec("check", path, "--rows", 1).stdout)["findings"][0]["rows"]) == 1


def test_the_table_names_every_finding_with_rows_and_advice(mmrec, path, report):
    result = mmrec("check", path, "--plain")
    assert result.exit_code == 4
    assert "A training would be misled" in result.stdout
    console = Console(width=200, record=True, markup=False, highlight=False)
    console.print(*tables_of(report))
    text = console.export_text()
    assert all(one.name in text for one in report.findings)
    assert named(report, "like-ids")
    assert "crawler: " in text


def test_a_sound_shop_exits_with_0(mmrec, open_shop, planted):
    with open_shop() as shop:
        shop.ingest(replace(item, image=()) for item in planted.shown.items)
        shop.record(planted.shown.interactions)
        path = shop.path
    result = mmrec("check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert not found["misleading"]
    assert [one["name"] for one in found["findings"] if one["severity"] != "note"] == []
    assert "A training may go on" in mmrec("check", path, "--plain").stdout or not found["findings"]


def test_a_shop_is_compared_with_another(mmrec, path, red_blue_shop):
    result = mmrec("check", red_blue_shop.path, "--against", path)
    assert result.exit_code == 0
    assert mmrec("check", path, "--json", "--plain").exit_code == 2
