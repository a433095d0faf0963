/* Sums for covariances, in double: sum += x, outer += x^T x (upper triangle).
 *
 * A product of two f32 is exact in double and each element adds its rows in index order, so the result is the same bits
 * however the rows are cut into calls and whatever the vector width. */
#include "kernels/cpu/cpu.h"

/* Columns of one tile, and rows that one pass adds: a tile of doubles with its rows stays in L2. */
enum { TILE = 64, ROWS = 32 };

/* outer[i0..i0+ni)[j0..j0+nj) += for rows r: x[r][i] x[r][j]. */
CPU_CLONES static void add_tile(const double *restrict x, int64_t rows, int64_t ld, int64_t i0, int64_t ni, int64_t j0,
                                int64_t nj, double *restrict outer, int64_t ld_outer)
{
    for (int64_t i = i0; i < i0 + ni; i++) {
        int64_t from = i > j0 ? i : j0;
        double *restrict out = outer + i * ld_outer;
        for (int64_t r = 0; r < rows; r++) {
            double xi = x[r * ld + i];
            for (int64_t j = from; j < j0 + nj; j++)
                out[j] += xi * x[r * ld + j];
        }
    }
}

CPU_CLONES static void widen(const float *restrict x, double *restrict y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i];
}

void cpu_moments(Backend *be, Tensor x, Tensor sum, Tensor outer)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0], d = x.shape[1], tiles = (d + TILE - 1) / TILE;
    double *wide = cpu_scratch(cpu, SCRATCH_WORK, (size_t)(ROWS * d) * sizeof(double));
    for (int64_t r = 0; wide && r < rows; r += ROWS) {
        int64_t n = rows - r < ROWS ? rows - r : ROWS;
        widen((const float *)x.data + r * d, wide, n * d);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < d; j++)
                ((double *)sum.data)[j] += wide[i * d + j];
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic) collapse(2)
        for (int64_t i = 0; i < tiles; i++)
            for (int64_t j = 0; j < tiles; j++)
                if (j >= i)
                    add_tile(wide, n, d, i * TILE, d - i * TILE < TILE ? d - i * TILE : TILE, j * TILE,
                             d - j * TILE < TILE ? d - j * TILE : TILE, outer.data, d);
    }
}
