"""Files of the golden sampler tiny, altered: what test_files.c opens.

    make_models.py FOLDER WEIGHTS

writes FOLDER/NAME.{pt,safetensors} and FOLDER/models.tsv: file, role, words of the error or ok, words of the facts. A file that is
ok gives the samples of the plain one.
"""
import pathlib
import struct
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "checkpoints"))
from make_pt import Call, Storage, numbers, read_safetensors, save, stored, tensor, torch, utils  # noqa: E402


def without(arrays, *starts):
    return {name: a for name, a in arrays.items() if not name.startswith(starts)}


def renamed(arrays, old, new):
    return {name.replace(old, new, 1) if name.startswith(old) else name: a for name, a in arrays.items()}


def wrapped(arrays, words):
    """Wrapper words between the segments of every name."""
    return {".".join(part for i, segment in enumerate(name.split(".")) for part in (words.get(i), segment) if part): a
            for name, a in arrays.items()}


def one(*shape):
    return np.zeros(shape, "f4")


def rows(student, teacher, vq):
    """name -> (role, tensors by part, error or ok, facts)"""
    rotary = {"freqs_cis": one(17, 32, 2), "layers.0.attention.kv_cache.k_cache": one(2, 2, 24, 64), "causal_mask": one(1, 24, 24)}
    odd = {"x": Call(utils._rebuild_tensor_v3, *tensor((2,)).made[1], torch.int3)}
    level0 = "decoder.conv_blocks.0."
    return {
        # what belongs to the model and is not read, and gaps
        "layer_gap": ("student", renamed(student, "layers.1.", "layers.2."), "it has layers.2.attention.wqkv.weight and nothing of layers.1", ""),
        "layer_first": ("student", without(student, "layers.0."), "layers.0.feed_forward.w1.weight", ""),
        "layer_far": ("student", {**student, "layers.4000.ffn_norm.weight": one(128)}, "it has layers.4000.ffn_norm.weight and nothing of layers.2", ""),
        "layer_bias": ("student", {**student, "layers.1.attention.wqkv.bias": one(384)}, "1 of its tensors are no part of this model|: layers.1.attention.wqkv.bias;", ""),
        "head_bias": ("student", {**student, "output.bias": one(96)}, ": output.bias;", ""),
        "adapter": ("student", {**student, "layers.0.attention.wqkv.lora_A.weight": one(4, 128)}, "lora_A.weight;", ""),
        "missing_bias": ("student", without(student, "tok_embeddings.bias"), "no tensor tok_embeddings.bias", ""),
        "odd_weight": ("student", {**student, "layers.0.attention.q_norm.weight": odd["x"]}, "q_norm.weight (its numbers are of a type that is not known", ""),
        "odd_needed": ("student", {**student, "norm.weight": odd["x"]}, "tensor norm.weight: its numbers are of a type", ""),
        "teacher_gap": ("teacher", renamed(teacher, "layers.1.", "layers.3."), "nothing of layers.1", ""),
        "teacher_bias": ("teacher", {**teacher, "layers.0.feed_forward.w2.bias": one(128)}, ": layers.0.feed_forward.w2.bias;", ""),
        "res_gap": ("tokenizer", without(vq, level0 + "res.1.", level0 + "attn.1."), "nothing of decoder.conv_blocks.0.res.1", ""),
        "res_last": ("tokenizer", without(vq, "decoder.conv_blocks.1.res.2."), "level 0 of its decoder has 3 blocks and level 1 has 2", ""),
        "attn_gap": ("tokenizer", without(vq, level0 + "attn.1."), "it lacks decoder.conv_blocks.0.attn.1", ""),
        "attn_all": ("tokenizer", without(vq, level0 + "attn."), "it lacks decoder.conv_blocks.0.attn.0", ""),
        "level_gap": ("tokenizer", renamed(vq, "decoder.conv_blocks.1.", "decoder.conv_blocks.7."), "nothing of decoder.conv_blocks.1", ""),
        "norm_bias": ("tokenizer", without(vq, "decoder.norm_out.bias"), "no tensor decoder.norm_out.bias", ""),
        "shortcut": ("tokenizer", {**vq, level0 + "res.1.nin_shortcut.weight": one(64, 64, 1, 1)}, "res.1.nin_shortcut.weight;", ""),
        "scale": ("tokenizer", {**vq, "quantize.embedding.scale": one(1)}, ": quantize.embedding.scale;", ""),
        # files in the wrong place
        "plain_as_student": ("student", teacher, "student |: no n_d_embed.weight in it, but cls_embedding.embedding_table.weight, so it is a plain LlamaGen model, which goes in as the teacher", ""),
        "vq_as_student": ("student", vq, "so it is a tokenizer", ""),
        "student_as_teacher": ("teacher", student, "it has n_d_embed.weight, so it is a Distilled Decoding student", ""),
        "student_as_vq": ("tokenizer", student, "no quantize.embedding.weight in it, but n_d_embed.weight", ""),
        "text_model": ("teacher", {**without(teacher, "cls_"), "cls_embedding.cap_proj.fc1.weight": one(128, 64)}, "a LlamaGen model for texts", ""),
        # what is let pass, and what is said
        "training": ("student", {"model": {**student, **rotary}, "optimizer": {"state": {0: {"exp_avg": one(4)}}}}, "ok",
                     '"part":"model"|"freqs_cis":1|"*.kv_cache.*":1|"heads":2,"heads_from":"freqs_cis in the file"|"layers":2,"width":128'),
        "ema_beside": ("student", {"ema": student, "model": {name: a + 1 for name, a in student.items()}}, "ok",
                       '"part":"ema"|the weights were read from its part ema; as many tensors are in model (23 tensors); choose with student_part'),
        "shadow_params": ("student", {"model": student, "ema": {"decay": 0.9, "shadow_params": [a + 1 for a in student.values()]}}, "ok",
                          '"part":"model"|ema.shadow_params (23 tensors without names)'),
        "compiled": ("student", {"model": wrapped(student, {2: "_orig_mod"})}, "ok", '"part":"model"|"tensors":23'),
        "fsdp": ("student", {"model": wrapped(student, {0: "_fsdp_wrapped_module", 2: "_fsdp_wrapped_module._checkpoint_wrapped_module"})}, "ok", '"tensors":23'),
        "lightning": ("student", {"state_dict": {**{"model." + name: a for name, a in student.items()}, "loss.weight": one(2)}}, "ok", '"part":"state_dict.model"|"tensors":23'),
        "odd_beside": ("student", {"model": {**student, "freqs_cis": odd["x"]}}, "ok", '"not_needed":{"freqs_cis":1}'),
        "teacher_buffers": ("teacher", {"model": {**teacher, **rotary}}, "ok", '"part":"model"|"heads_from":"freqs_cis in the file"'),
        "vq_whole": ("tokenizer", {"model": {**vq, "quantize.codebook_used": odd["x"], "encoder.mid.0.odd": odd["x"], "loss.discriminator.w": one(3)}}, "ok",
                     '"encoder.*":5|"quantize.codebook_used":1|"loss.*":1|"levels":3,"grid":4,"grid_from":"set"'),
        "vq_ema": ("tokenizer", {"state_dict": {**vq, "model_ema.decoderconv_inweight": one(2)}}, "ok", '"model_ema.*":1'),
    }


