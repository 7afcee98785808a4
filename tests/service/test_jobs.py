"""The life of a job, with real functions as its work."""

import threading

import pytest

from mmrec.errors import DataError
from mmrec.service.errors import Refused
from mmrec.service.jobs import REMEMBERED, Jobs


class Report:
    def as_dict(self):
        return {"epochs": 2}


def test_a_job_tells_its_progress_and_its_result(wait_until):
    step, jobs = threading.Event(), Jobs()

    def work(told):
        told({"epoch": 1})
        step.wait(10)
        told({"epoch": 2})
        return Report()

    job = jobs.start("fit", work)
    wait_until(lambda: job.progress == {"epoch": 1})
    now = jobs.get(job.job_id).as_dict()
    assert (now["state"], now["finished"], now["result"], now["error"]) == ("running", None, None, None)
    step.set()
    wait_until(lambda: job.state != "running")
    end = job.as_dict()
    assert (end["state"], end["progress"], end["result"]) == ("done", {"epoch": 2}, {"epochs": 2})
    assert end["finished"] >= end["started"]


@pytest.mark.parametrize(("error", "kind", "message"), [
    (DataError("too few interactions", field="user"), "DataError", "too few interactions"),
    (ZeroDivisionError("a secret"), "InternalError", "the service failed at this request"),
])
def test_a_job_that_fails_says_why_in_the_form_of_errors(wait_until, caplog, error, kind, message):
    def work(told):
        raise error

    job = Jobs().start("fit", work)
    wait_until(lambda: job.state == "failed")
    assert (job.error["kind"], job.error["message"]) == (kind, message)
    assert job.result is None
    assert str(error) in caplog.text


def test_one_job_at_a_time(wait_until):
    step, jobs = threading.Event(), Jobs()
    job = jobs.start("fit", lambda told: step.wait(10))
    with pytest.raises(Refused, match=job.job_id) as caught:
        jobs.start("fit", lambda told: None)
    assert caught.value.status == 409
    step.set()
    wait_until(lambda: job.state == "done")
    assert jobs.start("fit", lambda told: None).job_id != job.job_id


def test_old_jobs_are_forgotten(wait_until):
    jobs, made = Jobs(), []
    for _ in range(REMEMBERED + 2):
        job = jobs.start("fit", lambda told: None)
        wait_until(lambda job=job: job.state == "done")
        made.append(job.job_id)
    with pytest.raises(Refused, match="no job"):
        jobs.get(made[1])
    assert jobs.get(made[2]).state == "done"


def test_fit_starts_a_job_with_the_options_that_were_set(serve, shop, red_blue, wait_until, monkeypatch):
    shop.ingest(red_blue)
    step, asked = threading.Event(), []

    def fit(*, progress, **options):  # what trains, whatever it is: real work on the shop is all it needs
        asked.append(options)
        progress({"epoch": 1})
        step.wait(10)
        return {"items": len(shop)}

    monkeypatch.setattr(shop, "fit", fit, raising=False)
    client = serve(shop)
    started = client.post("/fit", json={"epochs": 1, "warm_start": True})
    assert (started.status_code, started.json()["state"]) == (202, "running")
    address = f"/jobs/{started.json()['job_id']}"
    wait_until(lambda: client.get(address).json()["progress"] == {"epoch": 1})
    assert client.post("/fit").status_code == 409
    assert client.post("/recommend", json={"k": 1}).status_code == 200  # training keeps nobody waiting
    step.set()
    wait_until(lambda: client.get(address).json()["state"] == "done")
    assert client.get(address).json()["result"] == {"items": 8}
    assert client.post("/fit").status_code == 202
    wait_until(lambda: len(asked) == 2)
    assert asked == [{"epochs": 1, "warm_start": True}, {}]
