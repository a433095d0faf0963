"""ddq why, and what the same submit means twice."""


def test_why_says_it_in_one_sentence(session):
    job = session.submit(images=100)
    done = session.ddq("why", job)
    assert done.stdout.startswith(f"{job} queued: ") and "no daemon is alive" in done.stdout and done.stdout.count("\n") == 1
    session.heartbeat()
    second = session.submit(images=100)
    assert "1 job before yours" in session.ddq("why", "@").stdout
    answer = session.json("why", second)
    assert (answer["id"], answer["state"], answer["before"], answer["workers_fit"]) == (second, "queued", 1, 1)
    assert "status" not in answer and answer["text"] in session.ddq("show", second).stdout
    lease = session.claim()
    session.renew(lease, 4, rate=2.0)
    said = session.ddq("why", job, "-q").stdout
    assert said == "runs on 1 of 1 worker, 4 of 100 images done, about 48 s left\n"
    session.ddq("hold", second)
    assert f"ddq release {second}" in session.ddq("why", second).stdout
    session.ddq("why", code=2)
    session.ddq("why", "zzzzzz", code=102)


def test_the_same_submit_is_the_same_job(session):
    first = session.ddq("submit", "digits-2step", "-q").stdout
    again = session.ddq("submit", "digits-2step")
    assert again.stdout == first and f"already submitted: job {first.strip()}, which is queued; nothing was queued. Use --new" in again.stderr
    assert "ddq watch" not in again.stderr
    other = session.ddq("submit", "digits-2step", "--new", "-q").stdout
    assert other != first
    assert session.ddq("submit", "digits-2step", "--seed", "9", "-q").stdout not in (first, other)
    session.ddq("cancel", other.strip())
    assert session.ddq("submit", "digits-2step", "-q").stdout not in (first, other)  # a cancelled job is no duplicate
    table = session.ddq("submit", "digits-table", "-q").stdout
    done = session.ddq("submit", "digits-table")
    assert done.stdout == table and "jobs queued" not in done.stderr
