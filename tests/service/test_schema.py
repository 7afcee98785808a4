"""Requests drawn from the OpenAPI document, fit and unfit ones, never make the service fail.

MMREC_CASES sets how many of each kind for each route; 6 unless told, some 170 in all.
"""

import os
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

CASES = int(os.environ.get("MMREC_CASES", "6"))
FORMS = {422, 404, 400, 405, 409, 413}  # refusals, each of them in the one form of errors
PARTS = {"kind", "message", "field", "what_to_do", "request_id"}


@pytest.fixture
def routes(shop, red_blue, running):
    """Every route of the OpenAPI document of a service."""
    shop.ingest(red_blue)
    with running(shop.path, MMREC_RATE="0") as address:
        document = schemathesis.openapi.from_url(address + "/openapi.json")
        yield [route.ok() for route in document.get_all_operations()]


def fault(case, answer):
    """What is wrong with an answer, if anything is; with a command that asks for it again."""
    if answer.status_code >= 400:
        try:
            fine = answer.status_code in FORMS and set(answer.json()["error"]) >= PARTS
        except ValueError:
            fine = False
    else:
        fine = answer.status_code in {200, 202, 304}
    return None if fine else f"{answer.status_code} {answer.text[:500]}\n{case.as_curl_command()[:2_000]}"


def test_no_request_makes_the_service_fail(routes):
    seen, faults = [], []

    @settings(
        max_examples=CASES, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data, route, mode):
        case = data.draw(route.as_strategy(generation_mode=mode))
        answer = case.call()
        seen.append((route.path, answer.status_code))
        if wrong := fault(case, answer):
            faults.append(wrong)

    for route in routes:
        ask(route=route, mode=schemathesis.GenerationMode.POSITIVE)
        with suppress(Unsatisfiable):  # of a route that takes whatever comes, such as any id
            ask(route=route, mode=schemathesis.GenerationMode.NEGATIVE)
    print(len(seen), "requests")
    assert not faults, "\n\n".join([f"{len(faults)} of {len(seen)} answers are wrong", *faults[:5]])
    assert {path for path, _ in seen} == {route.path for route in routes}
    assert len(seen) >= CASES * len(routes)
    assert {200, 422} <= {status for _, status in seen}
