/* Sums for covariances, in double: sum += x, outer += x^T x (upper triangle).
 *
 * A product of two f32 is exact in double and each element adds its rows in index order, so the result has the same
 * bits as the CPU's, however the rows are cut into calls. A block is a tile of 64 x 64 elements of outer, a thread 4 x
 * 4 of them; rows pass through shared memory 16 at a time. Blocks below the diagonal have nothing to do; the ones on it
 * also add `sum` and keep the strict upper triangle and the diagonal. At D = 2048 a row costs 4.2 MFLOP of FP64. */
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

static constexpr int TILE = 64, EACH = 4, SIDE = TILE / EACH, THREADS = SIDE * SIDE, ROWS = 16;

static __global__ void __launch_bounds__(THREADS, 2) /* 128 registers: the 4 x 4 doubles and their operands */
    moments(const float *x, int64_t rows, int d, double *sum, double *outer)
{
    SHARED(float, left, [ROWS][TILE]);
    SHARED(float, right, [ROWS][TILE]);
    int thread = static_cast<int>(threadIdx.x), i0 = static_cast<int>(blockIdx.y) * TILE,
        j0 = static_cast<int>(blockIdx.x) * TILE;
    int ti = thread / SIDE * EACH, tj = thread % SIDE * EACH;
    if (j0 < i0)
        return;
    double total[EACH][EACH], column = 0;
    bool diagonal = i0 == j0 && thread < TILE && i0 + thread < d;
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++) {
            bool mine = i0 + ti + i < d && j0 + tj + j < d;
            total[i][j] = mine ? outer[static_cast<int64_t>(i0 + ti + i) * d + j0 + tj + j] : 0;
        }
    if (diagonal)
        column = sum[i0 + thread];
    for (int64_t from = 0; from < rows; from += ROWS) {
        int count = rows - from < ROWS ? static_cast<int>(rows - from) : ROWS;
        __syncthreads();
        for (int i = thread; i < count * TILE; i += THREADS) {
            int row = i / TILE, col = i % TILE;
            left[row][col] = i0 + col < d ? x[(from + row) * d + i0 + col] : 0.0f;
            right[row][col] = j0 + col < d ? x[(from + row) * d + j0 + col] : 0.0f;
        }
        __syncthreads();
        for (int row = 0; row < count; row++) {
            for (int i = 0; i < EACH; i++)
                for (int j = 0; j < EACH; j++)
                    total[i][j] += static_cast<double>(left[row][ti + i]) * static_cast<double>(right[row][tj + j]);
            if (diagonal)
                column += static_cast<double>(left[row][thread]);
        }
    }
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            if (i0 + ti + i < d && j0 + tj + j < d && i0 + ti + i <= j0 + tj + j)
                outer[static_cast<int64_t>(i0 + ti + i) * d + j0 + tj + j] = total[i][j];
    if (diagonal)
        sum[i0 + thread] = column;
}

void cuda_moments(Backend *be, Tensor x, Tensor sum, Tensor outer)
{
    Cuda *cuda = cuda_of(be);
    int d = static_cast<int>(x.shape[1]);
    LAUNCH(moments, dim3(gpu_blocks(d, TILE), gpu_blocks(d, TILE)), THREADS, 0, cuda->stream,
           static_cast<const float *>(x.data), x.shape[0], d, static_cast<double *>(sum.data),
           static_cast<double *>(outer.data));
}

} // namespace GPU_SPACE
