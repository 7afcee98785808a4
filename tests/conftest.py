"""Worlds whose right answer is known, shops on toy encoders, and where real data would be."""

import io
import json
import os

# Tests run in several processes at once: threads of OpenMP that spin would keep the others from their cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import Result
from hypothesis import HealthCheck, settings
from PIL import Image
from scipy.sparse import csr_matrix

from mmrec import Item, Recommender
from mmrec.config import Config
from mmrec.encoders.base import ToyImage, ToyText
from mmrec.model.towers import IdentityTowers
from mmrec.store.catalogue import Catalogue
from mmrec.store.open import Store

TOY = {"text_encoder": "toy", "image_encoder": "toy"}
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)

# No property depends on the machine's speed; a fixture of one test serves all its examples.
settings.register_profile(
    "mmrec", deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("mmrec")


def png(colour: str) -> bytes:
    """A small picture of one colour, encoded."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def paint() -> Callable[[str], bytes]:
    """The encoded picture of a colour."""
    return png


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str, str], Path]:
    """Puts a picture of a colour at a name in the test's folder."""

    def put(name: str, colour: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(colour))
        return path

    return put


@pytest.fixture(scope="session")
def red_blue() -> list[Item]:
    """Red mugs r0 to r3, then blue lamps b0 to b3; a day and one coin between each and the next."""
    kinds = [("r", "red mug", "red", "mug"), ("b", "blue lamp", "blue", "lamp")]
    return [
        Item(
            item_id=f"{letter}{n}", text={"title": title}, image=png(colour),
            attributes={"category": category, "price": float(4 * kind + n + 1)},
            added_at=NEW_YEAR + timedelta(days=4 * kind + n),
        )
        for kind, (letter, title, colour, category) in enumerate(kinds) for n in range(4)
    ]


@pytest.fixture(scope="session")
def crossed() -> list[Item]:
    """Titles and pictures that contradict each other: `tr-pb-0` has a red title and a blue picture."""
    titles = {"r": "crimson mug cup", "b": "navy lamp light"}
    pictures = {"r": png("red"), "b": png("blue")}
    return [
        Item(item_id=f"t{t}-p{p}-{n}", text={"title": titles[t]}, image=pictures[p])
        for t in titles for p in pictures for n in range(2)
    ]


@pytest.fixture
def open_shop(tmp_path: Path) -> Callable[..., Recommender]:
    """Makes or reopens a shop on toy encoders in the test's folder, with these settings."""

    def open_(name: str = "shop.mmrec", *, encoders: Any = None, **settings: Any) -> Recommender:
        return Recommender.open(tmp_path / name, TOY | settings, encoders=encoders)

    return open_


@pytest.fixture
def shop(open_shop: Callable[..., Recommender]) -> Iterator[Recommender]:
    """An empty shop."""
    with open_shop() as shop:
        yield shop


@pytest.fixture(scope="session")
def red_blue_shop(tmp_path_factory: pytest.TempPathFactory, red_blue: list[Item]) -> Recommender:
    """A shop of `red_blue`, without interactions. Only to be read."""
    shop = Recommender.open(tmp_path_factory.mktemp("red-blue") / "shop.mmrec", TOY)
    shop.ingest(red_blue)
    return shop


@pytest.fixture(scope="session")
def crossed_shop(tmp_path_factory: pytest.TempPathFactory, crossed: list[Item]) -> Recommender:
    """A shop of `crossed`. Only to be read."""
    shop = Recommender.open(tmp_path_factory.mktemp("crossed") / "shop.mmrec", TOY)
    shop.ingest(crossed)
    return shop


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """An empty catalogue on toy encoders, below any Recommender."""
    config = Config.make(TOY)
    store = Store.create(tmp_path / "catalogue.mmrec", {"config": config.model_dump(), "encoders": {}}, 5.0)
    return Catalogue(store, config, {"text": ToyText(), "image": ToyImage()}, IdentityTowers(0.5))


@pytest.fixture(scope="session")
def calls() -> Callable[[Recommender], tuple[int, int]]:
    """How many texts and pictures a shop's encoders have seen."""

    def count(shop: Recommender) -> tuple[int, int]:
        return shop.encoders["text"].calls, shop.encoders["image"].calls  # type: ignore[attr-defined]

    return count


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on real data take minutes: they run when they are asked for."""
    if "data" not in (config.option.markexpr or ""):
        skip = pytest.mark.skip(reason="takes minutes on real data: run `pytest -m data`")
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """The folder of a real data set; the test is skipped where it is absent."""
    root = Path(os.environ.get("MMREC_DATA") or Path(__file__).parents[2] / "shared" / "data")

    def find(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"needs the data set {name!r} in {root}: set MMREC_DATA to the folder that has it")
        return root / name

    return find


@pytest.fixture(scope="session")
def mmrec() -> Callable[..., Result]:
    """Runs the command in this process, with what other packages plug in: `mmrec("get", path, "r0")`."""
    from typer.testing import CliRunner

    from ingest import command as ingest
    from mmrec.cli import app

    if not any(command.callback.__name__ == "ingest" for command in app.registered_commands):
        ingest.plug(app)

    def run(*arguments: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return run


class Ordered(NamedTuple):
    """A model of histories in which one item is mostly followed by a certain other [users, items]."""

    model: Any
    histories: csr_matrix
    content: np.ndarray


@pytest.fixture(scope="session")
def ordered() -> Ordered:
    """A head that heeds order, of 24 items whose content tells them apart."""
    from mmrec.training.model import TwoTower

    content = np.eye(24) + 0.1 * np.random.default_rng(0).normal(size=(24, 24))
    made = Ordered(TwoTower(ordered=True), chain(120, 24)[0], content.astype(np.float32))
    made.model.fit(made.histories, made.content)
    return made


@pytest.fixture(scope="session")
def chained() -> Callable[..., tuple[csr_matrix, np.ndarray]]:
    """Makes histories in which one item is mostly followed by a certain other, and tells by which."""
    return chain


def chain(users: int = 300, n: int = 30, seed: int = 0) -> tuple[csr_matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    order, rows = rng.permutation(n), []
    follower = np.empty(n, int)
    follower[order] = np.roll(order, -1)  # one circle
    for _ in range(users):
        row = [int(rng.integers(n))]
        for _ in range(rng.integers(3, 14)):
            item = int(follower[row[-1]] if rng.random() < 0.9 else rng.integers(n))
            if item not in row:
                row.append(item)
        rows.append(row)
    ends = np.cumsum([0, *map(len, rows)])
    items = np.concatenate(rows).astype(np.int32)
    return csr_matrix((np.ones(ends[-1], np.float32), items, ends), (users, n)), follower


WORDS = ["red", "blue", "mug", "cup", "chair", "wooden", "cotton", "shirt", "long", "the", "a", "of", "with"]


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of 2 layers with windows of 32 tokens."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{c}" for c in letters)]
    vocab = list(dict.fromkeys(vocab))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 32, "pooling_mode_mean_tokens": True,
    })
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ])
    return folder
