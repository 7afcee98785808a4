"""Filters: what they keep, that mask and SQL agree with a plain oracle, that no string widens a result."""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import DataError
from mmrec.store.where import parse
from mmrec.store.where_parser import MAX_BRACKETS, MAX_LENGTH

COLUMNS = {
    "item_id": pa.string(), "price": pa.float64(), "category": pa.string(), "on_sale": pa.bool_(),
    "added_at": pa.timestamp("us", "UTC"), "genres": pa.list_(pa.string()),
}
MAY = datetime(2024, 5, 31, tzinfo=UTC)
ROWS = [
    {"item_id": "a", "price": 5.0, "category": "mug", "on_sale": True, "added_at": MAY, "genres": ["Comedy"]},
    {"item_id": "b", "price": 30.0, "category": "lamp", "on_sale": False,
    "added_at": MAY + timedelta(hours=1),
     "genres": ["Drama", "Comedy", "Comedy"]},
    {"item_id": "c", "price": -0.0, "category": "it's", "on_sale": True, "genres": []},
    {"item_id": "d"},
]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in COLUMNS.items()})


def kept(expression: str, rows: list[dict[str, Any]] = ROWS) -> str:
    ids = np.array([row["item_id"] for row in rows])
    return "".join(ids[parse(expression, COLUMNS).mask(table(rows))])


@pytest.mark.parametrize(("expression", "ids"), [
    ("price < 30", "ac"), ("price <= 30", "abc"), ("price > 5", "b"), ("price >= 5", "ab"),
    ("price == 5", "a"), ("price != 5", "bc"), ("price <> 5", "bc"), ("30 > price", "ac"),
    ("5 != price", "bc"),
    ("price == 0", "c"), ("price == -0.0", "c"), ("price in (0, 1)", "c"), ("price > -.5e1", "abc"),
    ("0 < price < 30", "a"), ("not 0 < price < 30", "bc"), ("30 >= price > 0", "ab"),
    ("category == 'mug'", "a"), ("category != \"mug\"", "bc"), (r"category == 'it\'s'", "c"),
    ("category in ('mug', 'lamp')", "ab"), ("category in ['mug',]", "a"),
    ("category not in ('mug', 'x')", "bc"),
    ("category < 'm'", "bc"),
    ("on_sale", "ac"), ("not on_sale", "b"), ("not not on_sale", "ac"), ("on_sale == False", "b"),
    ("True == on_sale", "ac"), ("on_sale in (True, False)", "abc"),
    ("'Comedy' in genres", "ab"), ("'Comedy' not in genres", "c"), ("not 'Drama' in genres", "ac"),
    ("added_at == '2024-05-31'", "a"), ("added_at > '2024-05-31'", "b"),
    ("added_at >= '2024-05-31T03:00:00+02:00'", "b"), ("'2024-05-31T01:00Z' <= added_at", "b"),
    ("added_at in ('2024-05-31', '2020-01-01')", "a"),
    ("price is None", "d"), ("price is not None", "abc"), ("not price is None", "abc"),
    ("genres is None", "d"), ("added_at IS NOT NULL", "ab"),
    ("price < 30 and on_sale", "ac"), ("price > 5 or on_sale", "abc"), ("on_sale or price is None", "acd"),
    ("price == 30 or price == 5 and on_sale", "ab"), ("(price == 30 or price == 5) and on_sale", "a"),
    ("NOT (price == 5) AND category == 'lamp'", "b"),
    ("on_sale == TRUE\n  or\tprice == 30", "abc"),
])
def test_a_filter_keeps_what_it_says(expression: str, ids: str) -> None:
    assert kept(expression) == ids


@pytest.mark.parametrize("expression", [
    "price < 30", "price != 30", "not price < 30", "not (price < 30)", "price < 30 or price >= 30",
    "category not in ('x',)", "on_sale or not on_sale", "'x' not in genres", "price > 0 and price is None",
])
def test_a_missing_value_satisfies_nothing_but_is_none(expression: str) -> None:
    assert "d" not in kept(expression)


