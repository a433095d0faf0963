/* Numbers out of a tensor: shape checked, converted, walked in C order, finite. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

static float load_f32(const uint8_t *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

static double load_f64(const uint8_t *at)
{
    double value;
    memcpy(&value, at, sizeof value);
    return value;
}

static float load_bf16(const uint8_t *at)
{
    uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exponent and fraction moved to their places in a float32 are 2^112 too small, also for subnormal numbers. */
static float load_f16(const uint8_t *at)
{
    uint32_t half = (uint32_t)at[0] | (uint32_t)at[1] << 8, bits = (half & 0x7fff) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7c00) == 0x7c00)
        bits |= 0x7f800000; /* infinity or NaN */
    bits |= (half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A row of count elements, `step` bytes apart. */
#define ROW(name, out, load)                                                                                           \
    static void name(void *dst, const uint8_t *src, int64_t step, int64_t count)                                       \
    {                                                                                                                  \
        out *to = dst;                                                                                                 \
        for (int64_t i = 0; i < count; i++)                                                                            \
            to[i] = (out)load(src + i * step);                                                                         \
    }
ROW(f32_to_f32, float, load_f32)
ROW(f16_to_f32, float, load_f16)
ROW(bf16_to_f32, float, load_bf16)
ROW(f64_to_f32, float, load_f64)
ROW(f32_to_f64, double, load_f32)
ROW(f16_to_f64, double, load_f16)
ROW(bf16_to_f64, double, load_bf16)
ROW(f64_to_f64, double, load_f64)

typedef void Row(void *dst, const uint8_t *src, int64_t step, int64_t count);
static Row *const rows[DTYPES][2] = {
    [DTYPE_F32] = {f32_to_f32, f32_to_f64},
    [DTYPE_F16] = {f16_to_f32, f16_to_f64},
    [DTYPE_BF16] = {bf16_to_f32, bf16_to_f64},
    [DTYPE_F64] = {f64_to_f32, f64_to_f64},
};

static void print_shape(char ret_text[200], int ndim, const int64_t *shape)
{
    Buf text = {0};
    for (int i = 0; i < ndim; i++)
        shape[i] < 0 ? buf_printf(&text, "%sany", i ? "," : "")
                     : buf_printf(&text, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(ret_text, 200, "[%s]", text.data ? text.data : "");
    buf_free(&text);
}

static bool same_shape(const CkptTensor *t, int ndim, const int64_t *want)
{
    bool same = t->ndim == ndim;
    for (int i = 0; same && i < ndim; i++)
        same = want[i] < 0 || want[i] == t->shape[i];
    return same;
}

static const CkptTensor *find_shaped(const Ckpt *ckpt, const char *name, int ndim, const int64_t *want, Err *err)
{
    const CkptTensor *t = ckpt_find(ckpt, name);
    char found[200], wanted[200];
    if (!t) {
        ckpt_missing(ckpt, name, err);
        return NULL;
    }
    if (t->why) {
        err_set(err, ERR_FORMAT, "checkpoint %s: tensor %s: %s", ckpt->path, name, t->why);
        return NULL;
    }
    if (same_shape(t, ndim, want))
        return t;
    print_shape(found, t->ndim, t->shape);
    print_shape(wanted, ndim, want);
    err_set(err, ERR_FORMAT, "checkpoint %s: tensor %s is %s, wanted %s", ckpt->path, name, found, wanted);
    return NULL;
}

bool ckpt_shape(const Ckpt *ckpt, const char *name, int ndim, int64_t *want_and_ret_shape, Err *err)
{
    const CkptTensor *t = find_shaped(ckpt, name, ndim, want_and_ret_shape, err);
    if (!t)
        return false;
    memcpy(want_and_ret_shape, t->shape, (size_t)ndim * sizeof *t->shape);
    return true;
}

/* The bytes of a zip member are compared with its checksum once, before any of them is used. */
static bool check_bytes(const Ckpt *ckpt, const CkptTensor *t, Err *err)
{
    const ZipMember *member = ((const CkptEntry *)t)->member;
    atomic_bool *checked = member ? &ckpt->checked[member - zip_at(ckpt->zip, 0)] : NULL;
    if (!checked || atomic_load(checked))
        return true;
    if (!zip_check(member, err))
        return err_wrap(err, "checkpoint %s: tensor %s", ckpt->path, t->name);
    atomic_store(checked, true);
    return true;
}

/* Axes that lie in memory as one are walked as one; the last of those left is a row. */
static int merge_axes(const CkptTensor *t, int64_t shape[8], int64_t stride[8])
{
    int n = 0;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 1)
            continue;
        if (n && stride[n - 1] == t->shape[i] * t->stride[i]) {
            shape[n - 1] *= t->shape[i];
            stride[n - 1] = t->stride[i];
        } else {
            shape[n] = t->shape[i];
            stride[n++] = t->stride[i];
        }
    }
    if (!n) {
        shape[0] = 1;
        stride[n++] = 1;
    }
    return n;
}

