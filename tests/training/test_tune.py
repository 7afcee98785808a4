"""What a fit decides on its validation."""

import numpy as np

from mmrec.training.tune import usual


def of(figure):
    """Figures of two users, who differ."""
    return figure + np.array([-0.1, 0.1])


def test_of_settings_as_good_as_the_best_the_usual_one_is_taken():
    assert usual({0.0: of(0.999), 0.4: of(0.995), 1.0: of(1.0)}, 0.5)[0] == 0.4
    assert usual({0.0: of(0.9), 0.4: of(0.9), 1.0: of(1.0)}, 0.5)[0] == 1.0


def test_what_is_worse_by_chance_alone_is_as_good_where_more_than_chance_is_asked_for():
    scatter = np.tile([-0.2, 0.2], 50)  # its mean has a standard error of 0.02
    best = np.full(100, 0.5)
    by_chance, surely = {0.5: best, 1.0: best - 0.03 + scatter}, {0.5: best, 1.0: best - 0.05 + scatter}
    assert usual(by_chance, 1.0)[0] == 0.5
    assert usual(by_chance, 1.0, sure=1.96)[0] == 1.0
    assert usual(surely, 1.0, sure=1.96)[0] == 0.5