def test_unknown_follows_kleene() -> None:
    unknown, true, false = "price == 1", "category is None", "category is not None"  # of the row "d"
    assert kept(f"{unknown} or {true}", ROWS[3:]) == "d"
    assert kept(f"{unknown} or {false}", ROWS[3:]) == ""
    assert kept(f"not ({unknown} and {false})", ROWS[3:]) == "d"
    assert kept(f"not ({unknown} and {true})", ROWS[3:]) == ""


def test_a_where_tells_its_columns_and_cannot_be_changed() -> None:
    where = parse("30 > price and ('x' in genres or not on_sale)", COLUMNS)
    assert where.columns == {"price", "genres", "on_sale"}
    assert where.expression.startswith("30 > price")
    with pytest.raises(FrozenInstanceError):
        where.expression = "on_sale"  # type: ignore[misc]


def test_sql_quotes_names_and_values() -> None:
    where = parse(r"category == 'it\'s' and not added_at < '2024-05-31T02:00+02:00'", COLUMNS)
    assert where.sql(lambda name: f"a_{name}") == (
        "(`a_category` IN ('it''s')"
        " AND (`a_added_at` IS NOT NULL AND NOT (`a_added_at` < timestamp '2024-05-31 00:00:00')))"
    )


def test_mask_reads_chunks_slices_and_hidden_values_of_missing_lists() -> None:
    whole = table(ROWS)
    chunks = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])
    where = parse("'Comedy' in genres", COLUMNS)
    assert where.mask(chunks).tolist() == [True, True, False, False]
    assert where.mask(whole.slice(1)).tolist() == [True, False, False]
    assert where.mask(whole.slice(0, 0)).tolist() == []
    lists = pa.ListArray.from_arrays([0, 1, 2], pa.array(["Comedy", "Comedy"]), mask=pa.array([True, False]))
    assert where.mask(pa.table({"genres": lists})).tolist() == [False, True]


def test_a_mask_is_far_quicker_than_a_loop_over_its_rows() -> None:
    """Beside the turning of the same rows into Python values, which takes as long as any loop over them."""
    where = parse("price < 30 and category in ('mug', 'lamp') or 'Comedy' not in genres", COLUMNS)
    many = table(ROWS * 25_000)

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    assert min(seconds(lambda: where.mask(many)) for _ in range(5)) < seconds(many.to_pylist) / 3


