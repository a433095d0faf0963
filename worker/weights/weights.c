/* The loaders every model shares, and the checkpoint as a source of weights. */
#include "worker/weights/weights.h"

#include <stdlib.h>
#include <string.h>

static bool ckpt_has(const void *ctx, const char *name)
{
    return ckpt_find(ctx, name) != NULL;
}

static bool ckpt_shape_of(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    return ckpt_shape(ctx, name, ndim, shape, err);
}

static bool ckpt_read_of(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    return ckpt_read(ctx, name, ndim, shape, dst, err);
}

static const char *ckpt_name_of(const void *ctx, int i)
{
    return i < ckpt_count(ctx) ? ckpt_at(ctx, i)->name : NULL;
}

Weights weights_of_ckpt(const Ckpt *ckpt)
{
    return (Weights){ckpt_path(ckpt), ckpt, ckpt_has, ckpt_shape_of, ckpt_read_of, ckpt_name_of};
}

bool weights_has(const Weights *weights, const char *name)
{
    return weights->has(weights->ctx, name);
}

bool weights_no_gap(const Weights *weights, const char *role, const char *prefix, int count, Err *err)
{
    const char *name;
    size_t len = strlen(prefix);
    for (int i = 0; weights->name && (name = weights->name(weights->ctx, i)); i++)
        if (strncmp(name, prefix, len) == 0 && name[len] == '.' && strtol(name + len + 1, NULL, 10) >= count)
            return err_set(err, ERR_FORMAT, "%s %s: it has %s and nothing of %s.%d, wanted all from %s.0 on", role,
                           weights->path, name, prefix, count, prefix);
    return true;
}

bool weights_shape(const Weights *weights, const char *name, int ndim, int64_t *shape, Err *err)
{
    return weights->shape(weights->ctx, name, ndim, shape, err);
}

float *weights_room(const Weights *weights, int64_t count, Err *err)
{
    float *room = malloc((size_t)count * sizeof(float));
    if (!room)
        err_set(err, ERR_MEMORY, "%s: no %.0f MiB of host memory to read a weight into", weights->path,
                (double)count * sizeof(float) / (1 << 20));
    return room;
}

bool weights_read(const Weights *weights, const char *name, float *dst, int64_t a, int64_t b, int64_t c, int64_t d,
                  Err *err)
{
    const int64_t shape[] = {a, b, c, d};
    return weights->read(weights->ctx, name, d ? 4 : c ? 3 : b ? 2 : 1, shape, dst, err);
}

float *weights_take(const Weights *weights, const char *name, int64_t a, int64_t b, int64_t c, int64_t d, Err *err)
{
    float *host = weights_room(weights, a * (b ? b : 1) * (c ? c : 1) * (d ? d : 1), err);
    if (host && !weights_read(weights, name, host, a, b, c, d, err)) {
        free(host);
        host = NULL;
    }
    return host;
}

bool weights_place(Backend *be, const float *host, int64_t a, int64_t b, Tensor *ret_tensor, Err *err)
{
    Tensor t = tensor_f32(NULL, b ? 2 : 1, a, b, 0, 0);
    t.data = be_alloc(be, tensor_bytes(&t), err);
    if (!t.data)
        return false;
    be_upload(be, t, host);
    *ret_tensor = t;
    return be_check(be, err);
}

bool weights_tensor(const Weights *weights, Backend *be, const char *name, int64_t a, int64_t b, Tensor *ret_tensor,
                    Err *err)
{
    float *host = weights_take(weights, name, a, b, 0, 0, err);
    bool ok = host && weights_place(be, host, a, b, ret_tensor, err);
    free(host);
    return ok;
}
