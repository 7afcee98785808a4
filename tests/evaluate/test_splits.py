from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from mmrec.errors import DataError
from mmrec.evaluate import splits
from mmrec.evaluate.logs import Log, Split, log_of_positions

BY_SEED = (splits.item_cold, splits.user_cold, splits.warm)


def log_from(*histories: str, times: list[int] | None = None, items: str = "abcdef") -> Log:
    """Users u0, u1 ... by their items, oldest first; times count on from user to user unless given."""
    acts = [(user, items.index(item)) for user, history in enumerate(histories) for item in history]
    return log_of_positions(
        [f"u{n}" for n in range(len(histories))], list(items), users=[user for user, _ in acts],
        items=[item for _, item in acts], times=range(len(acts)) if times is None else times,
    )


@pytest.fixture(scope="module")
def busy() -> Log:
    """200 users, 100 items of which the last 3 nobody touches, 4,000 interactions at most."""
    rng = np.random.default_rng(3)
    return log_of_positions(
        [f"u{n}" for n in range(200)], [f"i{n}" for n in range(100)], users=rng.integers(200, size=4_000),
        items=rng.integers(97, size=4_000), times=rng.integers(10**6, size=4_000),
    )


def shown(matrix: csr_matrix, items: str = "abcdef") -> list[str]:
    """Each row's items, in their order."""
    return ["".join(items[i] for i in row) for row in np.split(matrix.indices, matrix.indptr[1:-1])]


def same(a: csr_matrix, b: csr_matrix) -> bool:
    return a.shape == b.shape and not (a != b).nnz


def equal(a: Split, b: Split) -> bool:
    return same(a.train, b.train) and all(
        same(x.histories, y.histories) and same(x.relevant, y.relevant)
        and np.array_equal(x.candidates, y.candidates)
        for ours, theirs in ((a.validation, b.validation), (a.test, b.test))
        for x, y in zip(ours.values(), theirs.values(), strict=True)
    )


# Cold items