@pytest.mark.parametrize(("expression", "message"), [
    ("", "is empty"), ("  ", "is empty"), (3, "must be a string"), ("price < 3" + " " * MAX_LENGTH, "4,000"),
    ("price = 3", "character 7: write `==`"), ("price < 3 & on_sale", "write `and`"),
    ("!on_sale", "write `not`"),
    ("price between 1 and 2", "10 <= price <= 20"), ("category LIKE 'a%'", "use `==`"),
    ("prise < 3", "no column 'prise'; there are price, "),
    ("Prise < 3", "no column 'Prise'; there are price, "),
    ("price < 'a'", "price holds numbers: compare it with a number such as 30, not with 'a'"),
    ("category == 3", "category holds strings"), ("on_sale == 1", "on_sale holds True or False"),
    ("price == True", "price holds numbers"), ("on_sale < True", "has no order"),
    ("added_at > 'yesterday'", "such as '2024-05-31'"), ("added_at > 2024", "holds dates"),
    ("added_at < '0001-01-01T00:00+10:00'", "holds dates"), ("genres == 'x'", "'Comedy' in genres"),
    ("genres in ('x',)", "single values"), ("'mug' in category", "('mug', 'lamp')"),
    ("3 in genres", "holds lists"),
    ("category in 'mug'", "with a comma"), ("category in ('mug')", "with a comma"),
    ("price in ()", "with a comma"),
    ("price in (1, None)", "`price is None`"), ("price == None", "`price is None`"),
    ("on_sale is True", "use `==`"),
    ("None is price", "use `==`"), ("price", "alone is no condition"),
    ("price == price", "cannot be compared"),
    ("price < 3 and", "character 11"), ("price 3", "cannot be read"), ("on_sale on_sale", "cannot be read"),
    ("(price < 3", "opened and closed"), ("price < 3)", "opened and closed"),
    ("([price < 3)]", "cannot be read"),
    ("category == 'it''s'", "for a quote"), ("category == 'a", "for a quote"),
    (r"category == '\d'", "for a quote"),
    ("price < 1e999", "2**53"), ("price == 9007199254740993", "2**53"), ("price < 1" + "0" * 999, "2**53"),
    ("price < nan", "no column 'nan'"), ("price < -inf", "cannot read '-'"),
    ("price < 1_000", "cannot read '1'"),
    ("price < 0x1F", "cannot read '0'"), ("price < 1j", "cannot read '1'"),
    ("blob == 'x'", "cannot be filtered"),
])
def test_an_error_says_what_is_wrong_and_what_would_fit(expression: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        parse(expression, {**COLUMNS, "blob": pa.binary()})
    assert caught.value.field == "where"


@pytest.mark.parametrize("expression", [
    "True", "1 < 2", "1 == 1", "'a'", "not False", "None", "()", "None is None", "'a' in ('a', 'b')",
    "category == 'a' or True", "price < 3 or 1 == 1", "price < 3 or not None", "1 < 2 < price",
    "x' OR 1=1 --", "price < 30) or (1==1", "price < 30) or (on_sale", "price < 30; on_sale",
    "price < 30 -- ",
    "price < 30 # on_sale", "price < 30 /* */", "`price` < 30", "`price` IS NULL OR `a` = `a`",
    "price < 3\\\n",
    "pric\u0435 < 30", "\uff50\uff52\uff49\uff43\uff45 < 30", "price \uff1c 30", "price < \u0663",
    "category == \u2019mug\u2019", "on_sale\x00", "category == 'a\x00'", r"category == '\x00'",
    r"category == '\ud800'", "category == '\ud800'", r"category == '\U00110000'",
    r"category == '\N{DIGIT ONE}'",
    "category == 'a\n'", "__import__('os')", "price.real < 3", "price[0] < 3", "price(3)", "max(price) < 3",
    "price - 1 < 3", "price + 1 < 3", "-price < 3", "price ** 9 ** 9 < 3", "price if on_sale else price",
    "(price := 3)", "lambda: price", "[price for price in genres]", "{price}", "*price",
    "f'{price}' == category",
    "b'mug' == category", "category == 'm' 'ug'", "price < 3,", "[price < 3]", "(price < 3) == on_sale",
    "(on_sale or on_sale) == True", "category not in ('a', ('b',))", "category in (category,)", "...",
    "price < @",
    "await price", "yield", "import os", "category in ('a' or 'b',)", "_0", "_5 < 3", "price < 3 or _9",
])
def test_structure_that_could_widen_a_result_is_an_error(expression: str) -> None:
    with pytest.raises(DataError, match=r"^where: "):
        parse(expression, COLUMNS)


def test_nesting_is_bounded_before_it_can_harm() -> None:
    deepest = "(" * MAX_BRACKETS + "on_sale" + ")" * MAX_BRACKETS
    assert kept(deepest) == "ac"
    for hostile in (f"({deepest})", "(" * 4000, "[" * 2000 + "]" * 2000, "on_sale" + ")" * 3000):
        with pytest.raises(DataError, match="bracket"):
            parse(hostile, COLUMNS)
    assert kept("not " * 990 + "on_sale") == "ac"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@given(TEXT)
def test_every_string_is_matched_literally(value: str) -> None:
    rows = [{"item_id": "1", "category": value}, {"item_id": "2", "category": value + "'"}, {"item_id": "3"}]
    assert kept(f"category == {value!r}", rows) == "1"
    assert kept(f"category not in ({value!r},)", rows) == "2"


SOUP = [*COLUMNS, "and", "or", "not", "in", "==", "<", "!=", "(", ")", "[", "]", ",", "3", "'a'", "True",
"None", "-"]


@given(st.lists(st.sampled_from(SOUP), max_size=9).map(" ".join) | st.text(max_size=20))
@settings(max_examples=400)
def test_whatever_is_written_a_row_without_values_is_never_kept(expression: str) -> None:
    try:
        where = parse(expression, COLUMNS)
    except DataError:
        return
    assert where.columns
    assert not where.mask(table([{}])).any()


# A second reading of the language, row by row, to hold mask and SQL against.

Truth = bool | None
Condition = tuple[str, Callable[[dict[str, Any]], Truth]]
STRINGS = ["", "mug", "Mug", "it's", 'say "hi"', "a\\b", "100%", "x`y", "é\n", "') OR (1=1", "--", "日本"]
NUMBERS = [-1e15, -1.5, -0.0, 0.0, 5e-324, 0.1, 3.0, 30.0, 2.0**53 - 1]
DATES = [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), MAY,
         MAY + timedelta(microseconds=1), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)]
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
EQUALS = {"==": operator.eq, "!=": operator.ne}


