"""A head beside a sequence tower: one row and one user of both."""

from dataclasses import replace

import numpy as np
import pytest

from mmrec.model.ordered_towers import EXPLAINED, OrderedTowers

IDS = [str(n) for n in range(24)]


@pytest.fixture(scope="module")
def towers(ordered):
    """Those of a head that was trained on histories whose order is known."""
    model = ordered.model
    return OrderedTowers(model.towers, replace(model.sequence, share=0.6, cold_offset=0.3))


@pytest.fixture
def rows(towers, ordered):
    return towers.items(ordered.content, IDS)


def scored(towers, rows, history, weights=None):
    searched, remembered = towers.spans(rows.shape[1])
    weights = np.ones(len(history), np.float32) if weights is None else np.array(weights, np.float32)
    return rows[:, searched] @ towers.user(rows[history][:, remembered], weights)


def test_a_score_is_that_of_the_head_and_that_of_the_sequence_in_their_shares(towers, rows):
    head, part = towers.head, towers.sequence
    ours = head.items(np.zeros((24, 24), np.float32), IDS)  # all are known
    plain = head.searched(ours) @ head.user(head.remembered(ours)[[3, 1, 4]], np.ones(3, np.float32))
    user = part.tower.users([part.items[[3, 1, 4], :-1]])[0]
    ordered = part.items[:, :-1] @ user + part.items[:, -1]
    found = scored(towers, rows, [3, 1, 4])
    np.testing.assert_allclose(found, 0.4 * plain + 0.6 * ordered / ordered.std(), atol=1e-3)


def test_order_counts_as_far_as_the_sequence_has_a_share(towers, rows):
    assert np.abs(scored(towers, rows, [3, 1, 4]) - scored(towers, rows, [4, 1, 3])).max() > 0.1
    alone = replace(towers, sequence=replace(towers.sequence, share=0.0))
    fade = replace(towers.head, blend=replace(towers.head.blend, fade=1.0))
    orderless = replace(alone, head=fade)
    there, back = (scored(orderless, rows, order) for order in ([3, 1, 4], [4, 1, 3]))
    np.testing.assert_allclose(there, back, atol=1e-4)


def test_many_users_are_each_alone(towers, rows):
    _, remembered = towers.spans(rows.shape[1])
    histories, weights = [[3, 1], [5], [2, 3, 4]], [[1, 1], [-1], [1, -1, 2]]
    users = towers.users(rows[:, remembered], histories, weights)
    for user, history, one in zip(users, histories, weights, strict=True):
        alone = towers.user(rows[history][:, remembered], np.array(one, np.float32))
        np.testing.assert_allclose(user, alone, rtol=1e-3, atol=1e-3)


def test_dislikes_are_the_heads_and_who_only_dislikes_is_served_by_it(towers, rows):
    assert scored(towers, rows, [3, 5], [1, -1])[5] < scored(towers, rows, [3, 5], [1, 1])[5]
    head = towers.head
    ours = rows[:, : head.compression.items.shape[1]]
    _, remembered = towers.spans(rows.shape[1])
    d = towers.sequence.tower.dim
    plain = ours @ head.user(rows[[5]][:, remembered][:, :-d], np.array([-1], np.float32))
    np.testing.assert_allclose(scored(towers, rows, [5], [-1]), plain, atol=1e-5)
    history, given = rows[[5]][:, remembered], np.array([-1], np.float32)
    parts = towers.attributions(history, given, towers.user(history, given))
    ours = head.attributions(history[:, :-d], given, head.user(history[:, :-d], given))
    np.testing.assert_allclose(parts[:, : ours.shape[1]], ours, atol=1e-5)


def test_an_item_that_nobody_chose_is_where_its_content_says(towers, ordered):
    d, (searched, _) = towers.sequence.tower.dim, towers.spans(0)
    like = towers.items(ordered.content[:3], ["new", "", "2"])[:, searched][:, -d - 1:]
    known = towers.sequence.items[:3]
    np.testing.assert_allclose(like[2], known[2])
    predicted = replace(towers.head.smoother, coefficients=towers.sequence.coefficients)(ordered.content[:2])
    predicted[:, -1] += 0.3
    np.testing.assert_allclose(like[:2], predicted, atol=1e-5)
    assert np.corrcoef(like[0, :-1], known[0, :-1])[0, 1] > 0.8
    assert not towers.items(np.zeros((1, 24), np.float32), ["new"])[:, searched].any()


def test_a_row_has_both_parts_twice(towers, rows):
    searched, remembered = towers.spans(rows.shape[1])
    assert (searched.start, searched.stop, remembered.stop) == (0, remembered.start, rows.shape[1])
    assert max(searched.stop, remembered.stop - remembered.start) <= 256
    d = towers.sequence.tower.dim
    np.testing.assert_array_equal(rows[:, searched][:, -d - 1:-1], rows[:, remembered][:, -d:])


def test_reasons_are_what_a_score_loses_without_an_item(towers, rows):
    alone = replace(towers, sequence=replace(towers.sequence, share=1.0))
    searched, remembered = alone.spans(rows.shape[1])
    history, ones = rows[[3, 1, 4]][:, remembered], np.ones(3, np.float32)
    user = alone.user(history, ones)
    parts = alone.attributions(history, ones, user)
    for n in range(3):
        left = np.delete(np.arange(3), n)
        lost = user - alone.user(history[left], ones[left])
        np.testing.assert_allclose(rows[:, searched] @ parts[n], rows[:, searched] @ lost, atol=1e-4)


def test_only_the_latest_items_are_explained_by_order(towers, rows):
    history = np.tile(np.arange(24), 2)[: EXPLAINED + 5]
    _, remembered = towers.spans(rows.shape[1])
    d, ones = towers.sequence.tower.dim, np.ones(len(history), np.float32)
    user = towers.user(rows[history][:, remembered], ones)
    parts = towers.attributions(rows[history][:, remembered], ones, user)[:, -d - 1:]
    assert (np.abs(parts).max(axis=1) > 0).tolist() == [False] * 5 + [True] * EXPLAINED
    one = towers.attributions(rows[[3]][:, remembered], ones[:1], user)
    assert not one[:, -d - 1:].any()  # without it there would be no user


def test_scores_deviate_by_one_whatever_the_length_of_vectors(towers):
    part = towers.sequence
    long = replace(part, items=7 * part.items)
    for one in (part, long):
        users = one.users([one.items[[3, 1, 4], :-1], one.items[[2], :-1]])
        np.testing.assert_allclose((one.items @ users.T).std(axis=0), 1, rtol=1e-4)
