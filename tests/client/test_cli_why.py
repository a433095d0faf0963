"""ddq why, and what the same submit means twice."""


def test_why_says_it_in_one_sentence(desk):
    job = desk.submit(images=100)
    done = desk.ddq("why", job)
    assert done.stdout.startswith(f"{job} queued: ") and "no daemon is alive" in done.stdout and done.stdout.count("\n") == 1
    desk.beat()
    second = desk.submit(images=100)
    assert "1 job before yours" in desk.ddq("why", "@").stdout
    answer = desk.json("why", second)
    assert (answer["id"], answer["state"], answer["before"], answer["workers_fit"]) == (second, "queued", 1, 1)
    assert "status" not in answer and answer["text"] in desk.ddq("show", second).stdout
    lease = desk.claim()
    desk.renew(lease, 4, rate=2.0)
    said = desk.ddq("why", job, "-q").stdout
    assert said == "runs on 1 of 1 worker, 4 of 100 images done, about 48 s left\n"
    desk.ddq("hold", second)
    assert f"ddq release {second}" in desk.ddq("why", second).stdout
    desk.ddq("why", code=2)
    desk.ddq("why", "zzzzzz", code=102)


def test_the_same_submit_is_the_same_job(desk):
    first = desk.ddq("submit", "digits-2step", "-q").stdout
    again = desk.ddq("submit", "digits-2step")
    assert again.stdout == first and f"this is job {first.strip()}, which is queued; --new" in again.stderr
    assert "ddq watch" not in again.stderr
    other = desk.ddq("submit", "digits-2step", "--new", "-q").stdout
    assert other != first
    assert desk.ddq("submit", "digits-2step", "--seed", "9", "-q").stdout not in (first, other)
    desk.ddq("cancel", other.strip())
    assert desk.ddq("submit", "digits-2step", "-q").stdout not in (first, other)  # what was cancelled is no answer
    table = desk.ddq("submit", "digits-table", "-q").stdout
    done = desk.ddq("submit", "digits-table")
    assert done.stdout == table and "jobs queued" not in done.stderr
