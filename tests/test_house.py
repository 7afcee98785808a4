"""The rules of the house, read from its own source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmrec
from mmrec import errors

ROOT = Path(mmrec.__file__).parents[1]
LONGEST = 300  # lines of a module
# Each module imports only what stands above it, so there are no cycles.
ORDER = [
    "mmrec.errors", "mmrec.types", "mmrec.config", "mmrec.threads",
    "mmrec.image_formats", "mmrec.images",
    "mmrec.encoders.base", "mmrec.encoders.registry", "mmrec.encoders.layout", "mmrec.encoders.weights",
    "mmrec.encoders.windows", "mmrec.encoders.opening", "mmrec.encoders.text", "mmrec.encoders.image",
    "mmrec.encoders.clip", "mmrec.encoders.toy", "mmrec.encoders", "mmrec.encoders.bound",
    "mmrec.rows", "mmrec.parquet", "mmrec.files",
    "mmrec.content", "mmrec.head", "mmrec.head.towers",
    *(f"mmrec.head.{room}" for room in (
        "svd", "closed_form", "losses", "contrastive", "places", "kernels", "metric", "behaviour", "blend",
        "trained", "saved",
    )),
    "mmrec.where_conditions", "mmrec.where_tokens", "mmrec.where",
    "mmrec.hits", "mmrec.terms", "mmrec.syncing", "mmrec.tables", "mmrec.changes",
    "mmrec.fulltext", "mmrec.scan", "mmrec.codes", "mmrec.batches",
    "mmrec.popularity", "mmrec.scoring", "mmrec.limits", "mmrec.rules", "mmrec.diversity",
    "mmrec.exploration", "mmrec.freshness", "mmrec.histories", "mmrec.store", "mmrec.schema",
    "mmrec.catalogue", "mmrec.intake", "mmrec.journal",
    "mmrec.spaces", "mmrec.snapshot", "mmrec.index", "mmrec.queries", "mmrec.plan", "mmrec.shoppers",
    "mmrec.slots", "mmrec.reasons", "mmrec.retrieve", "mmrec.hybrid", "mmrec.export", "mmrec.doctor",
    "mmrec.opening", "mmrec.keeping",
    "mmrec.evaluate", "mmrec.evaluate.setting", "mmrec.evaluate.metrics", "mmrec.evaluate.logs",
    "mmrec.evaluate.checks", "mmrec.evaluate.splits", "mmrec.evaluate.beyond", "mmrec.evaluate.run",
    "mmrec.evaluate.slices",
    "mmrec.evaluate.baselines.base", "mmrec.evaluate.baselines.counting", "mmrec.evaluate.baselines.ease",
    "mmrec.evaluate.baselines.factors", "mmrec.evaluate.baselines.ridge",
    "mmrec.evaluate.baselines.dropoutnet", "mmrec.evaluate.baselines",
    "mmrec.training", *(f"mmrec.training.{room}" for room in (
        "inner", "answers", "fields", "choose", "model", "guard",
    )),
    "mmrec.evaluate.tune",
    "mmrec.evaluate.shop", "mmrec.evaluate.contest", "mmrec.evaluate.report",
    "mmrec.evaluate.page", "mmrec.training.fit",
    "mmrec.recommender", "mmrec.monitor",
    *(f"mmrec.monitor.{room}" for room in (
        "log", "coldness", "records", "impressions", "figures", "drift", "offpolicy", "policies", "report",
        "tables",
    )),
    "mmrec.service",
    *(f"mmrec.service.{room}" for room in (
        "settings", "memory", "errors", "safety", "metrics", "warmth", "load", "envelope", "jobs",
        "together", "uploads", "items", "core", "models", "bodies", "routes", "live", "app", "gallery",
        "showcase",
    )),
    "mmrec.wishes", "mmrec.cli", "mmrec.monitor.command", "mmrec.service.command",
    "mmrec.training.command", "mmrec",
]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("mmrec", "ingest") for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """Every module that a module imports anywhere in it, in functions and for type checks too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: write the whole name"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_every_module_has_its_place_in_the_order():
    ours = {name for name in MODULES if name.split(".")[0] == "mmrec"}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == ours


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "mmrec"])
def test_a_module_imports_only_what_stands_above_it(module):
    above = set(ORDER[:ORDER.index(module)])
    ours = {name for name in imports(module) if name.split(".")[0] == "mmrec"}
    assert ours <= above


def test_mmrec_never_imports_ingest():
    for module in MODULES:
        if module.split(".")[0] == "mmrec":
            assert not [name for name in imports(module) if name.split(".")[0] == "ingest"], module


def test_lancedb_is_imported_in_one_place():
    users = {m for m in MODULES if any(name.split(".")[0] == "lancedb" for name in imports(m))}
    assert users == {"mmrec.tables"}


@pytest.mark.parametrize("module", ["mmrec", "mmrec.recommender", "mmrec.cli", "ingest.command"])
def test_importing_loads_no_heavy_library(module):
    heavy = {
        "torch", "lancedb", "transformers", "sentence_transformers", "open_clip", "timm", "pandas", "polars",
        "faiss", "fastapi", "matplotlib",
    }
    loaded = fresh(f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))")
    assert loaded == ""


def test_importing_mmrec_costs_at_most_three_times_pydantic():
    timed = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    best = {name: min(float(fresh(timed.format(name))) for _ in range(5)) for name in ("mmrec", "pydantic")}
    print({name: f"{1000 * seconds:.1f} ms" for name, seconds in best.items()})
    assert best["mmrec"] <= 3 * best["pydantic"]


def test_the_public_names_are_all_there_and_few():
    assert mmrec.__all__ == sorted(mmrec.__all__)
    assert len(mmrec.__all__) == len(set(mmrec.__all__)) <= 12
    assert set(dir(mmrec)) == set(mmrec.__all__)
    for name in mmrec.__all__:
        assert getattr(mmrec, name) is not None
    starred = fresh("before = {*dir(), 'before'}; from mmrec import *; print(*sorted({*dir()} - before))")
    assert starred.split() == mmrec.__all__
    with pytest.raises(AttributeError, match="smell"):
        mmrec.smell  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_error_tree_is_as_drawn():
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+)(  |$)", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1] if depth else None
    real = {
        name: kind.__base__.__name__ if kind is not errors.MmrecError else None
        for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert drawn == real