static bool all_finite(const void *row, int64_t count, bool wide, int64_t *ret_bad)
{
    const float *f32 = row;
    const double *f64 = row;
    int bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= wide ? !isfinite(f64[i]) : !isfinite(f32[i]);
    for (int64_t i = 0; bad && i < count; i++)
        if (wide ? !isfinite(f64[i]) : !isfinite(f32[i])) {
            *ret_bad = i;
            break;
        }
    return !bad;
}

static bool not_finite(const Ckpt *ckpt, const CkptTensor *t, int64_t flat, double value, Err *err)
{
    int64_t index[8];
    char text[200];
    for (int i = t->ndim; i-- > 0; flat /= t->shape[i])
        index[i] = flat % t->shape[i];
    print_shape(text, t->ndim, index);
    return err_set(err, ERR_NUMERIC, "checkpoint %s: tensor %s has %s at %s, wanted numbers", ckpt->path, t->name,
                   isnan(value) ? "NaN" : "infinity", text);
}

static bool copy_rows(const Ckpt *ckpt, const CkptTensor *t, bool wide, void *dst, Err *err)
{
    int64_t shape[8], stride[8], index[8] = {0}, from = 0, bad = 0, width = (int64_t)dtype_size(t->dtype);
    int n = merge_axes(t, shape, stride);
    int64_t count = shape[n - 1], done = 0, total = 1;
    for (int i = 0; i < n; i++)
        total *= shape[i];
    while (done < total) {
        uint8_t *to = (uint8_t *)dst + (size_t)done * (wide ? sizeof(double) : sizeof(float));
        rows[t->dtype][wide](to, (const uint8_t *)t->data + from * width, stride[n - 1] * width, count);
        if (!all_finite(to, count, wide, &bad))
            return not_finite(ckpt, t, done + bad,
                              wide ? ((double *)(void *)to)[bad] : (double)((float *)(void *)to)[bad], err);
        done += count;
        for (int axis = n - 1; axis-- > 0;) {
            from += stride[axis];
            if (++index[axis] < shape[axis])
                break;
            from -= stride[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    return true;
}

/* The pages of a mapped tensor leave this process once it was read: a model is packed tensor by tensor, and without
 * this the file stays resident beside the packed weights. Read again, they come back from the page cache. */
static void let_go(const Ckpt *ckpt, const CkptTensor *t)
{
    int64_t count, reach;
    uintptr_t from = (uintptr_t)t->data, map = (uintptr_t)ckpt->map.data, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!ckpt->map.data || from < map || from >= map + ckpt->map.size || !ckpt_extent(t, &count, &reach))
        return; /* not in the mapped file */
    uintptr_t upto = (from + (uintptr_t)reach * dtype_size(t->dtype)) / page * page;
    from = (from + page - 1) / page * page;
    if (upto > from)
        madvise((void *)from, upto - from, MADV_DONTNEED);
}

static bool read_as(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, bool wide, void *dst, Err *err)
{
    const CkptTensor *t = find_shaped(ckpt, name, ndim, shape, err);
    if (!t)
        return false;
    if (t->dtype >= DTYPES || !rows[t->dtype][wide])
        return err_set(
            err, ERR_FORMAT,
            "checkpoint %s: tensor %s is of type %s, wanted floating point (float32, float16, bfloat16, float64)",
            ckpt->path, name, t->type);
    bool ok = check_bytes(ckpt, t, err) && copy_rows(ckpt, t, wide, dst, err);
    atomic_store(&ckpt->used[(const CkptEntry *)t - ckpt->entries], true);
    let_go(ckpt, t);
    return ok;
}

bool ckpt_read(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    return read_as(ckpt, name, ndim, shape, false, dst, err);
}

bool ckpt_read_f64(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, double *dst, Err *err)
{
    return read_as(ckpt, name, ndim, shape, true, dst, err);
}
