"""What the words of the command line mean, and the command's wishes against those of the verbs."""

import json
from dataclasses import asdict

import pytest

from mmrec.cli_options import cosine_or_name, dials, pairs, result_options, shares
from mmrec.errors import DataError


def test_pairs_are_names_and_numbers():
    assert pairs(["brand=2", "full text=0.5", "a=b=3"], "x") == {"brand": 2, "full text": 0.5, "a=b": 3}
    assert type(pairs(["brand=2"], "x")["brand"]) is int
    assert pairs(None, "x") is pairs([], "x") is None


@pytest.mark.parametrize("pair", ["brand", "brand=", "=2", "brand=two", ""])
def test_what_is_no_pair_is_refused(pair):
    with pytest.raises(DataError, match="max_per must be a name and a number, such as brand=2"):
        pairs([pair], "max_per")


def test_a_number_is_a_cosine_and_a_word_an_attribute():
    assert (cosine_or_name("0.9"), cosine_or_name("design"), cosine_or_name(None)) == (0.9, "design", None)


def test_diversity_is_a_number_or_that_of_fields():
    assert (dials(None), dials(["0.3"]), dials(["genres=0.3"])) == (0.0, 0.3, {"genres": 0.3})
    assert dials(["genres=0.3", "content=0.2"]) == {"genres": 0.3, "content": 0.2}
    with pytest.raises(DataError, match="diversity must be a name and a number"):
        dials(["much"])


def test_options_of_results_are_arguments_of_the_verbs():
    assert result_options(3, "price < 5", ["r0"], ["0.3"], ["brand=2"], "0.9", ["cold=0.2"]) == {
        "k": 3, "where": "price < 5", "exclude": ["r0"], "diversity": 0.3, "max_per": {"brand": 2},
        "distinct": 0.9, "exposure": {"cold": 0.2},
    }


def test_exposure_is_even_a_share_or_the_shares_of_values():
    assert shares(None) is shares([]) is None
    assert shares(["brand=even", "cold=0.2", "maker:Acme=0.3", "maker:a:b = c=0.1"]) == {
        "brand": "even", "cold": 0.2, "maker": {"Acme": 0.3, "a:b = c": 0.1}}


@pytest.mark.parametrize("given", ["cold", "cold=some", "brand:=0.3", "brand:Acme=even", "=even", "=0.2"])
def test_what_is_no_share_is_refused(given):
    with pytest.raises(DataError, match="exposure must be a name and a number"):
        shares([given])


def test_a_group_has_one_kind_of_share():
    with pytest.raises(DataError, match="exposure: brand has a share already, got 'brand:Acme=0\\.3' too"):
        shares(["brand=even", "brand:Acme=0.3"])


def test_options_that_are_not_given_are_the_verbs_defaults(red_blue_shop):
    assert red_blue_shop.recommend(**result_options(10, None, None, None, None, None)) == (
        red_blue_shop.recommend())


@pytest.mark.parametrize(("arguments", "verb", "asked"), [
    (["recommend", "--history", "r0", "--diversity", "0.5", "--max-per", "category=2"], "recommend",
     {"history": ["r0"], "diversity": 0.5, "max_per": {"category": 2}}),
    (["recommend", "--history", "r0", "--explore", "0.5", "--seed", "3"], "recommend",
     {"history": ["r0"], "explore": 0.5, "rng": 3}),
    (["recommend", "--history", "r0", "--diversity", "category=0.5", "-k", "4"], "recommend",
     {"history": ["r0"], "diversity": {"category": 0.5}, "k": 4}),
    (["recommend", "--distinct", "category"], "recommend", {"distinct": "category"}),
    (["recommend", "--history", "r0", "--exposure", "category:lamp=0.5", "-k", "4"], "recommend",
     {"history": ["r0"], "exposure": {"category": {"lamp": 0.5}}, "k": 4}),
    (["similar", "r0", "--exposure", "category=even", "-k", "4"], "similar",
     {"item_id": "r0", "exposure": {"category": "even"}, "k": 4}),
    (["search", "red mug", "--history", "b0", "--weight", "taste=3", "--weight", "full text=0"], "search",
     {"text": "red mug", "history": ["b0"], "weights": {"taste": 3, "full text": 0}}),
    (["search", "--history", "b0", "--distinct", "0.9"], "search", {"history": ["b0"], "distinct": 0.9}),
    (["similar", "r0", "--exclude", "r1", "--max-per", "category=1"], "similar",
     {"item_id": "r0", "exclude": ["r1"], "max_per": {"category": 1}}),
])
def test_the_command_wishes_as_python_does(mmrec, red_blue_shop, arguments, verb, asked):
    command, *rest = arguments
    done = mmrec(command, red_blue_shop.path, *rest)
    assert (done.exit_code, done.stderr) == (0, "")
    expected = [json.loads(json.dumps(asdict(r))) for r in getattr(red_blue_shop, verb)(**asked)]
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected


def test_the_command_searches_by_a_picture(mmrec, red_blue_shop, picture):
    done = mmrec("search", red_blue_shop.path, "--image", picture("photo.png", "blue"), "-k", "4")
    assert {json.loads(line)["item_id"][0] for line in done.stdout.splitlines()} == {"b"}


def test_a_bad_wish_is_one_line(mmrec, red_blue_shop):
    done = mmrec("recommend", red_blue_shop.path, "--max-per", "category")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: max_per must be")