def test_a_fifth_of_the_touched_items_is_cold_and_warm_interactions_are_8_1_1(busy: Log) -> None:
    split = splits.item_cold(busy, 1)
    cold, warm, overall = (split.test[name].candidates for name in ("cold", "warm", "overall"))
    assert len(cold) == round(0.2 * 97)
    assert np.array_equal(np.union1d(cold, warm), np.arange(97))
    assert np.array_equal(overall, np.arange(97))
    assert not np.intersect1d(cold, warm).size
    n_warm = np.isin(busy.items, warm).sum()
    assert split.test["warm"].relevant.nnz == split.validation["warm"].relevant.nnz == n_warm // 10
    assert split.train.nnz == n_warm - 2 * (n_warm // 10)
    assert set(split.cold) == {*cold.tolist(), 97, 98, 99}


def test_validation_and_test_have_half_of_the_cold_items_each_and_rank_them_all(busy: Log) -> None:
    split = splits.item_cold(busy, 1)
    ours, theirs = (set(part["cold"].relevant.indices) for part in (split.validation, split.test))
    assert len(ours) == 9
    assert len(theirs) == 10
    assert not ours & theirs
    for part in (split.validation, split.test):
        assert np.array_equal(part["cold"].candidates, sorted(ours | theirs))
        assert part["overall"].relevant.nnz == part["cold"].relevant.nnz + part["warm"].relevant.nnz


def test_a_given_division_is_reproduced_to_the_pair() -> None:
    log = log_from("abce", "badf", "bace")
    table = pa.table({
        "user": ["u0"] * 4 + ["u1"] * 4 + ["u2"] * 4, "item": list("abce" "badf" "bace"),
        "part": pa.array([
            "train", "warm_val", "warm_test", "cold_val", "train", "warm_test", "warm_val", "cold_test",
            "train", "train", "train", "cold_val",
        ]).dictionary_encode(),
    })
    split = splits.item_cold_from(log, table, seed=7)
    assert (split.protocol, split.seed) == ("item-cold", 7)
    assert shown(split.train) == ["a", "b", "bac"]
    assert split.cold.tolist() == [3, 4, 5]  # d is warm and has no training interaction
    validation, test = (
        {name: shown(setting.relevant) for name, setting in part.items()}
        for part in (split.validation, split.test)
    )
    assert validation == {"cold": ["e", "e"], "warm": ["b", "d"], "overall": ["be", "d", "e"]}
    assert test == {"cold": ["f"], "warm": ["c", "a"], "overall": ["c", "af"]}
    assert shown(split.test["cold"].histories) == ["b"]
    assert split.test["cold"].candidates.tolist() == [4, 5]
    assert split.test["warm"].candidates.tolist() == [0, 1, 2, 3]
    assert split.test["overall"].candidates.tolist() == list(range(6))
    shuffled = table.take(np.random.default_rng(0).permutation(12))
    assert equal(splits.item_cold_from(log, shuffled), split)


def test_ids_of_a_table_may_be_numbers() -> None:
    ids = [str(n) for n in range(10, 15)]
    log = log_of_positions(["1"], ids, users=[0] * 5, items=range(5), times=range(5))
    table = pa.table({"user": [1] * 5, "item": range(10, 15), "part": splits.PARTS})
    assert splits.item_cold_from(log, table).train.indices.tolist() == [0]


def test_a_division_that_is_not_of_the_log_is_refused() -> None:
    log = log_from("abcde")
    table = {"user": ["u0"] * 5, "item": list("abcde"), "part": list(splits.PARTS)}

    def made(**columns: list[str]) -> Split:
        return splits.item_cold_from(log, pa.table(table | columns))

    assert made().train.nnz == 1
    with pytest.raises(DataError, match="user 'x' of the table of parts is not known"):
        made(user=["x"] * 5)
    with pytest.raises(DataError, match="part 'test' of the table of parts is not known"):
        made(part=["test"] * 5)
    with pytest.raises(DataError, match="5 pairs, 1 of them not in the log of 5"):
        made(item=list("abcdf"))
    with pytest.raises(DataError, match="each once"):  # one pair in two parts
        made(item=list("abcda"))


def test_an_item_that_is_warm_and_cold_is_refused() -> None:
    log = log_from("abcde", "d")
    table = pa.table({"user": ["u0"] * 5 + ["u1"], "item": list("abcded"), "part": [*splits.PARTS, "train"]})
    with pytest.raises(DataError, match="item 'd' and 0 others are both warm and cold"):
        splits.item_cold_from(log, table)


# Cold users


def test_training_sees_nothing_of_a_tenth_of_the_users_in_each_part(busy: Log) -> None:
    split = splits.user_cold(busy, 1)
    assert list(split.test) == ["1 revealed", "3 revealed", "5 revealed", "10 revealed", "all but last"]
    assert (np.diff(split.train.indptr) == 0).sum() == 40
    for part in (split.validation, split.test):
        assert part["1 revealed"].relevant.shape[0] == 20
        for n in (1, 3, 5, 10):
            assert (np.diff(part[f"{n} revealed"].histories.indptr) == n).all()
        assert (np.diff(part["all but last"].relevant.indptr) == 1).all()
    pairs = sum(
        part["1 revealed"].histories.nnz + part["1 revealed"].relevant.nnz
        for part in (split.validation, split.test)
    )
    assert split.train.nnz + pairs == len(busy.users)


def test_the_first_by_time_are_revealed_and_settings_without_users_are_left_out() -> None:
    log = log_from(*["fdba"] * 10)
    split = splits.user_cold(log, 1)
    assert list(split.test) == list(split.validation) == ["1 revealed", "3 revealed", "all but last"]
    assert shown(split.test["1 revealed"].histories) == ["f"]
    assert shown(split.test["1 revealed"].relevant) == ["dba"]
    assert shown(split.test["all but last"].histories) == ["fdb"]
    assert shown(split.test["all but last"].relevant) == ["a"]
    assert split.test["3 revealed"].candidates.tolist() == list(range(6))


def test_two_new_users_with_one_history_are_no_leak() -> None:
    split = splits.user_cold(log_from(*["ab"] * 9, "a"), 0)
    assert shown(split.test["1 revealed"].relevant) == shown(split.validation["1 revealed"].relevant) == ["b"]


# Known users


def test_a_random_tenth_is_test_and_another_validation(busy: Log) -> None:
    split, n = splits.warm(busy, 1), len(busy.users)
    assert split.train.nnz == n - 2 * (n // 10)
    assert split.test["warm"].relevant.nnz == split.validation["warm"].relevant.nnz == n // 10
    assert split.test["warm"].candidates.tolist() == list(range(100))


def test_the_last_is_test_and_the_one_before_it_validation() -> None:
    split = splits.leave_last_out(log_from("cab", "ef", "fdeab"))
    assert shown(split.train) == ["c", "ef", "fde"]
    validation, test = split.validation["next item"], split.test["next item"]
    assert (shown(validation.histories), shown(validation.relevant)) == (["c", "fde"], ["a", "a"])
    assert (shown(test.histories), shown(test.relevant)) == (["ca", "fdea"], ["b", "b"])
    assert test.candidates.tolist() == list(range(6))


def test_a_log_that_goes_by_time_and_not_by_user_is_read_alike() -> None:
    log = log_from("cab", "fdeab", times=[0, 2, 5, 1, 3, 4, 6, 7])
    order = np.argsort(log.times)
    mixed = Log(log.user_ids, log.item_ids, log.users[order], log.items[order], log.times[order])
    assert equal(splits.leave_last_out(log), splits.leave_last_out(mixed))


def test_one_moment_divides_all_users_and_newcomers_are_not_asked() -> None:
    # Twenty interactions, a tenth is two: test from time 18 on, validation from 16 on; u2 comes at 19.
    users = "abcd", "fedcb", "a", "abcde", "bcdef"
    log = log_from(*users, times=[0, 2, 16, 18, 1, 3, 4, 5, 17, 19, *range(6, 16)])
    split = splits.global_time(log)
    assert shown(split.train) == ["ab", "fedc", "", "abcde", "bcdef"]
    validation, test = split.validation["future"], split.test["future"]
    assert (shown(validation.histories), shown(validation.relevant)) == (["ab", "fedc"], ["c", "b"])
    assert (shown(test.histories), shown(test.relevant)) == (["abc"], ["d"])


def test_interactions_of_one_moment_stay_together() -> None:
    log = log_from("abcdef", times=[0, 1, 2, 3, 3, 3])
    split = splits.global_time(log)
    assert shown(split.test["future"].relevant) == ["def"]
    with pytest.raises(DataError, match="no interaction is left for training"):
        splits.global_time(log_from("abcdef", times=[3] * 6))


# All of them


@pytest.mark.parametrize("make", BY_SEED)
def test_a_seed_is_a_split_and_another_seed_another(make, busy: Log) -> None:
    assert equal(make(busy, 5), make(busy, 5))
    assert not same(make(busy, 5).train, make(busy, 6).train)
    assert make(busy, 5).seed == 5


@pytest.mark.parametrize("make", [
    *(lambda log, make=make: make(log, 0) for make in BY_SEED), splits.leave_last_out, splits.global_time,
])
def test_a_log_that_is_too_small_is_refused_by_our_own_error(make) -> None:
    for log in (log_from(""), log_from("a"), log_from("ab")):
        with pytest.raises(DataError):
            make(log)


logs = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 14), st.integers(0, 50)), min_size=40, max_size=120
)


