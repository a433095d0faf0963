"""Checkpoints as torch.save writes them, good and bad; torch itself is not needed: the names it would pickle are faked.

    make_pt.py good FOLDER      every tensor, in C order, counts 0, 1, 2, ...
    make_pt.py bad FOLDER       files that must be refused, and bad.tsv: name, what the sentence must say
    make_pt.py odd FOLDER       files with weights() and a tensor x that cannot be read, and odd.tsv: name, why
    make_pt.py parts FOLDER     files with weights in several parts, and parts.tsv: name, part wanted, part taken, rivals
    make_pt.py corpus FOLDER    the small ones of both, to start a fuzzer from
    make_pt.py golden FOLDER WEIGHTS    the golden sampler whose safetensors are in WEIGHTS, in every container a loader meets
"""
import argparse
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

TYPES = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage", "i8": "LongStorage", "i2": "ShortStorage",
         "u1": "ByteStorage", "b1": "BoolStorage", "bf": "BFloat16Storage", "c8": "ComplexFloatStorage"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def fake(module, *names):
    """Makes module.name importable for pickle, as a function that must never be called here."""
    made = sys.modules.setdefault(module, types.ModuleType(module))
    for name in names:
        def function(*args):
            raise AssertionError("pickled only")
        function.__module__, function.__name__, function.__qualname__ = module, name, name
        setattr(made, name, function)
    return made


torch = fake("torch", *TYPES.values(), "UntypedStorage", "uint16", "float32", "Size", "Tensor", "int3", "NewStorage", "strided")
utils = fake("torch._utils", "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter",
             "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_sparse_tensor")
fake("torch._tensor", "_rebuild_from_type_v2")
fake("torch.nn.parameter", "Parameter")
project = fake("project", "Ema", "Module")


class Call:
    """Pickles as function(*args), then BUILD with state."""
    def __init__(self, function, *args, state=None):
        self.made = (function, args) + ((state,) if state else ())

    def __reduce__(self):
        return self.made


class Storage:
    def __init__(self, kind, data, count=None, view=None, name=None):
        self.kind, self.data, self.view = name or TYPES[kind], data, view
        self.width = {"bf": 2}.get(kind) or np.dtype(kind).itemsize
        self.count = len(data) // self.width if count is None else count


def numbers(count, kind="f4"):
    values = np.arange(count, dtype="f4" if kind == "bf" else kind)
    return (values.view("u4") >> 16).astype("u2").tobytes() if kind == "bf" else values.tobytes()


def numbers_after(count):
    """Six numbers behind others that no tensor may see."""
    return np.concatenate([np.full(count, 99), np.arange(6)]).astype("f4").tobytes()


def strides(shape):
    made = [1]
    for size in shape[:0:-1]:
        made.insert(0, made[0] * size)
    return tuple(made[-len(shape):]) if shape else ()


def tensor(shape, kind="f4", storage=None, offset=0, stride=None):
    storage = storage or Storage(kind, numbers(int(np.prod(shape, dtype=int)), kind))
    return Call(utils._rebuild_tensor_v2, storage, offset, tuple(shape), strides(shape) if stride is None else stride, False,
                collections.OrderedDict())


class Pickler(pickle.Pickler):
    """Storages become persistent ids; what they hold is kept by key."""
    def __init__(self, out, protocol, legacy):
        super().__init__(out, protocol)
        self.keys, self.stored, self.legacy = {}, {}, legacy

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = self.keys.setdefault(id(value), str(len(self.keys)))
        self.stored[key] = value
        return ("storage", getattr(torch, value.kind), key, "cpu", value.count) + ((value.view,) if self.legacy else ())


def pickled(root, protocol=2, legacy=False):
    out = io.BytesIO()
    pickler = Pickler(out, protocol, legacy)
    pickler.dump(root)
    return out.getvalue(), pickler.stored


