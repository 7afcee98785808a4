"""The figures, read as Prometheus would read them."""

from prometheus_client.parser import text_string_to_metric_families


def figures(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text) for sample in family.samples
    }


def test_requests_are_counted_by_route_method_and_status(client):
    for path in ("/items/r0", "/items/r1", "/items/nobody", "/random/place", "/another"):
        client.get(path)
    client.request("BREW", "/items/r0")
    seen = figures(client)

    def count(method, route, status):
        labels = (("method", method), ("route", route), ("status", status))
        return seen.get(("mmrec_requests_total", *labels))

    assert count("GET", "/items/{item_id}", "200") == 2
    assert count("GET", "/items/{item_id}", "404") == 1
    assert count("GET", "none", "404") == 2
    assert count("other", "/items/{item_id}", "405") == 1
    assert seen["mmrec_request_seconds_count", ("route", "/items/{item_id}")] == 4
    assert seen["mmrec_request_seconds_sum", ("route", "/items/{item_id}")] > 0


def test_results_are_counted_by_rung(client):
    client.post("/recommend", json={"history": ["r0"], "k": 3})
    client.post("/recommend", json={"k": 2})
    client.post("/search", json={"text": "mug", "k": 4})
    seen = figures(client)
    assert seen["mmrec_results_total", ("route", "recommend"), ("rung", "history")] == 3
    assert seen["mmrec_results_total", ("route", "recommend"), ("rung", "newest")] == 2
    assert seen["mmrec_results_total", ("route", "search"), ("rung", "search")] == 4


def test_two_services_count_apart(serve, red_blue_shop):
    one, other = serve(red_blue_shop), serve(red_blue_shop)
    one.get("/items/r0")
    key = ("mmrec_requests_total", ("method", "GET"), ("route", "/items/{item_id}"), ("status", "200"))
    assert (figures(one).get(key), figures(other).get(key)) == (1, None)
