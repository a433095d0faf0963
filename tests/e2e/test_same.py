"""The same submit after a file behind one of its names was overwritten: never the old job's numbers in silence."""
import json
import os
import shutil
import struct
import zipfile
import zlib

import pytest

from harness import DIGITS, Farm

CONF = """
[model mine]
student = {0}/student.pt
teacher = {0}/teacher.pt
tokenizer = {0}/vq.pt
[reference mine]
statistics = {0}/statistics.npz
inception = {0}/inception.pth
"""
JOB = {"kind": "sample", "model": "mine", "reference": "mine", "t_list": [0, 20], "split_t": 20, "images": 4}


@pytest.fixture
def farm(tmp_path):
    shutil.copytree(DIGITS, tmp_path / "m")
    (tmp_path / "ddq.conf").write_text(CONF.format(tmp_path / "m"))
    with Farm(conf=tmp_path / "ddq.conf") as farm:
        farm.models = tmp_path / "m"
        yield farm


def submit(farm, *words, **changes):
    done = farm.ddq("submit", "-", "--json", *words, stdin=json.dumps({**JOB, **changes}))
    answer = json.loads(done.stdout)
    farm.wait(answer["id"])
    return answer, done.stderr


def overwrite(path):
    """One number of a checkpoint is another one; length and time of writing stay, as after cp -p or tar."""
    was, content = os.stat(path), bytearray(path.read_bytes())
    if not zipfile.is_zipfile(path):
        content[len(content) // 2] ^= 1
    else:
        with zipfile.ZipFile(path) as archive:
            member = max(archive.infolist(), key=lambda info: info.file_size)
            data = bytearray(archive.read(member))
        at = content.find(data)
        data[0] ^= 1
        content[at] ^= 1
        content = content.replace(struct.pack("<I", member.CRC), struct.pack("<I", zlib.crc32(data)))
    path.write_bytes(content)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("name, field", [("student.pt", "student"), ("vq.pt", "tokenizer"), ("inception.pth", "inception")])
def test_an_overwritten_file_makes_another_job(farm, name, field):
    first, said = submit(farm)
    assert not first["duplicate"] and "already" not in said
    again, said = submit(farm)
    assert again["id"] == first["id"] and again["duplicate"] is True
    assert f"already run: job {first['id']} finished" in said and "Use --new to run it again" in said
    quiet = farm.ddq("submit", "-", "-q", stdin=json.dumps(JOB))
    assert quiet.stdout.strip() == first["id"] and "already run: job" in quiet.stderr
    os.utime(farm.models / name)
    assert submit(farm)[0]["duplicate"]  # only touched
    overwrite(farm.models / name)
    other, said = submit(farm)
    assert other["id"] != first["id"] and other["duplicate"] is False
    assert f"job {first['id']} has the same spec, and was made from other files ({field}" in said
    assert submit(farm)[0]["id"] == other["id"]


def test_the_unused_teacher_does_not_count_and_noise_does(farm):
    import numpy
    noise = farm.jobs / "noise.npy"
    numpy.save(noise, numpy.zeros((4, 64, 8), "f4"))
    first, _ = submit(farm, noise=str(noise))
    overwrite(farm.models / "teacher.pt")
    assert submit(farm, noise=str(noise))[0]["id"] == first["id"]
    numpy.save(noise, numpy.ones((4, 64, 8), "f4"))
    other, said = submit(farm, noise=str(noise))
    assert other["id"] != first["id"] and "(noise)" in said


def test_images_in_a_folder(farm):
    first, _ = submit(farm)
    source = farm.jobs / "pictures"
    shutil.copytree(farm.jobs / farm.show(first["id"])["folder"] / "images", source)
    job = {"kind": "evaluate", "images": str(source), "reference": "mine"}

    def evaluate():
        answer = json.loads(farm.ddq("submit", "-", "--json", stdin=json.dumps(job)).stdout)
        farm.wait(answer["id"])
        return answer

    one = evaluate()
    assert evaluate()["id"] == one["id"]
    picture = next(iter(sorted(source.iterdir())))
    shutil.copy(sorted(source.iterdir())[1], picture)
    assert evaluate()["id"] != one["id"]


def test_an_adopted_job_keeps_what_it_was_made_from(farm):
    first, _ = submit(farm)
    folder = farm.jobs / farm.show(first["id"])["folder"]
    farm.stop()
    shutil.rmtree(farm.state)
    overwrite(farm.models / "student.pt")
    farm.start()
    assert first["id"] in farm.ddq("adopt", folder).stdout
    other, said = submit(farm)
    assert other["id"] != first["id"] and "student" in said


def test_registered_references_remember_their_network(farm):
    farm.ddq("refs", "add", "my2", farm.models / "statistics.npz")
    assert submit(farm, reference="my2")[0]["duplicate"] is False  # known at once, and its network is found by its hash
    farm.ddq("refs", "add", "bare", farm.models / "bare.npz", code=102)
    import numpy
    whole = numpy.load(farm.models / "statistics.npz")
    numpy.savez(farm.models / "bare.npz", mu=whole["mu"], sigma=whole["sigma"])
    farm.ddq("refs", "add", "bare", farm.models / "bare.npz")
    said = farm.ddq("submit", "-", stdin=json.dumps({**JOB, "reference": "bare"}), code=2).stderr
    assert "does not state the network" in said and "--inception FILE --replace" in said
    farm.ddq("refs", "add", "bare", farm.models / "bare.npz", "--inception", farm.models / "inception.pth", "--replace")
    submit(farm, reference="bare")
    numpy.savez(farm.models / "other.npz", **{**whole, "weights": numpy.frombuffer(b"0" * 64, "u1")})
    farm.ddq("refs", "add", "other", farm.models / "other.npz")
    assert "made with the network of sha256 000000000000" in farm.ddq("submit", "-", stdin=json.dumps({**JOB, "reference": "other"}), code=2).stderr


def test_what_the_hosts_can_tell_is_refused_at_submit(farm):
    for changes, said in (({"t_list": [0, 64]}, "past the end"), ({"split_t": 65}, "split_t"), ({"classes": [99]}, "classes 0 to 9"),
                          ({"metrics": ["kid"]}, "statistics alone"), ({"reference": None, "metrics": ["is"]}, "Inception network")):
        job = {k: v for k, v in {**JOB, **changes}.items() if v is not None}
        assert said in farm.ddq("submit", "-", stdin=json.dumps(job), code=2).stderr
    for path, said in (("/nowhere", "No such file"), ("/etc", "outside the folders that jobs may read"), (str(farm.jobs), "holds no images")):
        job = {"kind": "evaluate", "images": path, "reference": "mine"}
        assert said in farm.ddq("submit", "-", stdin=json.dumps(job), code=2).stderr
    assert json.loads(farm.ddq("ls", "--json").stdout)["jobs"] == []


def test_what_users_share_does_not_take_the_umask_of_one(farm):
    farm.jobs.chmod(0o2775)
    farm.ddq("refs", "add", "mine2", farm.models / "statistics.npz", umask=0o077)
    folder = farm.jobs / "references"
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in (folder, *folder.iterdir())}
    assert modes == {"references": "0o2775", ".lock": "0o664", "mine2.json": "0o664", "mine2.npz": "0o664"}
    folder.chmod(0o700)  # as an earlier version left it
    farm.ddq("refs", "add", "pictures", DIGITS / "statistics.npz", umask=0o077)
    assert folder.stat().st_mode & 0o7777 == 0o2775 and (folder / "pictures.npz").stat().st_mode & 0o777 == 0o664
    farm.ddq("refs", "make", "made", "--local", "--inception", farm.models / "inception.pth", pictures(farm), umask=0o077)
    assert (folder / "made.json").stat().st_mode & 0o777 == 0o664


def pictures(farm):
    first, _ = submit(farm, images=8)
    return farm.jobs / farm.show(first["id"])["folder"] / "images"
