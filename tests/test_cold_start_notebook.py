"""`notebooks/cold_start.ipynb` runs on a small shop with toy encoders, and its figures hold together."""

import base64
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from mmrec import Recommender

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "cold_start.ipynb"
PRODUCTS, SHOPPERS = 120, 100
MOST_LINES = 15  # of a cell
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PICTURES = {"look", "similar", "shopper", "before", "arrive", "after"}
PLOTS = {"bars", "curves", "audience-plot", "chances-plot", "evaluate-plot"}
MODELS = {"popularity", "content kNN", "mmrec"}
SETTINGS = {"cold", "warm", "overall"}
INTERVAL = r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]"
FIRST_PLOT = re.compile(r"Matplotlib is building the font cache.*\n")  # once on a machine, if it is slow


class Shown(NamedTuple):
    """What one cell shows: what it prints, what it says on standard error, and its pictures."""

    text: str
    errors: str
    pictures: list[Image.Image]

    def found(self, pattern: str) -> list[tuple[str, ...]]:
        return re.findall(pattern, self.text, re.MULTILINE)


def shown(cell: nbformat.NotebookNode) -> Shown:
    said = {"stdout": "", "stderr": ""}
    for output in cell.outputs:
        if output.output_type == "stream":
            said[output.name] += output.text
    pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return Shown(
        said["stdout"], FIRST_PLOT.sub("", said["stderr"]),
        [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in pictures],
    )


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """The folder that the notebook is told to keep its shop in."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def cells(kept, tmp_path_factory) -> dict[str, Shown]:
    """What each cell shows, by its id; raises what a cell raises."""
    work, scratch = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("scratch")
    executed = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        executed, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute(env={
        **os.environ, **ONE_CORE, "TMPDIR": str(scratch), "IPYTHONDIR": str(scratch), "HF_HUB_OFFLINE": "1",
        "MMREC_NOTEBOOK_SHOP": str(kept),
        "MMREC_NOTEBOOK_PRODUCTS": str(PRODUCTS), "MMREC_NOTEBOOK_SHOPPERS": str(SHOPPERS),
        "MMREC_NOTEBOOK_TEXT_ENCODER": "toy", "MMREC_NOTEBOOK_IMAGE_ENCODER": "toy",
    })
    assert [*work.iterdir(), *scratch.glob("tmp*")] == [], "the notebook leaves nothing behind"
    return {cell.id: shown(cell) for cell in executed.cells if cell.cell_type == "code"}


def test_the_notebook_is_kept_without_outputs_in_short_cells_and_without_paths(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not re.search(r"""(?:^|[\s"'(=])(?:/\w|~/|[A-Za-z]:\\)""", cell.source), "an absolute path"
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= MOST_LINES


@pytest.mark.slow
def test_it_runs_quietly(cells):
    assert {name: cell.errors for name, cell in cells.items() if cell.errors} == {}
    assert f"{PRODUCTS - 1} products" in cells["make-shop"].text
    assert f"added={PRODUCTS - 1}, updated=0, unchanged=0, rejected=0" in cells["ingest"].text


@pytest.mark.slow
def test_products_and_plots_are_drawn(cells):
    assert {name for name, cell in cells.items() if cell.pictures} == PICTURES | PLOTS
    for name in PICTURES | PLOTS:
        picture, = cells[name].pictures
        assert picture.width > 400
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50, f"{name} is nearly blank"


@pytest.mark.slow
def test_the_report_of_the_training_says_what_serves_and_why(cells):
    assert cells["fit"].found(rf"^(\d+) wishes of {SHOPPERS} shoppers for \d+ products$")
    assert cells["fit"].text.endswith("the head serves\n")
    said = cells["verdicts"].found(
        r"^(.+): (.+)\n +(.+); head ([\d.]+), best baseline .+ ([\d.]+), difference .+ \(ndcg@20\)"
    )
    assert [situation for situation, *_ in said] == [
        "warm items, long history", "warm items, short history", "cold items", "all items",
    ]
    for _, serves, why, head, best in said:
        assert serves != "content"
        assert 0 < float(head) < 1
        assert (why == "the head is best") == (float(head) >= float(best))


@pytest.mark.slow
def test_a_product_without_a_click_is_shown_and_most_to_those_who_would_like_it(cells):
    assert cells["arrive"].found(r"^1 added in [\d.]+ s, [1-9]\d* texts and pictures encoded$")
    counts = [(int(sees), int(members)) for sees, members in
              cells["audience"].found(r"shown to +(\d+) of +(\d+)$")]
    assert sum(members for _, members in counts) == SHOPPERS
    shares = [sees / members for sees, members in counts]
    assert shares[-1] > shares[0]


@pytest.mark.slow
def test_before_and_after_are_compared_in_the_same_places(cells):
    rows = cells["chances"].found(
        rf"^(.+?) +(untrained|trained) +chance {INTERVAL} +([\d.]+) clicks each, (\d+)% new$"
    )
    assert len(rows) == 6
    means = {}
    for place, state, mean, low, high, clicks, new in rows:
        assert float(low) < float(mean) < float(high)
        means[place, state] = float(mean)
        if place != "whole shop":
            assert (float(clicks) == 0, int(new)) == (place == "new", 100 * (place == "new"))
    gains = cells["differences"].found(rf"^(.+?) +trained less untrained {INTERVAL}$")
    for place, gain, *_ in gains:
        assert float(gain) == pytest.approx(means[place, "trained"] - means[place, "untrained"], abs=0.0016)
    assert len(gains) == 3


@pytest.mark.slow
def test_cold_items_are_found_more_often_than_by_guessing(cells):
    rows = cells["evaluate"].found(rf"^(\w+) +({'|'.join(MODELS)}) +recall@10 {INTERVAL}$")
    recall = {(setting, model): tuple(map(float, span)) for setting, model, *span in rows}
    assert set(recall) == {(setting, model) for setting in SETTINGS for model in MODELS}
    assert all(low < mean < high for mean, low, high in recall.values())
    assert recall["cold", "mmrec"][1] > recall["cold", "popularity"][2]  # the intervals do not touch


@pytest.mark.slow
def test_a_difference_is_called_sure_only_if_its_interval_leaves_zero_out(cells):
    recall = {(setting, model): float(mean) for setting, model, mean in
              cells["evaluate"].found(r"^(\w+) +(mmrec|content kNN) +recall@10 ([\d.]+)")}
    rows = cells["paired"].found(rf"^(\w+) +mmrec less content kNN {INTERVAL}  (.+)$")
    assert {setting for setting, *_ in rows} == SETTINGS
    for setting, mean, low, high, said in rows:
        ours, theirs = recall[setting, "mmrec"], recall[setting, "content kNN"]
        assert float(mean) == pytest.approx(ours - theirs, abs=0.0016)  # of three figures printed to .001
        better = "mmrec is better" if float(low) > 0 else "content kNN is better"
        assert said == ("cannot tell" if float(low) <= 0 <= float(high) else better)


@pytest.mark.slow
def test_the_shop_that_is_kept_is_untrained_and_lacks_the_newcomer(cells, kept):
    assert cells
    with Recommender.open(kept / f"{PRODUCTS}-{SHOPPERS}" / "shop.mmrec") as shop:
        assert not shop.stats()["fitted"]
        assert len(shop) == PRODUCTS - 1
