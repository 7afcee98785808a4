"""The rules of the house, read from its own source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mmrec
from mmrec import errors

ROOT = Path(mmrec.__file__).parents[1]
LONGEST, LONGEST_FUNCTION = 300, 45  # lines
MOST_FILES, MOST_LINES, MOST_LOOSE = 126, 23_600, 9
# A package is one floor, and imports only what lies on it or above it in this list.
FLOORS = [
    {"mmrec.errors", "mmrec.config", "mmrec.types", "mmrec.threads", "mmrec"},
    {"mmrec.data"}, {"mmrec.encoders"}, {"mmrec.model"}, {"mmrec.store"}, {"mmrec.search"}, {"mmrec.ranking"},
    {"mmrec.evaluate"}, {"mmrec.check"},
    {"mmrec.training"}, {"mmrec.recommender"}, {"mmrec.monitor"}, {"mmrec.service"},
    {"mmrec.cli", "mmrec.cli_options", "mmrec.cli_services"}, {"ingest"},
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


def top_imports(module: str) -> Iterator[str]:
    """What is imported when a module is, not by a function later, nor for type checks."""
    for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def floor_of(module: str) -> int:
    """Where a module stands, from 0 at the top; packages by their first two names, `mmrec` itself by all."""
    room = "ingest" if module.split(".")[0] == "ingest" else ".".join(module.split(".")[:2])
    return next(n for n, floor in enumerate(FLOORS) if room in floor)


def package_of(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


@pytest.mark.parametrize("module", [name for name in MODULES if name != "mmrec"])
def test_a_module_imports_only_from_floors_above_it(module):
    ours = {name for name in imports(module) if name.split(".")[0] in ("mmrec", "ingest")}
    assert not [name for name in ours if floor_of(name) > floor_of(module)]


def test_no_two_modules_import_each_other():
    """A cycle shows as a module that can be reached from itself, by imports at the top of modules alone."""
    above = {module: set(top_imports(module)) & set(MODULES) for module in MODULES if module != "mmrec"}
    for _ in above:
        free = {module for module, wanted in above.items() if not wanted & set(above)}
        above = {module: wanted for module, wanted in above.items() if module not in free}
    assert not above


def test_the_house_is_no_bigger_than_it_was_planned():
    ours = {name: path for name, path in MODULES.items() if name.split(".")[0] == "mmrec"}
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in ours.values())
    loose = [path for path in ours.values() if path.parent == ROOT / "mmrec"]
    assert len(ours) <= MOST_FILES
    assert lines <= MOST_LINES
    assert len(loose) <= MOST_LOOSE


BENCHMARKS = {f"benchmarks.{path.stem}": path for path in (ROOT / "tests" / "benchmarks").glob("*.py")}


@pytest.mark.parametrize("module", [*MODULES, *BENCHMARKS])
def test_no_private_name_of_another_package_is_used(module):
    path = (MODULES | BENCHMARKS)[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    foreign = {
        alias.asname or alias.name.split(".")[0] for node in ast.walk(tree)
        if isinstance(node, ast.Import) for alias in node.names
    }
    own = private_names(path.parent)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in ("mmrec", "ingest"):
            taken = [alias.name for alias in node.names if is_private(alias.name)]
            assert not taken or package_of(node.module) == package_of(module), taken
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            assert node.attr in own or root_name(node) in foreign, f"line {node.lineno}: {node.attr}"


def is_private(name: str) -> bool:
    """Whether a name is for its own package; the methods of named tuples only look like it."""
    public = ("_replace", "_asdict", "_fields")
    return name.startswith("_") and not name.startswith("__") and name not in public


def root_name(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


@cache
def private_names(folder: Path) -> frozenset[str]:
    """Private names that the modules of a folder define, as functions, classes, variables or attributes."""
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return frozenset(filter(is_private, found))


def test_lancedb_is_imported_in_one_place():
    users = {m for m in MODULES if any(name.split(".")[0] == "lancedb" for name in imports(m))}
    assert users == {"mmrec.store.tables"}


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
    assert len(mmrec.__all__) == len(set(mmrec.__all__)) <= 14
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


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_too_long(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


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
