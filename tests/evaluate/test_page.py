"""The page of a contest on a synthetic log: whole, offline, readable without seeing, and safe."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from mmrec.errors import DataError, MissingExtra
from mmrec.evaluate.contest import HEADINGS, Entry, contest, rows_of, split_of, tables_of
from mmrec.evaluate.logs import Split, log_of_positions
from mmrec.evaluate.page import check_page, write_page

HOSTILE = """</h2></svg><script>alert("1")</script><img src="https://bad.example"> & {{ 7*7 }} $x^2$ 靴"""
VOID = {"meta", "img", "br", "hr", "link", "input"}
USERS, ITEMS, TASTES = 80, 60, 4
ADDED_AT = np.datetime64("2024-01-01T00:00", "us") + np.arange(ITEMS).astype("timedelta64[D]")
CURVES = {
    "content kNN": [
        {"stage": stage, "epoch": n, "loss": start / n, "gap": n / 50 if n % 2 else None, "seconds": 1.5}
        for stage, start in (("validation", 5), ("training", 6)) for n in range(1, 8)
    ],
    "EASE": [{"epoch": 1, "loss": 2.5}],
}


class Page(HTMLParser):
    """The elements of a page, what they hold, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.open = html, []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        self.cells += [""] if tag in ("td", "th") else []
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def alts(self) -> list[str]:
        return [str(a["aria-label"]) for a in self.all("div") if a.get("role") == "img"]


@pytest.fixture(scope="module")
def split() -> Split:
    """Users of four tastes, each of whom touched ten items of their own taste."""
    dice = np.random.default_rng(0)
    users = np.repeat(np.arange(USERS), 10)
    items = np.concatenate([
        dice.choice(np.arange(user % TASTES, ITEMS, TASTES), 10, replace=False) for user in range(USERS)
    ])
    names = [[f"{kind}{n}" for n in range(size)] for kind, size in (("u", USERS), ("i", ITEMS))]
    log = log_of_positions(*names, users=users, items=items, times=np.arange(len(users)))
    return split_of(log, "item-cold", 3)


@pytest.fixture(scope="module")
def entries(split) -> list[Entry]:
    content = np.eye(TASTES, dtype=np.float32)[np.arange(ITEMS) % TASTES]
    rng = np.random.default_rng(0)
    return contest(split, content, ["popularity", "content kNN", "EASE"], rng=rng)


@pytest.fixture(scope="module")
def page(split, entries, tmp_path_factory):
    """Writes and reads back a page of these entries."""
    path = tmp_path_factory.mktemp("page") / "report.html"

    def write(entries=entries, **options) -> Page:
        write_page(path, entries, split, **options)
        return Page(path.read_text(encoding="utf-8"))

    return write


@pytest.fixture(scope="module")
def bare(page) -> Page:
    """Without dates and curves."""
    return page()


@pytest.fixture(scope="module")
def full(page, entries) -> Page:
    """With both."""
    return page(learned(entries), added_at=ADDED_AT)


def learned(entries: list[Entry]) -> list[Entry]:
    """The same as if they had reported their training."""
    return [replace(entry, curves=CURVES.get(entry.model, ())) for entry in entries]


def renamed(entry: Entry, model: str) -> Entry:
    return replace(entry, model=model)


def test_the_page_is_one_whole_document_that_needs_no_network(full):
    written = full
    assert written.open == []  # everything is closed, in order
    assert not written.all("script") + written.all("link") + written.all("img")
    loaded = [str(value) for _, attrs in written.elements for name, value in attrs.items()
              if name in ("src", "href", "xlink:href")]
    assert loaded
    assert all(target.startswith("#") for target in loaded)
    assert "width=device-width" in written.html
    ids = [attrs["id"] for _, attrs in written.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in loaded} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", written.html)) <= set(ids)


def test_it_says_what_was_split_and_how(bare, split):
    words = " ".join(bare.words.split())
    assert "Evaluation by the protocol item-cold" in words
    for name, value in (("seed", 3), ("users", USERS), ("items", ITEMS), ("cold items", len(split.cold)),
                        ("training interactions", split.train.nnz), ("models", 3)):
        assert f"{name}{value}" in words
    cold = split.test["cold"]
    assert f"{cold.relevant.shape[0]} users were asked to find {cold.relevant.nnz} test" in words
    assert "seed 3" in bare.html.split("</title>")[0]