@settings(max_examples=60)
@given(logs, st.integers(0, 3))
def test_whatever_the_log_each_row_is_ordered_by_time_and_no_answer_is_seen(rows, seed) -> None:
    users, items, times = np.array(rows).T
    log = log_of_positions(
        [str(n) for n in range(12)], [str(n) for n in range(15)], users=users, items=items, times=times
    )
    pairs = zip(log.users.tolist(), log.items.tolist(), strict=True)
    when = dict(zip(pairs, log.times.tolist(), strict=True))
    made = 0
    for make in (*(lambda log, make=make: make(log, seed) for make in BY_SEED), splits.leave_last_out,
                 splits.global_time):
        try:
            split = make(log)
        except DataError:
            continue
        made += 1
        for user, items_of in enumerate(np.split(split.train.indices, split.train.indptr[1:-1])):
            moments = [when[user, item] for item in items_of.tolist()]
            assert moments == sorted(moments)
        for part in (split.validation, split.test):
            for setting in part.values():
                assert not (setting.histories.toarray() * setting.relevant.toarray()).any()
                assert setting.histories.sum(axis=1).min() >= 1
                assert set(setting.relevant.indices) <= set(setting.candidates)
                assert not split.train[:, split.cold].nnz
        for name, setting in split.test.items():  # no interaction is in two parts
            asked = split.validation[name].relevant.nnz + setting.relevant.nnz
            assert split.train.nnz + asked <= len(log.items)
    assume(made)
