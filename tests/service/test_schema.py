"""Requests drawn from the OpenAPI document, fit and unfit ones, never make the service fail.

MMREC_CASES sets how many of each kind for each route; 6 unless told, some 200 in all.
"""

import os
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

CASES = int(os.environ.get("MMREC_CASES", "6"))
FORMS = {422, 404, 400, 405, 409, 413}  # refusals, each of them in the one form of errors
LEFT_OUT = {"/fit"}  # its job outlives the answer


@pytest.fixture
def routes(shop, red_blue, running):
    """Every route of the OpenAPI document of a service."""
    shop.ingest(red_blue)
    with running(shop.path, MMREC_RATE="0") as address:
        document = schemathesis.openapi.from_url(address + "/openapi.json")
        found = [route.ok() for route in document.get_all_operations()]
        yield [route for route in found if route.path not in LEFT_OUT]


def test_no_request_makes_the_service_fail(routes):
    seen, count = set(), 0

    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def asked(data, route, mode):
        nonlocal count
        case = data.draw(route.as_strategy(generation_mode=mode))
        answer = case.call()
        count += 1
        seen.add((route.path, answer.status_code))
        told = f"{case.as_curl_command()}\n{answer.text[:500]}"
        assert answer.status_code < 500, told
        assert answer.status_code in {200, 202, 304} | FORMS, told
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) >= {"kind", "message", "what_to_do", "request_id"}, told

    for route in routes:
        asked(route=route, mode=schemathesis.GenerationMode.POSITIVE)
        with suppress(Unsatisfiable):  # of a route that takes whatever comes, such as any id
            asked(route=route, mode=schemathesis.GenerationMode.NEGATIVE)
    assert {path for path, _ in seen} == {route.path for route in routes}
    assert count >= CASES * len(routes)
    print(count, "requests")
    assert {200, 422} <= {status for _, status in seen}
