"""The expected values of the golden samplers, in float64 with numpy alone, written from docs/models.md and nothing else.

    make.py write WEIGHTS      expected.npz of tiny and small again; WEIGHTS is the build's golden/llamagen
    make.py check WEIGHTS      compares instead: the largest difference of each kind of array

Run by hand, when weights.tsv or case.json changed. The inputs (noise, label, filter.logits) are kept as they stand in expected.npz.
It takes the long way everywhere: no cache, no folded weights, every token in every step.
"""
import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent


def load(path):
    """name -> float64 array, of a safetensors file of float32."""
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    return {name: np.frombuffer(data[8 + size:], "<f4", (row["data_offsets"][1] - row["data_offsets"][0]) // 4,
                                row["data_offsets"][0]).reshape(row["shape"]).astype("f8")
            for name, row in json.loads(data[8:8 + size]).items() if name != "__metadata__"}


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def rms(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


# --- transformers: sequences are [B, 1 + tokens, D], the class token first -----------------------------


def turns(grid, dim):
    """Cosines and sines [1 + L, dim/2]; those of the class token are both 0."""
    frequency = 10000.0 ** (-4 * np.arange(dim // 4) / dim)
    row, column = np.divmod(np.arange(grid * grid), grid)
    angle = np.concatenate([row[:, None] * frequency, column[:, None] * frequency], 1)
    none = np.zeros((1, dim // 2))
    return np.concatenate([none, np.cos(angle)]), np.concatenate([none, np.sin(angle)])


def rope(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return np.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape)


def layers(w, config, h):
    batch, length, width = h.shape
    heads, dim = config["heads"], width // config["heads"]
    cos, sin = (t[:length] for t in turns(config["grid"], dim))
    hidden = np.triu(np.full((length, length), -np.inf), 1)
    for i in range(config["layers"]):
        at = f"layers.{i}."
        x = rms(h, w[at + "attention_norm.weight"]) @ w[at + "attention.wqkv.weight"].T
        q, k, v = (part.reshape(batch, length, heads, dim).swapaxes(1, 2) for part in np.split(x, 3, -1))
        scores = rope(q, cos, sin) @ rope(k, cos, sin).swapaxes(2, 3) / np.sqrt(dim) + hidden
        x = (softmax(scores) @ v).swapaxes(1, 2).reshape(batch, length, width)
        h = h + x @ w[at + "attention.wo.weight"].T
        x = rms(h, w[at + "ffn_norm.weight"])
        x = silu(x @ w[at + "feed_forward.w1.weight"].T) * (x @ w[at + "feed_forward.w3.weight"].T)
        h = h + x @ w[at + "feed_forward.w2.weight"].T
    return h


def nearest(codebook, x):
    return ((x[..., None, :] - codebook) ** 2).sum(-1).argmin(-1)


class Student:
    def __init__(self, weights, config, codebook):
        self.w, self.config, self.codebook = weights, config, codebook

    def heads(self, label, xt, t):
        """Logits [B,L,V] and vectors [B,L,C] of every token, of which the first t are data."""
        w = self.w
        e = w["cls_embedding.embedding_table.weight"][label]
        h = np.concatenate([e[:, None], xt @ w["tok_embeddings.weight"].T + w["tok_embeddings.bias"]], 1)
        h = h + w["n_d_embed.weight"][(np.arange(h.shape[1]) <= t).astype(int)]
        h = layers(w, self.config, h)[:, 1:]
        logits = rms(h, w["norm.weight"]) @ w["output.weight"].T
        shift, scale = (row + e[:, None] for row in w["final_layer_conti.scale_shift_table"])
        x = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6) * (1 + scale) + shift
        return logits, x @ w["final_layer_conti.linear.weight"].T + w["final_layer_conti.linear.bias"]

    def step(self, label, x, noise, t, split):
        """The vectors after a step [B,L,C]; what the two heads say; the codes that logits and data stand for [B,L]."""
        known = (np.arange(x.shape[1]) < t)[:, None]
        xt = np.where(known, x, noise)
        logits, vectors = self.heads(label, xt, t)
        codes = np.where(known[:, 0], nearest(self.codebook, xt), logits.argmax(-1))
        vectors = np.where(known, xt, vectors)
        early = (np.arange(x.shape[1]) < split)[:, None]
        return np.where(early, self.codebook[codes], vectors), vectors, logits, codes


def guided_logits(w, config, label, ids, scale):
    """Of the token after `ids` [B,n]."""
    def last(classes):
        e = w["cls_embedding.embedding_table.weight"][classes][:, None]
        h = layers(w, config, np.concatenate([e, w["tok_embeddings.weight"][ids]], 1))
        return rms(h[:, -1], w["norm.weight"]) @ w["output.weight"].T

    logits = last(label)
    return logits if scale <= 1 else (lambda none: none + (logits - none) * scale)(last(np.full_like(label, config["classes"])))


def margin(logits):
    top = np.sort(logits, -1)
    return top[..., -1] - top[..., -2]


def filtered(logits, top_k, top_p, temperature):
    """Probabilities [B,V] of a draw."""
    logits = logits / max(temperature, 1e-5)
    if top_k:
        limit = np.sort(logits, -1)[:, -min(top_k, logits.shape[1])]
        logits = np.where(logits < limit[:, None], -np.inf, logits)
    order = np.argsort(-logits, -1, kind="stable")
    before = np.cumsum(softmax(np.take_along_axis(logits, order, -1)), -1)
    dropped = np.concatenate([np.zeros((len(logits), 1), bool), before[:, :-1] > top_p], 1)
    out = logits.copy()
    np.put_along_axis(out, order, np.where(dropped, -np.inf, np.take_along_axis(logits, order, -1)), -1)
    return softmax(out)


# --- the tokenizer's decoder: maps are [C,H,W], one image at a time ------------------------------------


class Decoder:
    def __init__(self, weights, config):
        self.w, self.config = weights, config

    def conv(self, name, x):
        weight, (c, height, width) = self.w[name + ".weight"], x.shape
        k = weight.shape[-1]
        padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
        out = sum(weight[:, :, i, j] @ padded[:, i:i + height, j:j + width].reshape(c, -1) for i in range(k) for j in range(k))
        return out.reshape(-1, height, width) + self.w[name + ".bias"][:, None, None]

    def norm(self, name, x):
        groups = x.reshape(32, -1)
        groups = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-6)
        return groups.reshape(x.shape) * self.w[name + ".weight"][:, None, None] + self.w[name + ".bias"][:, None, None]

    def res(self, name, x):
        h = self.conv(name + ".conv1", silu(self.norm(name + ".norm1", x)))
        h = self.conv(name + ".conv2", silu(self.norm(name + ".norm2", h)))
        return h + (self.conv(name + ".nin_shortcut", x) if name + ".nin_shortcut.weight" in self.w else x)

    def attn(self, name, x):
        n = self.norm(name + ".norm", x)
        q, k, v = (self.conv(f"{name}.{part}", n).reshape(len(x), -1) for part in "qkv")
        made = v @ softmax(q.T @ k / np.sqrt(len(x))).T
        return x + self.conv(name + ".proj_out", made.reshape(x.shape))

    def __call__(self, vectors):
        """Vectors [L,C] to the image [3,S,S], and the map after each stage."""
        stages, grid = {}, self.config["grid"]
        x = self.conv("post_quant_conv", vectors.T.reshape(-1, grid, grid))
        x = self.conv("decoder.conv_in", x)
        x = self.res("decoder.mid.2", self.attn("decoder.mid.1", self.res("decoder.mid.0", x)))
        stages["mid"] = x
        levels = len(self.config["mult"])
        for level in range(levels):
            at = f"decoder.conv_blocks.{level}."
            for j in range(3):
                x = self.res(f"{at}res.{j}", x)
                if level == 0:
                    x = self.attn(f"{at}attn.{j}", x)
            if level + 1 < levels:
                x = self.conv(at + "upsample.conv", x.repeat(2, 1).repeat(2, 2))
            stages[f"level{level}"] = x
        return self.conv("decoder.conv_out", silu(self.norm("decoder.norm_out", x))), stages


def pixels(image):
    """[3,S,S] to bytes [S,S,3]."""
    return np.clip((image + 1) / 2 * 255 + 0.5, 0, 255).astype("u1").transpose(1, 2, 0)


# --- a set ---------------------------------------------------------------------------------------------


def few_steps(student, noise, label, case, out, name):
    x = noise
    for t in case["t_list"]:
        x, vectors, logits, _ = student.step(label, x, noise, t, case["split_t"])
    out.update({f"{name}.x": x, f"{name}.tokens": vectors, f"{name}.argmax": logits.argmax(-1), f"{name}.margin": margin(logits)})
    return x


def with_teacher(student, teacher, config, noise, label, case, out, name):
    start, (_, end) = case["teacher_start_t"], case["t_list"]
    ids, margins = np.zeros((len(noise), 0), int), []
    if start:
        ids = nearest(student.codebook, student.step(label, noise, noise, 0, case["split_t"])[0][:, :start])
    for _ in range(start, end):
        logits = guided_logits(teacher, config, label, ids, case["cfg_scale"])
        ids = np.concatenate([ids, logits.argmax(-1)[:, None]], 1)
        margins.append(margin(logits))
    x = noise.copy()
    x[:, :end] = student.codebook[ids]
    if end < noise.shape[1]:
        x = student.step(label, x, noise, end, case["split_t"])[0]
    out.update({f"{name}.x": x, f"{name}.ids": ids, f"{name}.margin": np.stack(margins, 1), f"{name}.last_logits": logits})
    return x


def images(decoder, x, name, whole, out):
    """The whole first case, and every fourth pixel of the others where they are large."""
    made = [decoder(one) for one in x]
    thin = 1 if whole or made[0][0].shape[1] <= 64 else 4
    out[f"{name}.uint8"] = np.stack([pixels(image)[::thin, ::thin] for image, _ in made])
    if not whole:
        return
    thin = 1 if made[0][0].shape[1] <= 64 else 8
    out[f"{name}.image"] = np.stack([image[:, ::thin, ::thin] for image, _ in made])
    for stage in made[0][1]:
        values = np.stack([stages[stage] for _, stages in made])
        out[f"vq.{stage}.stats"] = np.array([values.mean(), values.std(ddof=1), values.min(), values.max()])


FILTERS = [(0, 1.0, 1.0), (20, 1.0, 1.0), (0, 0.8, 1.0), (20, 0.8, 0.7), (1, 1.0, 1.0), (None, 0.95, 1.3)]  # None: more than V


def expected(name, weights):
    case = json.loads((HERE / name / "case.json").read_text())
    config = case["config"]
    with np.load(HERE / name / "expected.npz") as old:
        out = {key: old[key] for key in ("noise", "label", "filter.logits")}
    noise, label = out["noise"].astype("f8"), out["label"]
    tokenizer, teacher = load(weights / name / "vq.safetensors"), load(weights / name / "teacher.safetensors")
    codebook = tokenizer["quantize.embedding.weight"]
    out["codebook"] = codebook = codebook / np.maximum(np.sqrt((codebook ** 2).sum(1, keepdims=True)), 1e-12)
    student, decoder = Student(load(weights / name / "student.safetensors"), config, codebook), Decoder(tokenizer, config)
    for group, cases in (("few", case["few_step"]), ("teacher", case["teacher_involved"])):
        for key, plan in cases.items():
            full = f"{group}.{key}"
            x = few_steps(student, noise, label, plan, out, full) if group == "few" else \
                with_teacher(student, teacher, config, noise, label, plan, out, full)
            images(decoder, x, full, full == "few.1step", out)
    for top_k, top_p, temperature in FILTERS:
        top_k = config["vocab"] + 5 if top_k is None else top_k
        out[f"filter.k{top_k}_p{top_p}_t{temperature}"] = filtered(out["filter.logits"].astype("f8"), top_k, top_p, temperature)
    kinds = {"f": "f4", "i": "i4", "u": "u1"}
    return {key: a.astype("f8" if key.endswith(".stats") else kinds[a.dtype.kind]) for key, a in out.items()}


def check(name, new):
    """The largest difference by the last word of the arrays' names; bytes and ids: how many differ."""
    worst = {}
    with np.load(HERE / name / "expected.npz") as old:
        for key in sorted(set(new) ^ set(old.files)):
            print(f"{name}: {key} is in only one of them")
        for key in sorted(set(new) & set(old.files)):
            a, b = new[key], old[key]
            if a.shape != b.shape:
                b = b[tuple(slice(None, None, max(1, y // x)) for x, y in zip(a.shape, b.shape))]
            assert a.shape == b.shape and a.dtype == b.dtype, key
            kind = "filter" if key.startswith("filter") else key.split(".")[-1]
            off = float(np.abs(a - b).max()) if a.dtype.kind == "f" else int((a != b).sum())
            worst[kind] = max(worst.get(kind, 0), off)
    for kind, off in sorted(worst.items()):
        print(f"{name}: {kind:12s} {off:.3g}")


def main(what, weights):
    for name in ("tiny", "small"):
        made = expected(name, pathlib.Path(weights))
        if what == "check":
            check(name, made)
        else:
            np.savez_compressed(HERE / name / "expected.npz", **made)


if __name__ == "__main__":
    main(*sys.argv[1:])
