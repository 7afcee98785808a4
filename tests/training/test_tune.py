"""What a fit decides on its validation."""

from mmrec.training.tune import usual


def test_of_settings_as_good_as_the_best_the_usual_one_is_taken():
    assert usual({0.0: 0.999, 0.4: 0.995, 1.0: 1.0}, 0.5)[0] == 0.4
    assert usual({0.0: 0.9, 0.4: 0.9, 1.0: 1.0}, 0.5)[0] == 1.0
