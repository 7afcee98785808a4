"""The life of a job, with real functions as its work, and the job that `POST /fit` starts."""

import json
import threading
import time

import pytest

from mmrec.errors import DataError
from mmrec.service.errors import Refused
from mmrec.service.jobs import REMEMBERED, Jobs
from mmrec.service.models import ErrorDescription, JobShown


def test_a_job_tells_its_progress_and_its_result(wait_until):
    step, jobs = threading.Event(), Jobs()

    def work(told):
        told({"epoch": 1})
        step.wait(120)
        told({"epoch": 2})
        return {"epochs": 2}

    job = jobs.start("fit", work, "r1")
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

    job = Jobs().start("fit", work, "r1")
    wait_until(lambda: job.state == "failed")
    assert (job.error["kind"], job.error["message"], job.error["request_id"]) == (kind, message, "r1")
    assert job.result is None
    assert str(error) in caplog.text
    assert ("Traceback" in caplog.text) == (kind == "InternalError")  # what was foreseen needs none


def test_one_job_at_a_time(wait_until):
    step, jobs = threading.Event(), Jobs()
    job = jobs.start("fit", lambda told: {"waited": step.wait(120)}, "r1")
    with pytest.raises(Refused, match=job.job_id) as caught:
        jobs.start("fit", lambda told: {}, "r2")
    assert caught.value.status_code == 409
    step.set()
    wait_until(lambda: job.state == "done")
    assert jobs.start("fit", lambda told: {}, "r2").job_id != job.job_id


def test_old_jobs_are_forgotten(wait_until):
    jobs, made = Jobs(), []
    for _ in range(REMEMBERED + 2):
        job = jobs.start("fit", lambda told: {}, "r2")
        wait_until(lambda job=job: job.state == "done")
        made.append(job.job_id)
    with pytest.raises(Refused, match="no job"):
        jobs.get(made[1])
    assert jobs.get(made[2]).state == "done"


def test_a_service_that_stops_ends_its_job_at_the_next_step(wait_until):
    jobs, steps = Jobs(), []

    def work(told):
        while True:
            told({"stage": "training"})
            steps.append(time.sleep(0.01))

    job = jobs.start("fit", work, "r1")
    wait_until(lambda: len(steps) > 2)
    jobs.stop(120)
    assert (job.state, job.error["kind"]) == ("failed", "Stopped")
    done = len(steps)
    time.sleep(0.05)
    assert len(steps) == done


def test_a_job_that_takes_no_step_is_not_waited_for():
    jobs, end = Jobs(), threading.Event()
    job = jobs.start("fit", lambda told: {"ended": end.wait(120)}, "r1")
    jobs.stop(0.1)
    assert job.state == "running"
    end.set()


def test_nothing_to_stop():
    Jobs().stop(60)


@pytest.fixture
def ended(wait_until):
    """Waits until a job is over; gives what it was seen at on the way, and what it is then."""

    def wait(client, started):
        address, seen = f"/jobs/{started.json()['job_id']}", []

        def over():
            job = client.get(address).json()
            JobShown.model_validate(job, extra="forbid")  # as OpenAPI says it is
            seen.append(job["progress"])
            return job["state"] != "running"

        wait_until(over, 60)
        return seen, client.get(address).json()

    return wait


def test_fit_is_a_job_that_tells_how_far_it_is_and_what_came_of_it(serve, crowd, ended, shown, told):
    client = serve(crowd)
    assert client.get("/items/r0/similar?by=behaviour").json()["error"]["kind"] == "NotFitted"
    started = client.post("/fit", json={"epochs": 3, "seed": 5})
    assert (started.status_code, started.json()["state"]) == (202, "running")
    seen, job = ended(client, started)
    stages = {progress["stage"] for progress in seen if progress}
    assert "writing vectors" in stages
    assert (job["state"], job["error"], job["result"]["served"]) == ("done", None, True), job
    report = job["result"]
    assert (report["users"], report["items"], report["interactions"]) == (30, 16, 120)
    assert {curve["epoch"] for curve in report["curves"]} == {1, 2, 3}
    assert {curve["stage"] for curve in report["curves"]} == {"validation", "training"}
    assert {verdict["situation"] for verdict in report["verdicts"]} >= {"cold items", "all items"}
    near = client.get("/items/r0/similar?by=behaviour&k=7")  # what was trained serves at once
    assert shown(near) == told(crowd.similar("r0", by="behaviour", k=7))
    assert len(near.json()["results"]) == 7
    warm = client.post("/fit", json={"epochs": 1, "warm_start": True})
    assert ended(client, warm)[1]["result"]["warm_start"] is True


def test_a_check_is_a_job_whose_result_is_the_report(serve, crowd, ended):
    client = serve(crowd)
    _, job = ended(client, client.post("/check"))
    assert (job["kind"], job["state"], job["error"]) == ("check", "done", None)
    assert job["result"] == json.loads(json.dumps(crowd.check().as_dict()))
    assert job["result"]["figures"]["users"] == 30


def test_suggestions_are_a_job_whose_result_they_are(serve, crowd, ended):
    client = serve(crowd)
    _, job = ended(client, client.post("/suggest", json={"least": 0.5}))
    assert (job["kind"], job["state"], job["result"]) == ("suggest", "done", {"suggestions": []})
    _, job = ended(client, client.post("/suggest", json={"fields": ["taste of salt"]}))
    assert (job["state"], job["error"]["field"]) == ("failed", "fields")
    assert client.post("/suggest", json={"least": 2}).status_code == 422


def test_one_fit_at_a_time_and_nobody_waits_for_it(serve, crowd, ended):
    client = serve(crowd)
    with crowd.store.writer():  # the fit can go no further than to the vectors
        started = client.post("/fit", json={"epochs": 1})
        second = client.post("/fit")
        assert (second.status_code, second.json()["error"]["kind"]) == (409, "JobRunning")
        assert started.json()["job_id"] in second.json()["error"]["message"]
        assert client.post("/recommend", json={"k": 1}).status_code == 200
        assert client.get("/items/r0").status_code == 200
    assert ended(client, started)[1]["state"] == "done"
    assert client.post("/fit").status_code == 202


@pytest.mark.parametrize(("body", "kind", "words"), [
    ({}, "DataError", "record more"), ({"warm_start": True}, "NotFitted", "none serves"),
])
def test_a_fit_that_cannot_be_says_why_in_the_form_of_errors(own, shop, red_blue, ended, body, kind, words):
    shop.ingest(red_blue)
    started = own.post("/fit", json=body)
    job = ended(own, started)[1]
    assert (job["state"], job["result"], job["error"]["kind"]) == ("failed", None, kind)
    assert words in job["error"]["message"]
    assert job["error"]["request_id"] == started.headers["x-request-id"]
    ErrorDescription.model_validate(job["error"], extra="forbid")


def test_the_device_is_a_setting_of_the_machine(serve, crowd, ended):
    client = serve(crowd, device="no such device")
    job = ended(client, client.post("/fit", json={"epochs": 1}))[1]
    assert (job["state"], job["error"]["kind"]) == ("failed", "InternalError")
    assert client.post("/fit", json={"device": "cpu"}).status_code == 422