def either(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def opposite(truth: Truth) -> Truth:
    return None if truth is None else not truth


def known(column: str, test: Callable[[Any], bool]) -> Callable[[dict[str, Any]], Truth]:
    return lambda row: None if row.get(column) is None else test(row[column])


def written(value: Any) -> str:
    return repr(value.isoformat()) if isinstance(value, datetime) else repr(value)


@st.composite
def comparisons(draw: Any) -> Condition:
    """One comparison, or a chained one."""
    column, values, order = draw(st.sampled_from([
        ("price", NUMBERS, True), ("category", STRINGS, True), ("added_at", DATES, True),
        ("on_sale", [True, False], False),
    ]))
    one, other = draw(st.sampled_from(values)), draw(st.sampled_from(values))
    sign, compare = draw(st.sampled_from(list({**EQUALS, **(ORDERS if order else {})}.items())))
    word = draw(st.sampled_from(STRINGS))
    return draw(st.sampled_from([
        (f"{column} {sign} {written(one)}", known(column, lambda x: compare(x, one))),
        (f"{written(one)} {sign} {column}", known(column, lambda x: compare(one, x))),
        (f"{written(one)} {sign} {column} == {written(other)}",
         known(column, lambda x: compare(one, x) and x == other)),
        (f"{column} in ({written(one)}, {written(other)})", known(column, lambda x: x in (one, other))),
        (f"{column} not in [{written(one)}]", known(column, lambda x: x != one)),
        (f"{column} is None", lambda row: row.get(column) is None),
        (f"{column} is not None", lambda row: row.get(column) is not None),
        (f"{word!r} in genres", known("genres", lambda x: word in x)),
        (f"{word!r} not in genres", known("genres", lambda x: word not in x)),
        ("on_sale", lambda row: row.get("on_sale")),
    ]))


def joined(parts: list[Condition], word: str) -> Condition:
    text = f" {word} ".join(text for text, _ in parts)
    if word == "or":
        return text, lambda row: either([holds(row) for _, holds in parts])
    return text, lambda row: opposite(either([opposite(holds(row)) for _, holds in parts]))


def negated(part: Condition) -> Condition:
    return f"not {part[0]}", lambda row: opposite(part[1](row))


def disjunctions(atoms: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    """`or` of `and` of `not`, without brackets, so that precedence is tested too."""
    factors = atoms | atoms.map(negated)
    terms = st.lists(factors, min_size=1, max_size=3).map(lambda parts: joined(parts, "and"))
    return st.lists(terms, min_size=1, max_size=3).map(lambda parts: joined(parts, "or"))


CONDITIONS = disjunctions(st.recursive(
    comparisons(),
    lambda inner: disjunctions(inner).map(lambda part: (f"({part[0]})", part[1])),
    max_leaves=8,
)).filter(lambda condition: len(condition[0]) <= MAX_LENGTH)
ROW = st.fixed_dictionaries({}, optional={
    "price": st.sampled_from(NUMBERS), "category": st.sampled_from(STRINGS), "on_sale": st.booleans(),
    "added_at": st.sampled_from(DATES), "genres": st.lists(st.sampled_from(STRINGS), max_size=3),
})


@given(CONDITIONS, st.lists(ROW, max_size=8))
@settings(max_examples=200)
def test_mask_is_the_oracle_row_by_row(condition: Condition, rows: list[dict[str, Any]]) -> None:
    text, holds = condition
    assert parse(text, COLUMNS).mask(table(rows)).tolist() == [holds(row) is True for row in rows]


@pytest.fixture(scope="module")
def found_in_lancedb(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[bool]]:
    """The rows of LANCE that LanceDB itself finds by a filter's SQL, as a mask."""
    import lancedb

    stored = table(LANCE).rename_columns(["item_id", *(f"a_{name}" for name in list(COLUMNS)[1:])])
    opened = lancedb.connect(tmp_path_factory.mktemp("lance")).create_table("items", stored)

    def found(expression: str) -> list[bool]:
        sql = parse(expression, COLUMNS).sql(lambda name: name if name == "item_id" else f"a_{name}")
        hits = opened.search().where(sql).select(["item_id"]).limit(len(LANCE)).to_arrow()
        ids = hits["item_id"].to_pylist()
        return [row["item_id"] in ids for row in LANCE]

    return found


def drawn_rows(n: int) -> list[dict[str, Any]]:
    """Rows with every value of the columns, a fifth of them missing."""
    rng = np.random.default_rng(0)
    values = {"price": NUMBERS, "category": STRINGS, "on_sale": [True, False], "added_at": DATES,
              "genres": [[], ["mug"], ["it's", "mug"], STRINGS]}
    return [
        {"item_id": str(i), **{name: options[rng.integers(len(options))]
                               for name, options in values.items() if rng.random() < 0.8}}
        for i in range(n)
    ]


LANCE = drawn_rows(120)


@given(condition=CONDITIONS)
@settings(max_examples=150)
def test_lancedb_finds_what_mask_keeps(found_in_lancedb: Any, condition: Condition) -> None:
    text, holds = condition
    mask = parse(text, COLUMNS).mask(table(LANCE)).tolist()
    assert mask == [holds(row) is True for row in LANCE]
    assert found_in_lancedb(text) == mask


@given(value=TEXT)
@settings(max_examples=60)
def test_lancedb_takes_every_string_literally(found_in_lancedb: Any, value: str) -> None:
    text = f"item_id in ('7', {value!r})"
    assert found_in_lancedb(text) == [row["item_id"] in ("7", value) for row in LANCE]


@pytest.mark.parametrize("expression", [
    ("on_sale or price < 3 and not (" * MAX_BRACKETS) + "on_sale" + ")" * MAX_BRACKETS,
    ("not (price < 3 and not on_sale or on_sale and " * (MAX_BRACKETS - 1)) + "price not in (1, 2)"
    + ")" * (MAX_BRACKETS - 1),
    "price != 3 or price != 30", "category not in ('mug', '') or category not in ('Mug', '--')",
    " or ".join(["on_sale"] * 360), " and ".join(["'mug' in genres"] * 190),
    f"price in ({','.join(map(str, range(900)))})", "not " * 990 + "on_sale",
    "not (" + " or ".join(f"price == {i} and on_sale" for i in range(140)) + ")",
])
def test_lancedb_agrees_on_the_deepest_longest_and_hardest_filters(
    found_in_lancedb: Any, expression: str
) -> None:
    assert found_in_lancedb(expression) == parse(expression, COLUMNS).mask(table(LANCE)).tolist()


@pytest.mark.parametrize(("expression", "kept"), [
    ("価格 < 5000", [True, False]), ("ชื่อ == 'ก'", [True, False]), ("größe == 'L'", [True, False]),
    ("Größe == 'cafe\u0301'", [False, True]), ("gro\u0308ße is not None", [True, True]),
    ("item_id == ' a '", [True, False]), ("ITEM_ID == 'a'", [True, False]),
])
def test_columns_of_every_script_are_named_in_any_case_and_form(expression, kept):
    rows = pa.table({
        "item_id": ["a", "b"], "価格": [10.0, 9_000.0], "ชื่อ": ["ก", "ข"], "Größe": ["L", "caf\u00e9"],
    })
    where = parse(expression, {name: rows.schema.field(name).type for name in rows.column_names})
    assert where.mask(rows).tolist() == kept
