/* Tensor: a value that points at numbers and owns nothing. Row-major, contiguous, last axis fastest.
 * Shape letters mean the same everywhere: B batch, T tokens, C channels, H heads, D width, V codes, R rows. */
#ifndef KERNELS_TENSOR_H
#define KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum Dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_U8, DTYPES } Dtype;

typedef struct Tensor {
    void *data;
    Dtype dtype;
    int ndim;
    int64_t shape[4];
} Tensor;

/* A feature map of the convolutional parts. Logical shape [B, height, width, C]; the layout in memory belongs to
 * the backend (blocks of 16 channels on the CPU, NHWC on CUDA), so only backend ops read it. */
typedef struct FeatureMap {
    void *data;
    int b, h, w, c;
} FeatureMap;

size_t dtype_size(Dtype dtype);
const char *dtype_name(Dtype dtype); /* "f32" */

Tensor tensor_f32(float *data, int ndim, int64_t a, int64_t b, int64_t c, int64_t d); /* unused axes: 0 */
int64_t tensor_count(const Tensor *t);
size_t tensor_bytes(const Tensor *t);
void tensor_print_shape(const Tensor *t, char *ret_text, size_t size); /* "[2,256,1024] f32" */

#ifdef __cplusplus
}
#endif
#endif
