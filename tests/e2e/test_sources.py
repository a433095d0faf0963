"""Images that are there already, measured: by any batch, by several workers, after a kill; and faulty sources."""
import os

import numpy
import pytest
from PIL import Image

from harness import DIGITS, Farm
from test_exec import MEASURE, TWO_STEP, execute, refused, report, run, start
from test_serve import Worker
from wait import DEADLINE, wait_for

EVALUATE = {"kind": "evaluate", **MEASURE, "save": ["features"]}


def picture(seed, width, height):
    rng = numpy.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=numpy.uint8))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """48 PNGs and JPEGs of three sizes in folders below folders."""
    folder = tmp_path_factory.mktemp("mixed")
    for i in range(48):
        path = folder / f"class{i % 5}" / "deep" / f"{i}.{('png', 'JPG', 'jpeg')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i, *((32, 32), (40, 24), (8, 9))[i // 7 % 3]).save(path, "PNG" if i % 3 == 0 else "JPEG", quality=90)
    return folder


def results(out):
    return {name: (out / name).read_bytes() for name in ("features.npy", "statistics.npz")}


@pytest.fixture(scope="module")
def expected(mixed, tmp_path_factory):
    out = run({**EVALUATE, "images": str(mixed), "batch": 1}, tmp_path_factory.mktemp("expected"))
    return results(out), report(out)


@pytest.mark.parametrize("batch", [7, 32])
def test_the_batch_changes_nothing(mixed, expected, tmp_path, batch):
    out = run({**EVALUATE, "images": str(mixed), "batch": batch}, tmp_path)
    assert results(out) == expected[0]
    assert report(out)["images_sha256"] == expected[1]["images_sha256"]


