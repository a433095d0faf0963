"""Workers follow the queue's decisions: they yield for interactive jobs, and report their memory."""
from fake_farm import Farm
from wait import wait_for


def test_an_interactive_job_goes_first_at_the_next_batch():
    with Farm() as farm:
        farm.wait(farm.submit(images=20, how="ms=0"))  # fast, so that the next range is a long one
        slow = farm.submit(images=150, how="ms=20")
        farm.running(slow, done=30)
        quick = farm.submit(images=4, how="ms=1", asks={"tier": "interactive"})
        assert "yields when its batch ends" in farm.redis.fcall("why", id=quick)["text"] or farm.show(quick)["state"] != "queued"
        farm.wait(quick)
        assert farm.show(slow)["done"] < 150  # it had not to wait for the end of a range of seconds
        assert "asked to yield" in farm.log()
        state = farm.wait(slow)
        farm.check_output(slow, 150)
        assert all(row[3] == "made" for row in farm.trace(slow))  # and nothing was made twice
        assert state["errors"] == 0


def test_a_worker_takes_what_fits_its_memory(tmp_path):
    free = tmp_path / "free"
    free.write_text("9000")
    with Farm(FAKE_FREE=str(free)) as farm:
        farm.wait(farm.submit(images=4, how="peak=8678"))
        free.write_text("5722")
        wait_for(lambda: farm.redis.fcall("hosts")["hosts"][0]["workers"][0].get("free_mib") == 5722, "less is free")
        job = farm.submit(images=4, how="peak=8678")
        why = farm.redis.fcall("why", id=job)
        assert why["code"] == "memory" and "needs 9.1 GB, most free: 6.0 GB on " in why["text"]
        other = farm.submit(images=4, batch=1, asks={"load": "batch=1"})
        farm.wait(other)  # of another load, so its memory is unknown
        assert farm.show(job)["state"] == "queued"
        free.write_text("9000")
        farm.wait(job)
