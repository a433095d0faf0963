"""ddq compare: runs side by side, and what is not comparable. No Redis where paths are given."""
import json

import pytest

ALIKE = {"job_identity": "x", "images": 5000, "n": 5000, "pipeline": "pt", "weights_sha256": "aa" * 32, "feature_precision": "fp32",
         "reference": {"name": "digits", "sha256": "bb" * 32}, "spec": {"kind": "sample", "neighbours": 3}}


def run_of(folder, where, **changes):
    path = folder / where
    path.mkdir()
    (path / "report.json").write_text(json.dumps({**ALIKE, "name": where, **changes}))
    return path


@pytest.fixture
def away(session):
    """A session whose Redis is gone."""
    session.stop()
    return session


def test_alike(away, tmp_path):
    runs = [run_of(tmp_path, "one", fid=1.737, fid_low=1.70, fid_high=1.77, is_mean=9.5, is_std=0.1),
            run_of(tmp_path, "two", fid=1.709, fid_low=1.68, fid_high=1.74, is_mean=9.25, is_std=0.1),
            run_of(tmp_path, "three", fid=0.915, fid_low=0.9, fid_high=0.93)]
    out = away.ddq("compare", *runs).stdout
    assert "NOT" not in out and "!" not in out
    fid, score = out.split("Inception score")
    assert [line.split() for line in fid.strip().splitlines()] == [
        ["FID,", "pipeline", "pt"], ["one", "1.737", "[1.700,", "1.770]"],
        ["two", "1.709", "[1.680,", "1.740]", "-0.028,", *"intervals overlap, so the difference may be chance".split()],
        ["three", "0.915", "[0.900,", "0.930]", "-0.822,", "intervals", "do", "not", "overlap"]]
    assert [line.split() for line in score.splitlines()[1:]] == [["one", "9.50"], ["two", "9.25", "-0.25"], ["three", "-"]]
    told = away.json("compare", *runs)
    assert told["differs"] == [] and [r["name"] for r in told["runs"]] == ["one", "two", "three"]
    row = told["figures"][0]
    assert row["figure"] == "fid" and [v["value"] for v in row["values"]] == [1.737, 1.709, 0.915]
    assert all(v["comparable"] for v in row["values"]) and row["values"][1]["overlap"] and not row["values"][2]["overlap"]
    assert row["values"][1]["delta"] == pytest.approx(-0.028) and told["figures"][1]["values"][2] is None


OTHER = [
    ({"n": 50000}, "number of images", {"fid", "is_mean", "precision"}),
    ({"pipeline": "tf"}, "pipeline", {"fid", "is_mean", "precision"}),
    ({"weights_sha256": "cc" * 32}, "weights", {"fid", "is_mean", "precision"}),
    ({"reference": {"name": "digits", "sha256": "dd" * 32}}, "reference", {"fid", "precision"}),
    ({"spec": {"neighbours": 5}}, "neighbours", {"precision"}),
    ({"spec": {"neighbours": 3, "like": "pytorch-fid"}}, "like", {"fid"}),
    ({"feature_precision": "tf32"}, "arithmetic of the features", {"fid", "is_mean", "precision"}),
    ({"reference": None}, "reference", {"fid", "precision"}),
]


@pytest.mark.parametrize("change,what,moved", OTHER, ids=[f"{w}{i}" for i, (_, w, _) in enumerate(OTHER)])
def test_what_is_not_alike_is_marked(away, tmp_path, change, what, moved):
    figures = {"fid": 2.0, "is_mean": 9.0, "precision": 0.5}
    runs = [run_of(tmp_path, "one", **figures), run_of(tmp_path, "two", **figures, **change), run_of(tmp_path, "three", **figures)]
    told = away.json("compare", *runs)
    assert [d["what"] for d in told["differs"]] == [what] and len(told["differs"][0]["values"]) == 3
    for row in told["figures"]:
        odd = row["figure"] in moved
        assert [v["comparable"] for v in row["values"]] == [True, not odd, True], row["figure"]
        assert row["values"][1]["differs"] == ([what] if odd else [])
    out = away.ddq("compare", *runs).stdout
    assert out.startswith(f"NOT MEASURED ALIKE: {what} differs\n    one: ")
    assert out.count(f"! {what} differs") == len(moved) and sum(" ! " in line for line in out.splitlines()) == len(moved)


def test_several_that_differ_at_once(away, tmp_path):
    runs = [run_of(tmp_path, "one", fid=2.0), run_of(tmp_path, "two", fid=2.5, n=7, pipeline="tf")]
    assert "! pipeline, number of images differ\n" in away.ddq("compare", *runs).stdout
    away.ddq("compare", *runs, "--html", tmp_path / "page.html")
    assert "pipeline, number of images differ</span>" in (tmp_path / "page.html").read_text()


def finish(session, job, **report):
    session.complete(job)
    folder = session.folder / "jobs" / session.json("show", job)["folder"]
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({**ALIKE, **report}))