def test_both_pipelines_and_spatial_features(mixed, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    job = {**EVALUATE, "images": str(mixed), "reference": str(mixed), "pipeline": "both", "metrics": ["fid", "sfid"]}
    one, many = (run({**job, "batch": batch}, tmp_path, str(batch)) for batch in (1, 32))
    for name in ("features.npy", "features_tf.npy", "statistics.npz", "statistics_tf.npz"):
        assert (one / name).read_bytes() == (many / name).read_bytes(), name
    assert (one / "features.npy").read_bytes() != (one / "features_tf.npy").read_bytes()
    said = report(many)
    assert said["fid"] == said["tf"]["fid"] == said["tf"]["sfid"] == 0  # a set and itself
    # A folder that was measured before is measured again where a metric wants more of it.
    again = run({**job, "pipeline": "pt", "metrics": ["fid"], "batch": 7}, tmp_path, "again")
    again = run({**job, "pipeline": "pt", "metrics": ["sfid"]}, tmp_path, "again")
    assert report(again)["sfid"] == 0 and (again / "features.npy").read_bytes() == (one / "features.npy").read_bytes()


def test_what_is_dubious_is_said(expected):
    said = "\n".join(expected[1]["warnings"])
    assert "32 of the 48 images are JPEG files" in said and "differ in size, from 8x9 to 32x32" in said
    assert "same pixels" not in said and "left out" not in said


def test_two_workers_share_a_source(mixed, expected, tmp_path):
    spec = {**EVALUATE, "images": str(mixed), "output": f"{tmp_path}/out"}
    one, two = Worker(), Worker()
    one.work(spec, 0, 1, phase="survey", n=0)
    survey = one.answer()
    assert survey["type"] == "finished" and survey["images"] == 48 and survey["upto"] == 1
    two.work(spec, 19, 48, n=48)
    one.work(spec, 0, 19, n=48)
    for worker, hi in ((one, 19), (two, 48)):
        done = worker.answer()
        assert done["type"] == "finished" and done["upto"] == hi, done
    assert any(m["type"] == "progress" and m["stage"] == "features" for m in one.seen)
    two.work(spec, 48, 49, phase="report", n=48)
    assert two.answer()["type"] == "finished"
    assert results(tmp_path / "out") == expected[0]
    one.end()
    two.end()


def test_a_source_that_changes_after_its_survey(mixed, tmp_path):
    worker = Worker()
    spec = {**EVALUATE, "images": str(mixed), "output": f"{tmp_path}/out"}
    worker.work(spec, 0, 10, n=50)
    failed = worker.answer()
    assert failed["type"] == "failed" and failed["policy"] == "fail"
    assert "50 of them were counted when the job began, now there are 48" in failed["text"]
    worker.work({**spec, "kind": "sample"}, 0, 1, phase="survey", n=0)
    assert worker.answer()["type"] == "failed"
    worker.end()


def test_killed_in_the_middle(tmp_path):
    images = numpy.random.default_rng(1).integers(0, 256, (300, 32, 32, 3), dtype=numpy.uint8)
    images[77] = images[3]
    images[250] = images[3]
    numpy.save(tmp_path / "a.npy", images)
    numpy.savez(tmp_path / "a.npz", arr_0=images)
    job = {**EVALUATE, "images": f"{tmp_path}/a.npy"}
    whole = run({**job, "images": f"{tmp_path}/a.npz"}, tmp_path, "whole")
    out = tmp_path / "out"
    process = start({**job, "output": str(out)}, tmp_path)
    wait_for(lambda: list(out.glob("blocks/*.json")), "a shard is there")
    process.kill()
    process.communicate()
    there = {path: path.stat().st_mtime_ns for path in out.glob("blocks/*.features.npy")}
    assert there and not (out / "report.json").exists()
    run(job, tmp_path)
    assert all(path.stat().st_mtime_ns == when for path, when in there.items() if path.with_suffix("").with_suffix(".json").exists())
    assert results(out) == results(whole)  # an .npy and an .npz of the same images, and a kill in between
    said = [text for text in report(out)["warnings"] if "same pixels" in text]
    assert len(said) == 1 and said[0].startswith("2 images have the same pixels"), said
    assert "image 77 is a copy of" in said[0] and "image 250 is a copy of" in said[0] and report(out)["duplicates"] == 2
    assert not list(out.glob(".*"))


def test_unreadable_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        picture(i, 24, 24).save(folder / f"{i}.png")
    whole = numpy.load(run({**EVALUATE, "images": str(folder)}, tmp_path, "whole") / "features.npy")
    (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:300])
    (folder / "9.png").write_text("<html>404</html>")
    job = {**EVALUATE, "images": str(folder)}
    assert "5.png" in refused({**job, "output": f"{tmp_path}/out"}, tmp_path, "ends too early", code=1)
    out = run({**job, "skip_bad": "yes"}, tmp_path)  # goes on in the same folder
    left = numpy.load(out / "features.npy")
    assert left.shape == (10, whole.shape[1]) and (left == numpy.delete(whole, [5, 9], axis=0)).all()
    assert int(numpy.load(out / "statistics.npz")["num_images"]) == 10
    assert report(out)["n"] == 10 and report(out)["skipped"] == 2 and report(out)["duplicates"] == 0
    said = "\n".join(report(out)["warnings"])
    assert "2 of the 12 images cannot be read and were left out" in said and "5.png" in said and "9.png" in said
    # All of it is there, so asking again does nothing; asked not to leave any out, it does not take these shards.
    assert "already finished" in execute({**job, "skip_bad": "yes", "output": str(out)}, tmp_path).out
    refused({**job, "output": str(out)}, tmp_path, "5.png", code=1)
    for path in folder.iterdir():
        path.write_text("nothing")
    refused({**job, "skip_bad": "yes", "output": f"{tmp_path}/none"}, tmp_path, "none of the 12 images can be read", code=1)


def test_a_folder_that_grows_while_it_is_measured(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(200):
        picture(i, 32, 32).save(folder / f"{i}.png")
    process = start({**EVALUATE, "images": str(folder), "output": f"{tmp_path}/out"}, tmp_path)
    wait_for(lambda: (tmp_path / "out/job.json").exists(), "it began")
    picture(7, 32, 32).save(folder / "late\nimage.png")
    err = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 102 and "late\\nimage.png: it was added while the images were read" in err, err
    assert not (tmp_path / "out/report.json").exists()


def test_the_daemon_spreads_an_evaluation():
    """A job's own features and FID, and those of its folder measured by two workers, are the same bytes."""
    with Farm(workers="cpu:2") as farm:
        job = farm.submit({"kind": "sample", "model": "digits", "reference": "digits", "t_list": [0, 20], "split_t": 20,
                           "images": 60, "classes": "balanced", "seed": 5, "save": ["png", "features"]})
        farm.wait(job)
        made = farm.show(job)
        seen = farm.submit({"kind": "evaluate", "images": made["output"], "reference": "digits", "save": ["features"]})
        farm.wait(seen)
        shown = farm.show(seen)
        assert shown["images"] == 60 and shown["done"] == 60 and shown["fid"] == made["fid"]
        ours, theirs = (open(f"{folder}/features.npy", "rb").read() for folder in (shown["output"], made["output"]))
        assert ours == theirs
        blocks = [name for name in os.listdir(f"{shown['output']}/blocks") if name.endswith(".json")]
        assert len(blocks) > 1  # it was measured in more than one range
