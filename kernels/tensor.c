#include "kernels/tensor.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[DTYPES] = {
    [DTYPE_F32] = {"f32", 4}, [DTYPE_F16] = {"f16", 2}, [DTYPE_BF16] = {"bf16", 2}, [DTYPE_F64] = {"f64", 8},
    [DTYPE_I32] = {"i32", 4}, [DTYPE_I64] = {"i64", 8}, [DTYPE_U8] = {"u8", 1},
};

size_t dtype_size(Dtype dtype)
{
    return (unsigned)dtype < DTYPES ? dtypes[dtype].size : 0;
}

const char *dtype_name(Dtype dtype)
{
    return (unsigned)dtype < DTYPES ? dtypes[dtype].name : "?";
}

Tensor tensor_f32(float *data, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (Tensor){.data = data, .dtype = DTYPE_F32, .ndim = ndim, .shape = {a, b, c, d}};
}

int64_t tensor_count(const Tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->ndim; i++)
        count *= t->shape[i];
    return count;
}

size_t tensor_bytes(const Tensor *t)
{
    return (size_t)tensor_count(t) * dtype_size(t->dtype);
}

void tensor_print_shape(const Tensor *t, char *ret_text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < t->ndim && used < size; i++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%lld", i ? "," : "[", (long long)t->shape[i]);
    if (used < size)
        snprintf(ret_text + used, size - used, "%s] %s", t->ndim ? "" : "[", dtype_name(t->dtype));
}
