"""Plans and heads by number: read once, complete or an error, and none left over."""

import pytest

from mmrec.config import Config
from mmrec.errors import StoreError
from mmrec.model.content import ContentPlan, Fields
from mmrec.store.files import LocalFiles
from mmrec.store.open import Models


@pytest.fixture
def models(tmp_path):
    return Models(LocalFiles(tmp_path))


def plan_of(prices):
    return ContentPlan().fitted(Fields(len(prices), {}, {"price": prices}), Config())


def test_a_plan_is_read_once_and_there_is_an_empty_one_before_the_first(models, tmp_path):
    assert models.plan(0) == ContentPlan()
    models.write_plan(3, plan_of([1.0, 2.0, 3.0]))
    read = models.plan(3)
    assert read.slot("price").centre == 2
    (tmp_path / "content-3.safetensors").unlink()
    assert models.plan(3) is read


def test_what_is_absent_or_damaged_is_an_error_that_names_it(models, tmp_path):
    with pytest.raises(StoreError, match=r"content-7\.safetensors.*mmrec doctor"):
        models.plan(7)
    with pytest.raises(StoreError, match=r"head-7.*mmrec doctor"):
        models.towers(7)
    (tmp_path / "content-7.safetensors").write_bytes(b"no plan")
    with pytest.raises(StoreError, match=r"content-7\.safetensors.*mmrec doctor"):
        models.plan(7)


def test_only_what_serves_is_kept_also_of_what_killed_writers_left(models, tmp_path):
    files = "content-1.safetensors", "content-2.safetensors", ".content-2.safetensors.9.tmp", "store.json"
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    for name in ("head-1", "head-2", ".head-3.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ids.json").write_bytes(b"[]")
    models.keep_only(2, 1)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["content-2.safetensors", "head-1", "store.json"]
