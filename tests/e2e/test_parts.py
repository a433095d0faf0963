"""Which part of a checkpoint a job reads, what it says of it, and what it refuses: ddq-worker exec, from outside."""
import sys

import numpy

from harness import BIN, ROOT
from test_exec import execute, refused, report, run

sys.path.insert(0, str(ROOT / "tests/checkpoints"))
from make_pt import read_safetensors, save, stored  # noqa: E402

MADE = BIN.parent / "golden/llamagen/tiny"
JOB = {"kind": "sample", "tokenizer": f"{MADE}/vq.safetensors", "heads": 2, "grid": 4, "t_list": [0, 5], "split_t": 9, "images": 4,
       "classes": "balanced", "save": ["codes"]}


def weights(change=0):
    return {name: stored(a + numpy.float32(change)) for name, a in read_safetensors(MADE / "student.safetensors").items()}


def codes(out):
    return numpy.load(out / "codes.npy")


def test_the_part_is_named_and_chosen(tmp_path):
    both, plain = tmp_path / "both.pt", tmp_path / "plain.pt"
    both.write_bytes(save({"model": weights(0.01), "ema": weights()}))
    plain.write_bytes(save(weights(0.01)))
    out = tmp_path / "ema"
    done = execute({**JOB, "student": str(both), "output": str(out)}, tmp_path)
    about = report(out)
    student = about["networks"]["student"]
    assert (student["part"], student["tensors"], student["layers"], student["width"], student["heads"]) == ("ema", 23, 2, 128, 2)
    assert about["networks"]["tokenizer"]["grid"] == 4 and about["networks"]["tokenizer"]["not_needed"]["encoder.*"] == 4
    said = [text for text in about["warnings"] if "read from its part ema; as many tensors are in model (23 tensors)" in text]
    assert len(said) == 1 and said[0] in done.err
    assert "network=student part=ema tensors=23 layers=2 width=128 " in done.err
    model = run({**JOB, "student": str(both), "student_part": "model"}, tmp_path, "model")
    assert report(model)["networks"]["student"]["part"] == "model" and report(model)["warnings"] == []
    assert report(model)["identity"] != about["identity"]
    assert (codes(model) == codes(run({**JOB, "student": str(plain)}, tmp_path, "plain"))).all()
    assert (codes(model) != codes(out)).any()
    refused({**JOB, "student": str(both), "student_part": "best", "output": str(tmp_path / "best")}, tmp_path,
            str(both), "no part 'best'", "model (23 tensors), ema (23 tensors)", code=1)


def test_a_gap_is_refused(tmp_path):
    path = tmp_path / "student.pt"
    whole = weights()
    path.write_bytes(save({"ema": {name.replace("layers.1.", "layers.3."): w for name, w in whole.items()}}))
    refused({**JOB, "student": str(path), "output": str(tmp_path / "out")}, tmp_path, str(path), "layers.3.",
            "nothing of layers.1", code=1)
    path.write_bytes(save({"ema": {**whole, "layers.0.attention.wqkv.bias": stored(numpy.zeros(384, "f4"))}}))
    refused({**JOB, "student": str(path), "output": str(tmp_path / "out")}, tmp_path, str(path), "wqkv.bias", code=1)
    path.write_bytes(save({"ema": {name: w for name, w in whole.items() if not name.startswith("layers.1.")}}))
    job = {name: value for name, value in JOB.items() if name != "heads"}
    about = report(run({**job, "student": str(path)}, tmp_path, "one"))
    assert about["networks"]["student"]["layers"] == 1
    assert any("a model of width 128 with 1 layer has no published size" in text for text in about["warnings"])
