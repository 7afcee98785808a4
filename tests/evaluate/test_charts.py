"""Charts: models look different, and the price of exposure is drawn and told as it is."""

import re

import pytest

from mmrec.evaluate.charts import looks_of, price_chart
from mmrec.evaluate.frontier import Price
from mmrec.evaluate.metrics import Interval

NAME = "<b>model</b> $x$"


def price(asked, share, ndcg):
    around = Interval(ndcg, ndcg - 0.01, ndcg + 0.01)
    return Price("cold", asked, Interval(share, share, share), around, Interval(-0.1, -0.2, 0.05))


def test_many_models_look_different():
    looks = looks_of([f"model {n}" for n in range(72)])
    assert len({(look.colour, look.sign) for look in looks.values()}) == 72
    assert len({look.marker for look in looks.values()}) == len({look.sign for look in looks.values()})


def test_the_price_of_exposure_is_a_line_for_each_model_and_a_table():
    pytest.importorskip("matplotlib")
    found = {NAME: [price(0, 0.05, 0.3), price(0.2, 0.21, 0.27)], "other": [price(0, 0.1, 0.2)]}
    chart = price_chart("cold", "overall", found, looks_of(list(found)))
    assert chart.title == "ndcg@20 by the exposure of cold items"
    assert "2 models" in chart.alt
    assert len(chart.headings) == len(chart.rows[0])
    assert [row[0] for row in chart.rows] == [NAME, NAME, "other"]
    assert chart.rows[0][1:3] == ["-", "0.050 [0.050, 0.050]"]
    assert chart.rows[1][1] == "0.200"
    assert chart.rows[1][-1] == "-10.0% [-20.0%, +5.0%]"
    assert chart.rows[2][-1] == "as ranked"
    assert "share of the slots of cold items" in chart.svg
    assert "model" not in re.sub(r"<[^>]*>", "", chart.svg)


def test_a_chart_of_another_setting_has_other_ids():
    pytest.importorskip("matplotlib")
    found, looks = {"m": [price(0, 0.1, 0.2)]}, looks_of(["m"])
    charts = [price_chart("cold", setting, found, looks) for setting in ("cold", "warm")]
    ids = [set(re.findall(r'\bid="([^"]+)"', chart.svg)) for chart in charts]
    assert ids[0]
    assert not ids[0] & ids[1]