def saved(value):
    if isinstance(value, np.ndarray):
        return stored(value)
    if isinstance(value, dict):
        return {key: saved(one) for key, one in value.items()}
    return [saved(one) for one in value] if isinstance(value, list) else value


def safetensors(arrays):
    """The same as a flat file."""
    header, data = {}, b""
    for name, a in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += np.ascontiguousarray(a).tobytes()
    text = str(header).replace("'", '"').encode()
    return struct.pack("<Q", len(text)) + text + data


def flat(value, before=""):
    """Names with dots; None for what safetensors cannot hold."""
    made = {}
    for key, one in value.items():
        inner = {before + key: one} if isinstance(one, np.ndarray) else flat(one, f"{before}{key}.") if isinstance(one, dict) and all(isinstance(k, str) for k in one) else None
        if inner is None:
            return None
        made.update(inner)
    return made


def main(folder, weights):
    files = [read_safetensors(f"{weights}/{name}.safetensors") for name in ("student", "teacher", "vq")]
    with open(f"{folder}/models.tsv", "w") as list_of:
        for name, (role, value, says, facts) in rows(*files).items():
            variants = {f"{name}.pt": save(saved(value)), f"{name}.safetensors": safetensors(flat(value)) if flat(value) else None}
            for path, data in variants.items():
                if data:
                    pathlib.Path(folder, path).write_bytes(data)
                    list_of.write(f"{path}\t{role}\t{says}\t{facts}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