def zipped(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return out.getvalue()


def save(root, protocol=2, stem="archive", method=zipfile.ZIP_STORED, **more):
    data, stored = pickled(root, protocol)
    members = {f"{stem}/data.pkl": data, f"{stem}/byteorder": b"little", f"{stem}/version": b"3\n"}
    members.update({f"{stem}/data/{key}": storage.data for key, storage in stored.items()})
    members.update({f"{stem}/{name}": data for name, data in more.items()})
    return zipped({k: v for k, v in members.items() if v is not None}, method)


def save_legacy(root, little=True, keys=None):
    data, stored = pickled(root, legacy=True)
    parts = [MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": little, "type_sizes": {"int": 4}}]
    out = b"".join(pickle.dumps(part, 2) for part in parts) + data + pickle.dumps(keys or list(stored), 2)
    for storage in stored.values():
        out += struct.pack("<q", len(storage.data) // storage.width) + storage.data
    return out


def safetensors(header, data):
    text = header if isinstance(header, bytes) else str(header).replace("'", '"').replace("(", "[").replace(")", "]").encode()
    return struct.pack("<Q", len(text)) + text + data


def without_crc(data):
    """torch can be told not to compute checksums: they are 0 then."""
    data = bytearray(data)
    for magic, offset in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset:at + offset + 4] = bytes(4)
            at = data.find(magic, at + 1)
    return bytes(data)


def weights():
    return {"a.weight": tensor((2, 3)), "a.bias": tensor((3,)), "n": tensor((), "i8")}


def prefixed(prefix):
    return {prefix + name: value for name, value in weights().items()}


def good():
    other = {"a.weight": tensor((6, 1)), "step": 3}
    made = {
        "bare": save(weights()),
        "groups": save({"a": {name[2:]: value for name, value in weights().items() if name != "n"}, "": {}, "n": {"x": tensor((), "i8")}}),
        "module": save({"module": weights(), "epoch": 1}),
        "state_dict": save({"state_dict": weights(), "optimizer": {"state": other}}),
        "ema_first": save({"model": other, "state_dict": other, "ema": weights()}),
        "ema_without_tensors": save({"ema": {"decay": 0.999}, "model": weights()}),
        "nested": save({"state_dict": {"model": {"module": weights()}}}),
        "data_parallel": save({"model": prefixed("module.")}),
        "compiled": save({"model": prefixed("_orig_mod.module.")}),
        "ordered": save(collections.OrderedDict(model=collections.OrderedDict(weights()))),
        "objects_beside": save({"model": weights(), "args": Call(project.Ema, 1, state={"x": [1]}), "f": open}),
        "legacy": save_legacy(weights()),
        "legacy_view": save_legacy({**weights(), "a.weight": tensor((2, 3), storage=Storage("f4", numbers_after(5), view=("9", 5, 6)))}),
        "safetensors": safetensors({"__metadata__": {"format": "pt"},
                                    "n": {"dtype": "I64", "shape": [], "data_offsets": [36, 44]},
                                    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                                    "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]}},
                                   numbers(6) + numbers(3) + numbers(1, "i8")),
    }
    for protocol in (1, 2, 3, 4, 5):
        made[f"protocol{protocol}"] = save(weights(), protocol)
        if protocol > 1:
            arrays = {"a.weight": np.arange(6, dtype="f4").reshape(2, 3), "a.bias": np.arange(3, dtype=">f8"),
                      "n": np.asfortranarray(np.arange(24, dtype="i8").reshape(2, 3, 4))}
            made[f"numpy{protocol}"] = save(arrays, protocol)
            made[f"plain{protocol}"] = pickle.dumps(arrays, protocol)
    for kind in ("f4", "f2", "f8", "bf"):
        made[f"type_{kind}"] = save({"a.weight": tensor((2, 3), kind), "a.bias": tensor((3,), kind), "n": tensor((), "b1")})
    made["strided"] = save({"a.weight": tensor((2, 3), storage=Storage("f4", np.array([9, 0, 3, 1, 4, 2, 5], "f4").tobytes()),
                                               offset=1, stride=(1, 2)),
                            "a.bias": tensor((3,), storage=Storage("f4", np.array([0, 7, 1, 7, 2], "f4").tobytes()), stride=(2,)),
                            "n": tensor((), "i8")})
    wrapped = {name: Call(utils._rebuild_parameter, value, True, collections.OrderedDict()) for name, value in weights().items()}
    made["parameters"] = save(wrapped)
    made["parameters_with_state"] = save({name: Call(utils._rebuild_parameter_with_state, value, True, {}, {"x": 1})
                                          for name, value in weights().items()})
    from_type = sys.modules["torch._tensor"]._rebuild_from_type_v2
    made["typed"] = save({name: Call(from_type, *value.made[:1], torch.Tensor, value.made[1], {"x": 1})
                          for name, value in weights().items()})
    made["flags_off"] = save({name: Call(utils._rebuild_tensor_v2, *value.made[1], {"conj": False, "neg": None})
                              for name, value in weights().items()})
    words = ("a._orig_mod.", "_fsdp_wrapped_module.a._checkpoint_wrapped_module.", "module.a.module._orig_mod.", "_forward_module.a.")
    for i, word in enumerate(words):
        made[f"wrapped{i}"] = save({"model": {**{word + name[2:]: value for name, value in weights().items() if name != "n"},
                                              "_orig_mod.n": tensor((), "i8")}})
    made["lightning"] = save({"state_dict": {**prefixed("model."), "loss.w": tensor((2,))}, "callbacks": {"x": tensor((9,))}})
    made["dicts_in_dicts"] = save({"model": {"a": {"weight": tensor((2, 3)), "bias": tensor((3,))}, "n": tensor((), "i8")}})
    made["safetensors_lightning"] = safetensors({"model.module.n": {"dtype": "I64", "shape": [], "data_offsets": [36, 44]},
                                                 "model.a._orig_mod.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                                                 "model.a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]}},
                                                numbers(6) + numbers(3) + numbers(1, "i8"))
    made["optimizer_beside"] = save({**weights(), "optimizer": {"state": {0: {"exp_avg": tensor((4,))}, 1: {"exp_avg": tensor((4,))}}}})
    damaged = tensor((2, 3), storage=Storage("f4", numbers(2)))
    made["damage_elsewhere"] = save({"model": weights(), "best": {"w": damaged, "two\nlines": tensor((2,))}})
    raw = Storage("u1", numbers(6), name="UntypedStorage")
    made["untyped"] = save({"a.weight": Call(utils._rebuild_tensor_v3, raw, 0, (2, 3), (3, 1), False, {}, torch.float32, None),
                            "a.bias": tensor((3,)), "n": Call(utils._rebuild_tensor_v3, raw, 0, (2,), (1,), False, {}, torch.uint16)})
    made["without_crc"] = without_crc(save(weights()))
    return made


OP = {name: code.encode("latin1") for name, code in (("proto2", "\x80\x02"), ("stop", "."))}


def raw(body, **more):
    """A checkpoint whose pickle is written by hand."""
    return zipped({"archive/data.pkl": OP["proto2"] + body + OP["stop"], **more})


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def bad():
    """name -> (bytes, what the sentence must say)"""
    one = Storage("f4", numbers(6))
    pid = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ"
    made = {
        "empty": (b"", "an empty file"),
        "text": (b"these are not weights\n", "a text file"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        "html": (b"<!DOCTYPE html><html>", "web page"),
        "npy": (b"\x93NUMPY\x01\x00v\x00", "a numpy array"),
        "gzip": (b"\x1f\x8b\x08\x00", "gzip"),
        "noise": (bytes(range(255, 0, -1)), "no container that is known"),
        "npz": (zipped({"arr_0.npy": b"x"}), "without data.pkl"),
        "torchscript": (save(weights(), **{"constants.pkl": b"x"}), "TorchScript"),
        "big_endian": (save(weights(), byteorder=b"big"), "big-endian"),
        "legacy_big_endian": (save_legacy(weights(), little=False), "big-endian"),
        "compressed": (save(weights(), method=zipfile.ZIP_DEFLATED), "compressed"),
        "compressed_storage": (save({"a": tensor((2, 3))}, data=None, **{"data/0": None}), "storage 0 is not in the archive"),
        "out_of_range": (save({"a": tensor((2, 3), storage=one, offset=1)}), "tensor a: its sizes and strides reach over 6 elements from 1 on, its storage has 6"),
        "stride_out_of_range": (save({"a": tensor((2, 3), storage=one, stride=(4, 1))}), "reach over 7 elements from 0 on"),
        "negative_size": (save({"a": tensor((2, -3), storage=one, stride=(3, 1))}), "tensor a: axis 1 has size -3"),
        "negative_stride": (save({"a": tensor((2, 3), storage=one, offset=5, stride=(-3, -1))}), "stride -1"),
        "negative_offset": (save({"a": tensor((2,), storage=one, offset=-1)}), "from -1 on"),
        "overflow_size": (save({"a": tensor((1 << 40, 1 << 40), storage=one, stride=(0, 0))}), "beyond 64 bits"),
        "overflow_stride": (save({"a": tensor((3, 3), storage=one, stride=((1 << 62), (1 << 62)))}), "beyond 64 bits"),
        "overflow_offset": (save({"a": tensor((2,), storage=one, offset=(1 << 63) - 1)}), "from 9223372036854775807 on, its storage has 6"),
        "long_offset": (save({"a": tensor((2,), storage=one, offset=1 << 80)}), "storage, an offset, sizes and strides"),
        "expanded": (save({"a": tensor((1 << 30, 6), storage=one, stride=(0, 1))}), "repeats the 6 elements"),
        "nine_axes": (save({"a": tensor((1,) * 9, storage=one)}), "at most 8"),
        "uneven_strides": (save({"a": tensor((2, 3), storage=one, stride=(1,))}), "equal length"),
        "short_storage": (save({"a": tensor((2, 3), storage=Storage("f4", numbers(5), count=6))}), "should have 6 elements of 4 bytes, the file has 20"),
        "no_tensors": (save({"model": {"lr": 0.1}, "epoch": 3}), "no tensors in it; its top level has model, epoch"),
        "whole_module": (save(Call(project.Module, state={"training": True})), "a call of project.Module, which is not made"),
        "a_list": (save([tensor((2,))]), "a single value; wanted a dict"),
        "twice": (raw(b"}(" + 2 * (text("a") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\x00K\x06\x85K\x01\x85tR") + b"u",
                      **{"archive/data/0": numbers(6)}), "two tensors with the name a"),
        "control_name": (save({"a\nb": tensor((2,))}), "not printable"),
        "long_name": (save({"a" * 300: tensor((2,))}), "longer than"),
        "no_pickle": (raw(b"")[:-1] + b"\0", "stops with 0 values"),
        "underflow": (raw(b"0"), "takes more from its stack"),
        "no_mark": (raw(b"t"), "a mark that was not set"),
        "odd_dict": (raw(b"}(Nu"), "a key without a value"),
        "memo": (raw(b"h\x07"), "memo 7, which was not stored"),
        "huge_memo": (raw(b"Nr\xff\xff\xff\xff"), "memo slots"),
        "huge_text": (raw(b"X\xff\xff\xff\xff"), "wants 4294967295 more bytes"),
        "huge_text8": (raw(b"\x8d" + b"\xff" * 8), "wants 18446744073709551615 more bytes"),
        "huge_bytes": (raw(b"\x8e\x00\x00\x00\x00\x00\x00\x00\x80"), "more bytes"),
        "huge_long": (raw(b"\x8b\xff\xff\xff\x7f"), "more bytes"),
        "extension": (raw(b"\x82\x01"), "extension registry"),
        "out_of_band": (raw(b"\x97"), "outside of the file"),
        "opcode": (raw(b"\xff"), "opcode 0xff"),
        "no_stop": (zipped({"archive/data.pkl": b"\x80\x02}"}), "cut short"),
        "endless_line": (raw(b"c" + b"x" * 5000), "a line without an end"),
        "many_values": (zipped({"archive/data.pkl": b"\x80\x02" + b"}" * ((1 << 20) + 1) + b"."}), "more than 1048576"),
        "deep": (raw(b"(" * 100000 + b"N"), "stops with 1 values on its stack"),
        "deep_tuples": (raw(b"N" + b"\x85" * 100000), "a single value"),
        "memo_bomb": (raw(b"]q\0" + b"".join(b"](" + 10 * (b"h" + bytes([i])) + b"eq" + bytes([i + 1]) for i in range(100)) + b"t"), "a mark that was not set"),
        "contains_itself": (raw(b"}q\0" + text("model") + b"h\0s"), "no tensors in it"),
        "names_many": (raw(b"}q\0(" + b"".join(text(str(i)) + b"h\0" for i in range(12)) + b"u"), "its dicts name one another more than"),
        "system": (raw(b"cposix\nsystem\n" + text("touch HACKED") + b"\x85R"), "a call of posix.system, which is not made"),
        "system_inside": (raw(b"}" + text("model") + b"}" + text("w") + b"cposix\nsystem\n" + text("touch HACKED") + b"\x85Rss"),
                          "no tensors in it"),
        "legacy_cut": (save_legacy(weights())[:-3], "it was cut short: storage"),
        "legacy_keys": (save_legacy(weights(), keys=["0", "77"]), "a key that no tensor uses"),
        "legacy_no_storage": (save_legacy(weights(), keys=["0"]), "is not in the file"),
        "legacy_type": (save_legacy({"x": tensor((2,), storage=Storage("f4", numbers(2), name="NewStorage")), "a": tensor((2,))}),
                        "storage 1 of 2 is a NewStorage, whose size is not known"),
        "long_keys": (save({"model": {"k" * 5000 + str(i): tensor((2,)) for i in range(3)}}), "longer than"),
        "legacy_alone": (pickle.dumps(MAGIC, 2), "in the protocol number"),
        "legacy_view": (save_legacy({"a": tensor((2,), storage=Storage("f4", numbers(6), view=("9", 5, 2)))}), "views elements 5 to 2"),
        "tensor_in_plain_pickle": (pickled({"a": tensor((2,))})[0], "whose numbers are elsewhere"),
        "st_header": (struct.pack("<Q", 1 << 40) + b"{}", "header should have 1099511627776 bytes"),
        "st_header_all": (b"\xff" * 8 + b"{}", "header should have"),
        "st_not_json": (safetensors(b"{'a': 1}", b""), "not a JSON object"),
        "st_deep": (safetensors(b'{"a":' * 100000, b""), "not a JSON object"),
        "st_row": (safetensors({"a": 5}, b""), "tensor a: it has no dtype"),
        "st_list": (safetensors(b'{"a":[1,2,3]}', b""), "tensor a: it has no dtype"),
        "st_cut": (safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234"), "end at byte 8 of the data, of which the file has 4"),
        "st_more": (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"), "its tensors end at byte 4 of the data"),
        "st_overlap": (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}, b"123456"), "tensor b begins at byte 2 of the data, the one before it ends at 4"),
        "st_hole": (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"), "tensor a begins at byte 4"),
        "st_size": (safetensors({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678"), "span 8 bytes"),
        "st_negative": (safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"), "not a whole number"),
        "st_backwards": (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"), "growing whole numbers"),
        "st_huge": (safetensors({"a": {"dtype": "F32", "shape": [1 << 50, 1 << 50], "data_offsets": [0, 4]}}, b"1234"), "beyond 64 bits"),
        "st_fraction": (safetensors({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}}, b"1234"), "not a whole number"),
        "st_twice": (safetensors(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}', b""), "two tensors with the name a"),
    }
    shared = {str(i): value for value in [tensor((2,))] for i in range(5000)}
    made["many_tensors"] = (save({f"group{i}": shared for i in range(64)}), "more than 131072 tensors")
    array = pickle.dumps({"m": np.arange(4, dtype="f8")}, 2)
    made["numpy_text"] = (array.replace(b"\xc3\xb0?", b"\xc4\xb0?"), "does not stand for 32 bytes of latin1")
    made["numpy_shape"] = (array.replace(b"K\x04\x85", b"K\x05\x85"), "wants 40 bytes, the pickle has at most 33")
    made["numpy_huge"] = (array.replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85"), "wants 17179869176 bytes")
    made["numpy_bytes"] = (pickle.dumps({"m": np.arange(4, dtype="f8")}, 4).replace(b"K\x04\x85", b"K\x05\x85"), "wants 40 bytes, the pickle has 32")
    return made


def odd():
    """name -> (bytes, why its tensor x cannot be read)"""
    flag = lambda **flags: Call(utils._rebuild_tensor_v2, *tensor((2,)).made[1], flags)
    two = tensor((2,)).made[1]
    from_type = sys.modules["torch._tensor"]._rebuild_from_type_v2
    parameter = sys.modules["torch.nn.parameter"].Parameter
    made = {
        "conj": (flag(conj=True), "it has the flag conj"),
        "neg": (flag(conj=False, neg=True), "it has the flag neg"),
        "flag": (flag(backend="npu"), "it has the flag backend"),
        "metadata": (Call(utils._rebuild_tensor_v2, *two, "yes"), "metadata of a kind that is not known"),
        "more": (Call(utils._rebuild_tensor_v2, *two, None, 7), "_rebuild_tensor_v2 has more arguments than are known"),
        "parameter_more": (Call(utils._rebuild_parameter, tensor((2,)), True, {}, 1), "_rebuild_parameter has more arguments"),
        "hooks": (Call(utils._rebuild_parameter, tensor((2,)), True, {0: open}), "has hooks"),
        "inner_flag": (Call(parameter, flag(neg=True), True), "it has the flag neg"),
        "state": (Call(utils._rebuild_tensor_v2, *two, state={"x": 1}), "its state, set after"),
        "class": (Call(from_type, utils._rebuild_tensor_v2, project.Module, two, {}), "it is of the class project.Module"),
        "quantised": (Call(utils._rebuild_qtensor, *two[:4], ("per_tensor_affine", 0.1, 0)), "a call of torch._utils._rebuild_qtensor"),
        "sparse": (Call(utils._rebuild_sparse_tensor, torch.strided, (tensor((1, 2), "i8"), tensor((2,)), (3,))), "_rebuild_sparse_tensor"),
        "type": (Call(utils._rebuild_tensor_v3, *two, torch.int3), "of a type that is not known, torch.int3"),
        "storage": (tensor((2,), storage=Storage("f4", numbers(2), name="NewStorage")), "of a type that is not known, torch.NewStorage"),
        "numpy_object": (np.array([None, 1]), "of a type that is not known"),
        "numpy_class": (np.ma.core.MaskedArray([1.0, 2.0], [True, False]).view(np.matrix), "of a class or in an order"),
    }
    made = {name: (save({**weights(), "x": value}), why) for name, (value, why) in made.items()}
    rows = {"a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
            "n": {"dtype": "I64", "shape": [], "data_offsets": [36, 44]}}
    data = numbers(6) + numbers(3) + numbers(1, "i8") + b"1234"
    made["st_type"] = (safetensors({**rows, "x": {"dtype": "F4", "shape": [8], "data_offsets": [44, 48]}}, data), 'its dtype "F4" is not known')
    made["st_field"] = (safetensors({**rows, "x": {"dtype": "F32", "shape": [1], "data_offsets": [44, 48], "scale": 2}}, data), 'field "scale" is not honoured')
    made["legacy_storage"] = (save_legacy({**weights(), "x": tensor((2,), storage=Storage("f4", numbers(2), name="NewStorage"))}), "torch.NewStorage")
    return made


def parts():
    """name -> (bytes, part that is asked for or -, part that is read or the error, rivals or -)"""
    other = lambda: {"a.weight": tensor((6, 1)), "a.bias": tensor((4,)), "n": tensor((2,), "i8")}
    few = lambda: {"a.weight": tensor((6, 1))}
    both = save({"model": other(), "ema": weights()})
    shadow = {"decay": 0.99, "shadow_params": [tensor((2,)), tensor((2,)), tensor((2,))], "collected_params": []}
    flat = {prefix + name: value for prefix in ("model.", "ema_model.") for name, value in
            (weights() if prefix == "ema_model." else other()).items()}
    return {
        "ema": (both, "-", "ema", "model (3 tensors)"),
        "ema_named": (both, "ema", "ema", "-"),
        "ema_few": (save({"model": few(), "ema": weights()}), "-", "ema", "-"),
        "model_named": (save({"model": weights(), "ema": other()}), "model", "model", "-"),
        "state_dict_ema": (save({"state_dict": other(), "state_dict_ema": weights()}), "-", "state_dict_ema", "state_dict (3 tensors)"),
        "model_ema": (save({"model": other(), "model_ema": weights(), "optimizer": {"state": {i: few() for i in range(9)}}}), "-", "model_ema", "model (3 tensors)"),
        "shadow": (save({"model": weights(), "ema": shadow}), "-", "model", "ema.shadow_params (3 tensors without names)"),
        "shadow_named": (save({"model": weights(), "ema": shadow}), "ema.shadow_params", "!it has no part 'ema.shadow_params' with named tensors; its parts are model (3 tensors), ema.shadow_params", "-"),
        "shadow_beside_top": (save({**weights(), "ema": shadow}), "-", "", "ema.shadow_params (3 tensors without names)"),
        "lightning": (save({"state_dict": flat}), "-", "state_dict.ema_model", "state_dict.model (3 tensors)"),
        "inner": (save({"state_dict": {"model": other()}, "best": {"model": weights()}}), "best", "best.model", "-"),
        "dots_gone": (save({"state_dict": {**weights(), "model_ema.aweight": tensor((2,)), "model_ema.abias": tensor((2,)), "model_ema.n": tensor((2,))}}),
                      "-", "state_dict", "-"),
        "other_name": (save({"model": weights(), "generator": other()}), "-", "model", "generator (3 tensors)"),
        "nothing": (both, "student", "!it has no part 'student' with named tensors; its parts are model (3 tensors), ema (3 tensors)", "-"),
        "top": (save({**weights(), "ema": few()}), ".", "", "-"),
        "any_keys": (save({"state_dict": prefixed("gpt.")}), "state_dict.gpt", "state_dict.gpt", "-"),
        "twice": (save({"model": {**weights(), "module.a.bias": tensor((3,))}}), "-", "!two tensors with the name a.bias", "-"),
        "safetensors": (safetensors({"ema.a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
                                     "ema.a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                                     "ema.n": {"dtype": "I64", "shape": [], "data_offsets": [36, 44]},
                                     "model.a.weight": {"dtype": "F32", "shape": [1], "data_offsets": [44, 48]}},
                                    numbers(6) + numbers(3) + numbers(1, "i8") + numbers(1)), "-", "ema", "-"),
    }


# --- a golden sampler (tests/golden/llamagen), as training and conversion leave it --------------------


def read_safetensors(path):
    """name -> float32 array"""
    data = pathlib.Path(path).read_bytes()
    size, = struct.unpack("<Q", data[:8])
    return {name: np.frombuffer(data[8 + size + row["data_offsets"][0]:8 + size + row["data_offsets"][1]], "f4").reshape(row["shape"])
            for name, row in json.loads(data[8:8 + size]).items()}


def stored(array, kind="f4", order="C"):
    """A tensor with these numbers; order F: the storage is of the transposed array, the strides are turned."""
    data = np.ascontiguousarray(array.transpose() if order == "F" else array)
    if kind == "bf":  # to the nearest, ties to even
        bits = data.view("u4")
        data = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("u2")
    elif kind != "f4":
        data = data.astype(kind)
    stride = strides(array.shape[::-1])[::-1] if order == "F" else None
    return tensor(array.shape, kind, Storage(kind, data.tobytes()), stride=stride)


def one_storage(arrays):
    storage, at, made = Storage("f4", b"".join(a.tobytes() for a in arrays.values())), 0, {}
    for name, array in arrays.items():
        made[name] = tensor(array.shape, storage=storage, offset=at)
        at += array.size
    return made


def golden(weights):
    student, teacher, vq = (read_safetensors(f"{weights}/{name}.safetensors") for name in ("student", "teacher", "vq"))
    all_of = lambda arrays, **how: {name: stored(a, **how) for name, a in arrays.items()}
    beside = {"steps": 1234, "args": argparse.Namespace(gpt_model="GPT-B", ema=True, lr=1e-4, betas=(0.9, 0.95), note=None)}
    optimizer = {"state": {0: {"step": tensor(()), "exp_avg": tensor((4,))}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    return {
        # `model` has other numbers than `ema`, in the same shapes.
        "student": save({"model": all_of({name: a + np.float32(0.01) for name, a in student.items()}), "ema": all_of(student),
                         "optimizer": optimizer, **beside}),
        "teacher": save({"model": all_of(teacher), **beside}),
        "vq": save({"model": all_of(vq), **beside}),
        "teacher_bf16": save({"model": all_of(teacher, kind="bf")}),
        "teacher_fp16": save({"model": all_of(teacher, kind="f2")}),
        "teacher_strided": save({"model": all_of(teacher, order="F")}),
        "teacher_one_storage": save({"model": one_storage(teacher)}),
        "teacher_legacy": save_legacy({"model": all_of(teacher), **beside}),
        "student_parameters": save({"model": {"a": tensor((2,))}, "ema": {
            name: Call(utils._rebuild_parameter, stored(a), True, collections.OrderedDict()) for name, a in student.items()}}),
    }


def write(folder, files):
    for name, data in files.items():
        with open(f"{folder}/{name}", "wb") as f:
            f.write(data)


def main(what, folder, weights=None):
    if what == "golden":
        write(folder, {f"{name}.pt": data for name, data in golden(weights).items()})
    elif what == "good":
        write(folder, {f"{name}.pt": data for name, data in good().items()})
    elif what == "bad":
        write(folder, {f"{name}.pt": data for name, (data, _) in bad().items()})
        with open(f"{folder}/bad.tsv", "w") as f:
            f.writelines(f"{name}.pt\t{says}\n" for name, (_, says) in bad().items())
    elif what == "odd":
        write(folder, {f"{name}.pt": data for name, (data, _) in odd().items()})
        with open(f"{folder}/odd.tsv", "w") as f:
            f.writelines(f"{name}.pt\t{why}\n" for name, (_, why) in odd().items())
    elif what == "parts":
        write(folder, {f"{name}.pt": data for name, (data, *_) in parts().items()})
        with open(f"{folder}/parts.tsv", "w") as f:
            f.writelines("\t".join((f"{name}.pt", *row)) + "\n" for name, (_, *row) in parts().items())
    elif what == "corpus":
        files = {**good(), **{f"bad_{name}": data for name, (data, _) in bad().items()},
                 **{f"odd_{name}": data for name, (data, _) in odd().items()},
                 **{f"part_{name}": data for name, (data, *_) in parts().items()}}
        # Without checksums, so that a mutated pickle is still read.
        write(folder, {name: without_crc(data) for name, data in files.items() if len(data) < 4000})


if __name__ == "__main__":
    main(*sys.argv[1:])