def test_every_setting_has_the_table_of_the_terminal(bare, entries):
    cells = bare.cells
    for table in tables_of(entries):
        rows = rows_of(entries, table.title)
        assert [list(column.cells) for column in table.columns] == [list(c) for c in zip(*rows, strict=True)]
        flat = [cell for row in rows for cell in row]
        assert any(cells[n:n + len(flat)] == flat for n in range(len(cells)))
        assert sum(row[0].endswith(" *") for row in rows) == 1
    assert cells.count("coverage@20") == len(entries[0].results)
    assert set(HEADINGS) <= set(cells)


def test_what_was_chosen_and_tried_on_validation_is_there(bare, entries):
    written = bare
    start = written.cells.index("settings tried")
    for entry in entries:
        row = written.cells.index(entry.model, start)
        chosen = ", ".join(f"{name} {value}" for name, value in entry.settings.items())
        best = f"{max(t.score for t in entry.tries):.4f}"
        found = written.cells[row + 1:row + 4]
        assert found == [str(len(entry.tries)), chosen or "nothing to choose", best]
        for one in entry.tries:
            assert f"{one.score:.4f}" in written.cells
    assert "“overall”" in written.words


def test_every_setting_has_its_charts_with_words_and_figures(full, entries):
    written = full
    for setting in entries[0].results:
        cuts = ("item age", "history length") if setting == "cold" else (
            "item popularity", "item age", "history length")  # cold items are all of one popularity
        for what in cuts:
            (alt,) = [a for a in written.alts if a.startswith(f"recall@20 by {what} in setting {setting}:")]
            assert "3 models" in alt
    assert len(written.all("svg")) == len(written.alts) == 8 + 2  # and two of training
    assert any(re.fullmatch(r"cold \(n = \d+\)", cell) for cell in written.cells)
    assert written.html.count('class="legend"') == 3 + 1


def test_a_chart_draws_every_model_in_its_own_colour_and_shape(bare):
    written = bare
    signs = re.findall(r'color: (#\w+)" aria-hidden="true">(.)</span> (.+)</li>', written.html)
    assert [name for *_, name in signs[:3]] == ["popularity", "content kNN", "EASE"]
    assert len({colour for colour, *_ in signs}) == len({sign for _, sign, _ in signs}) == 3
    for svg in re.findall(r"<svg.*?</svg>", written.html, re.DOTALL):
        assert all(colour in svg for colour, *_ in signs)


def test_without_dates_or_with_one_there_is_no_chart_by_age(page, bare):
    undated, alike = bare, page(added_at=np.repeat(ADDED_AT[:1], ITEMS))
    for written in (undated, alike):
        assert len(written.alts) == 5
        assert not [alt for alt in written.alts if "age" in alt]
    assert "no dates of items were given" in " ".join(undated.words.split())


def test_training_curves_are_drawn_for_all_that_was_measured_but_seconds(full, bare):
    alts = full.alts[-2:]
    assert alts[0].startswith("loss at each epoch of training, 3 curves")
    assert alts[1].startswith("gap at each epoch of training, 2 curves")
    cells = full.cells
    row = cells.index("content kNN, training")
    assert cells[row + 1:row + 5] == ["7", "0.8571", "6", "0.8571"]
    assert cells.index("content kNN, validation") == row - 5
    assert "Training" not in bare.words


def test_hostile_names_are_words_and_nothing_else(page, full, entries):
    told = replace(renamed(entries[0], HOSTILE), curves=[{"epoch": 1, HOSTILE: 2.0}])
    hostile = page([told, *learned(entries)[1:]], added_at=ADDED_AT)
    assert not hostile.all("script") + hostile.all("img")
    assert hostile.open == []
    assert hostile.words.count(HOSTILE) > 6
    assert len(hostile.all("svg")) == len(full.all("svg")) + 1


def test_the_same_contest_gives_the_same_page(page, full, entries):
    assert page(learned(entries), added_at=ADDED_AT).html == full.html


def test_without_matplotlib_nothing_is_written_and_the_remedy_is_said(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"matplotlib.*mmrec\[evaluate\]"):
        check_page(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_whether_a_page_can_be_written_is_known_without_writing_it(tmp_path):
    check_page(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.html").write_text("as it was")
    check_page(str(tmp_path / "old.html"))
    assert (tmp_path / "old.html").read_text() == "as it was"
    for path, why in ((tmp_path, "is a folder"), (tmp_path / "no" / "r.html", "No such file"),
                      (tmp_path / "old.html" / "r.html", "Not a directory")):
        with pytest.raises(DataError, match=why):
            check_page(path)


def test_what_does_not_fit_is_refused(page, split, entries, tmp_path):
    with pytest.raises(DataError, match="at least one model"):
        page([])
    with pytest.raises(DataError, match="cannot write"):
        write_page(tmp_path / "no" / "r.html", entries, split)
