"""Stores of earlier versions, made by `fixtures/make_store.py`: they open and answer as they did."""

import importlib.util
import json
import zipfile
from pathlib import Path

import pytest

from mmrec import Item, MmrecError, Recommender

FIXTURES = Path(__file__).with_name("fixtures")
SPEC = importlib.util.spec_from_file_location("make_store", FIXTURES / "make_store.py")
make_store = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_store)


@pytest.fixture(params=sorted(FIXTURES.glob("store-*.zip")), ids=lambda path: path.stem)
def earlier(request, tmp_path):
    """A folder with the stores of one version, and what they answered then."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path, json.loads((tmp_path / "answers.json").read_text())


@pytest.mark.parametrize("name", ["plain", "trained"])
def test_it_answers_as_it_did(earlier, name):
    folder, told = earlier
    with Recommender.open(folder / f"{name}.mmrec") as shop:
        assert len(shop) == 36
        assert shop.doctor(mend=False)["healthy"]
        answers = make_store.answers(shop)
        assert shop.stats()["fitted"] is bool(told[name][-1][0][1])
    for question, now, then in zip(make_store.QUESTIONS, answers, told[name], strict=False):
        assert [item_id for item_id, _ in now] == [item_id for item_id, _ in then], question
        assert [score for _, score in now] == pytest.approx([score for _, score in then], abs=1e-5), question


@pytest.mark.parametrize("name", ["plain", "trained"])
def test_what_it_holds_is_unchanged_to_this_version_and_it_takes_more(earlier, name):
    folder, _ = earlier
    with Recommender.open(folder / f"{name}.mmrec") as shop:
        again = shop.ingest(make_store.items())
        assert (again.unchanged, again.encoder_calls) == (36, 0)
        assert shop.record(make_store.clicks()).unchanged == 200
        (first, *_) = make_store.items()
        new = Item(item_id="new", text=first.text, image=first.image, attributes=first.attributes)
        assert shop.ingest([new]).added == 1
        assert "new" in [result.item_id for result in shop.similar("red-mug-0", k=5)]


def test_a_store_of_a_later_version_is_refused(earlier):
    folder, _ = earlier
    facts = folder / "plain.mmrec" / "store.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 2}))
    with pytest.raises(MmrecError, match="format 2"):
        Recommender.open(folder / "plain.mmrec")