def test_names_of_rows(session):
    """The points of a sweep by what varies, jobs of a recipe by that and their id, a name that was given as it is."""
    session.ddq("submit", "digits-demo", "-q", "--sweep", "split_t=10,20", "--sweep", "t_list=0;0,20")
    points = [point["id"] for point in session.json("show", "@")["points"]]
    demo, named = (session.ddq("submit", "digits-demo", "-q", *words).stdout.strip() for words in ([], ["--name", "mine"]))
    for fid, job in enumerate([*points, demo, named]):
        finish(session, job, fid=fid + 1.5, **({"name": "mine"} if job == named else {"name": "digits-demo-sweep.x"} if job in points else {}))
    told = session.json("compare", *points, demo, named)
    assert [run["name"] for run in told["runs"]] == ["split_t 10, t_list [0]", "split_t 10, t_list [0,20]", "split_t 20, t_list [0]",
                                                     "split_t 20, t_list [0,20]", f"digits-demo {demo}", "mine"]


def test_a_reference_is_its_content(away, tmp_path):
    runs = [run_of(tmp_path, "one", fid=1), run_of(tmp_path, "two", fid=2, reference={"name": "mnist", "sha256": "bb" * 32})]
    told = away.json("compare", *runs)
    assert told["differs"] == [] and told["figures"][0]["values"][1]["comparable"]


def test_what_moves_no_number_is_not_said(away, tmp_path):
    runs = [run_of(tmp_path, "one", fid=1), run_of(tmp_path, "two", fid=2, spec={"neighbours": 5})]
    assert away.json("compare", *runs)["differs"] == []


def test_both_pipelines(away, tmp_path):
    """The second pipeline of two runs compares; a run without it is shown with its own, marked."""
    runs = [run_of(tmp_path, "one", fid=2.0, tf={"fid": 2.5}), run_of(tmp_path, "two", fid=2.1, tf={"fid": 2.75}),
            run_of(tmp_path, "three", fid=2.2)]
    rows = {r["pipeline"]: r["values"] for r in away.json("compare", *runs)["figures"]}
    assert [v["value"] for v in rows["pt"]] == [2.0, 2.1, 2.2] and all(v["comparable"] for v in rows["pt"])
    assert [v["value"] for v in rows["tf"]] == [2.5, 2.75, 2.2]
    assert [v["comparable"] for v in rows["tf"]] == [True, True, False] and rows["tf"][2]["differs"] == ["pipeline"]


def test_page(away, tmp_path):
    runs = [run_of(tmp_path, "one", name="<script>alert(1)</script>", fid=2.0, fid_low=1.9, fid_high=2.1),
            run_of(tmp_path, "two", n=7, fid=2.125, fid_low=2.0, fid_high=2.2)]
    assert away.ddq("compare", *runs, "--html", tmp_path / "page.html", "--quiet").stdout == ""
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "http" not in page and "src=" not in page
    assert "Not measured alike: number of images differs" in page and "[2.000, 2.200]" in page and "+0.125" in page
    assert page.count("class=odd") == 1 and "intervals overlap, so the difference may be chance; <span class=odd>number of images differs</span>" in page
    assert "two" in away.ddq("compare", runs[0] / "report.json", runs[1]).stdout  # the file itself will do
    assert f"--html: {tmp_path} cannot be written" in away.ddq("compare", *runs, "--html", tmp_path, code=1).stderr


def test_same_name_twice(away, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    runs = [run_of(tmp_path / "a", "run", fid=1), run_of(tmp_path / "b", "run", fid=2)]
    assert [r["name"] for r in away.json("compare", *runs)["runs"]] == ["run", "run (2)"]


BAD = [
    ("{", ["report.json", "not JSON"]),
    ("[]", ["not the report of a job"]),
    ('{"fid": 1}', ["not the report of a job"]),
    ("", ["not JSON"]),
    (None, ["holds no report", "when it is done"]),
]


@pytest.mark.parametrize("text,words", BAD)
def test_no_report(away, tmp_path, text, words):
    good, bad = run_of(tmp_path, "good", fid=1), tmp_path / "bad"
    bad.mkdir()
    if text is not None:
        (bad / "report.json").write_text(text)
    done = away.ddq("compare", good, bad, code=1 if text is not None else 102)
    assert done.stdout == "" and all(w in done.stderr for w in [str(bad), *words]), done.stderr


def test_figures_of_a_strange_kind_are_not_shown(away, tmp_path):
    runs = [run_of(tmp_path, "one", fid="1.5", is_mean=None, kid=[1], pipeline=7, reference="x", tf="y"), run_of(tmp_path, "two", fid=2)]
    told = away.json("compare", *runs)
    assert [r["figure"] for r in told["figures"]] == ["fid"] and told["figures"][0]["values"][0] is None
    one = run_of(tmp_path, "empty")
    assert "none of these runs measured anything" in away.ddq("compare", one, one).stdout


def test_jobs_by_id(session):
    ids = [session.submit(images=1, reference="digits") for _ in range(2)]
    assert "is queued; only" in session.ddq("compare", *ids, code=2).stderr
    for job in ids:
        session.complete(job)
    assert "not visible" in session.ddq("compare", *ids, code=102).stderr
    for job, fid in zip(ids, (1.5, 2.5)):
        folder = session.folder / "jobs/ada" / job
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps({**ALIKE, "fid": fid}))
    told = session.json("compare", *ids)
    assert [r["name"] for r in told["runs"]] == ids and told["figures"][0]["values"][1]["delta"] == 1
    assert "zzzz not found" in session.ddq("compare", ids[0], "zzzz", code=102).stderr
    assert "at least two runs" in session.ddq("compare", ids[0], code=2).stderr
