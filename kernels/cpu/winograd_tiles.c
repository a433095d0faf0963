/* Transforms of F(4,3) with the points 0, +-sqrt(1/2), +-sqrt(2), infinity, and of F(4,2) with +-3/8, +-5/4, infinity.
 * These points were chosen by error: 1.3e-6 and 0.7e-6 at 256 channels, against 3.3e-6 for 0, +-1, +-2. Symmetric points
 * share their even and odd parts. The matching weight transforms are in winograd.c. */
#include "kernels/cpu/winograd_tiles.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,fma")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,fma")))

typedef __m512 V;

enum { LANES = 16, POINTS_MAX = 6 };

#define SPLAT(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)   /* a b + c */
#define FNMA(a, b, c) _mm512_fnmadd_ps(a, b, c) /* c - a b */
#define ADD(a, b) _mm512_add_ps(a, b)
#define SUB(a, b) _mm512_sub_ps(a, b)
#define MUL(a, b) _mm512_mul_ps(a, b)

/* --- one-dimensional transforms ---------------------------------------------------------------------- */

/* Polynomial x (x^2 - 1/2) (x^2 - 2): rows of B^T are its quotients. */
AVX512_INLINE void turn_in_6(const V x[6], V y[6])
{
    const V a = SPLAT(0.70710678f), b = SPLAT(1.41421356f), two = SPLAT(2.0f), half = SPLAT(0.5f), c = SPLAT(2.5f);
    V even_a = FNMA(two, x[2], x[4]), odd_a = FNMA(two, x[1], x[3]);
    V even_b = FNMA(half, x[2], x[4]), odd_b = FNMA(half, x[1], x[3]);
    y[0] = FNMA(c, x[2], ADD(x[0], x[4]));
    y[1] = FMA(a, odd_a, even_a);
    y[2] = FNMA(a, odd_a, even_a);
    y[3] = FMA(b, odd_b, even_b);
    y[4] = FNMA(b, odd_b, even_b);
    y[5] = FNMA(c, x[3], ADD(x[1], x[5]));
}

/* A^T: powers 0..3 of the points; a^3 = a/2, b^3 = 2b. */
AVX512_INLINE void turn_out_6(const V x[6], V y[4])
{
    const V a = SPLAT(0.70710678f), b = SPLAT(1.41421356f), two = SPLAT(2.0f), half = SPLAT(0.5f);
    V sum_a = ADD(x[1], x[2]), diff_a = MUL(a, SUB(x[1], x[2]));
    V sum_b = ADD(x[3], x[4]), diff_b = MUL(b, SUB(x[3], x[4]));
    y[0] = ADD(x[0], ADD(sum_a, sum_b));
    y[1] = ADD(diff_a, diff_b);
    y[2] = FMA(half, sum_a, MUL(two, sum_b));
    y[3] = FMA(half, diff_a, FMA(two, diff_b, x[5]));
}

/* Polynomial (x^2 - a^2) (x^2 - b^2), a = 3/8, b = 5/4. */
AVX512_INLINE void turn_in_5(const V x[5], V y[5])
{
    const V a = SPLAT(0.375f), b = SPLAT(1.25f), aa = SPLAT(0.140625f), bb = SPLAT(1.5625f);
    V even_a = MUL(a, FNMA(bb, x[0], x[2])), odd_a = FNMA(bb, x[1], x[3]);
    V even_b = MUL(b, FNMA(aa, x[0], x[2])), odd_b = FNMA(aa, x[1], x[3]);
    y[0] = ADD(odd_a, even_a);
    y[1] = SUB(odd_a, even_a);
    y[2] = ADD(odd_b, even_b);
    y[3] = SUB(odd_b, even_b);
    y[4] = FMA(SPLAT(0.140625f * 1.5625f), x[0], FNMA(SPLAT(0.140625f + 1.5625f), x[2], x[4]));
}

AVX512_INLINE void turn_out_5(const V x[5], V y[4])
{
    const V a = SPLAT(0.375f), b = SPLAT(1.25f), aa = SPLAT(0.140625f), bb = SPLAT(1.5625f);
    V sum_a = ADD(x[0], x[1]), diff_a = MUL(a, SUB(x[0], x[1]));
    V sum_b = ADD(x[2], x[3]), diff_b = MUL(b, SUB(x[2], x[3]));
    y[0] = ADD(sum_a, sum_b);
    y[1] = ADD(diff_a, diff_b);
    y[2] = FMA(aa, sum_a, MUL(bb, sum_b));
    y[3] = FMA(aa, diff_a, FMA(bb, diff_b, x[4]));
}

/* --- input ---------------------------------------------------------------------------------------------- */

static const float zeros[LANES];

/* Down the columns, straight from the image: work [n][columns][16]. */
AVX512_INLINE void turn_columns(int n, const float *x, const TileRun *run, int columns, float *work)
{
    const float *rows[POINTS_MAX];
    size_t step[POINTS_MAX]; /* 0 for a row of zeros */
    for (int i = 0; i < n; i++) {
        bool inside = run->row + i >= 0 && run->row + i < run->h;
        rows[i] = inside ? x + (size_t)(run->row + i) * (size_t)run->w * LANES : zeros;
        step[i] = inside ? LANES : 0;
    }
    for (int j = 0; j < columns; j++) {
        int column = run->column + j;
        V in[POINTS_MAX], out[POINTS_MAX];
        if (column < 0 || column >= run->w) {
            for (int i = 0; i < n; i++)
                _mm512_storeu_ps(work + ((size_t)i * (size_t)columns + (size_t)j) * LANES, _mm512_setzero_ps());
            continue;
        }
        for (int i = 0; i < n; i++)
            in[i] = _mm512_loadu_ps(rows[i] + (size_t)column * step[i]);
        if (n == 6)
            turn_in_6(in, out);
        else
            turn_in_5(in, out);
        for (int i = 0; i < n; i++)
            _mm512_storeu_ps(work + ((size_t)i * (size_t)columns + (size_t)j) * LANES, out[i]);
    }
}

/* Then along the rows of each tile, to its positions. */
AVX512_INLINE void turn_rows(int n, const float *work, int columns, int tiles, float *v, size_t v_stride)
{
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < n; i++) {
            const float *in_row = work + ((size_t)i * (size_t)columns + (size_t)(t * TILE_OUT)) * LANES;
            V in[POINTS_MAX], out[POINTS_MAX];
            for (int j = 0; j < n; j++)
                in[j] = _mm512_loadu_ps(in_row + (size_t)j * LANES);
            if (n == 6)
                turn_in_6(in, out);
            else
                turn_in_5(in, out);
            for (int j = 0; j < n; j++)
                _mm512_storeu_ps(v + (size_t)(i * n + j) * v_stride + (size_t)t * LANES, out[j]);
        }
}

AVX512 static void tiles_in_6(const float *x, const TileRun *run, float *work, float *v, size_t v_stride)
{
    int columns = run->tiles * TILE_OUT + 2;
    turn_columns(6, x, run, columns, work);
    turn_rows(6, work, columns, run->tiles, v, v_stride);
}

AVX512 static void tiles_in_5(const float *x, const TileRun *run, float *work, float *v, size_t v_stride)
{
    int columns = run->tiles * TILE_OUT + 1;
    turn_columns(5, x, run, columns, work);
    turn_rows(5, work, columns, run->tiles, v, v_stride);
}

void tiles_in(int n, const float *x, const TileRun *run, float *work, float *v, size_t v_stride)
{
    (n == 6 ? tiles_in_6 : tiles_in_5)(x, run, work, v, v_stride);
}

/* --- product --------------------------------------------------------------------------------------------- */

/* TILE_ROWS tiles times `blocks` blocks of outputs, all inputs: 8 or 16 running sums stay in registers. */
AVX512_INLINE void multiply(int blocks, const float *u, const float *v, int blocks_in, size_t block, float *m)
{
    V sum[TILE_ROWS][2];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int c = 0; c < blocks; c++)
            sum[r][c] = _mm512_setzero_ps();
    for (int b = 0; b < blocks_in; b++, v += block)
        for (int k = 0; k < LANES; k++, u += blocks * LANES) {
            V w[2];
            for (int c = 0; c < blocks; c++)
                w[c] = _mm512_loadu_ps(u + c * LANES);
            for (int r = 0; r < TILE_ROWS; r++)
                for (int c = 0; c < blocks; c++)
                    sum[r][c] = FMA(SPLAT(v[r * LANES + k]), w[c], sum[r][c]);
        }
    for (int r = 0; r < TILE_ROWS; r++)
        for (int c = 0; c < blocks; c++)
            _mm512_storeu_ps(m + (size_t)c * block + r * LANES, sum[r][c]);
}

AVX512 void tiles_multiply(const float *u, const float *v, int blocks_in, int blocks_out, int tiles, size_t padded, float *m)
{
    size_t block = padded * LANES, panel = (size_t)blocks_in * LANES * LANES;
    int o = 0;
    for (; o + 2 <= blocks_out; o += 2)
        for (int t = 0; t < tiles; t += TILE_ROWS)
            multiply(2, u + (size_t)o * panel, v + t * LANES, blocks_in, block, m + (size_t)o * block + t * LANES);
    for (int t = 0; o < blocks_out && t < tiles; t += TILE_ROWS)
        multiply(1, u + (size_t)o * panel, v + t * LANES, blocks_in, block, m + (size_t)o * block + t * LANES);
}

/* --- output ----------------------------------------------------------------------------------------------- */

AVX512_INLINE void turn_back(int n, const float *m, size_t m_stride, const TileOut *out)
{
    V half[TILE_OUT][POINTS_MAX]; /* down the columns */
    for (int j = 0; j < n; j++) {
        V in[POINTS_MAX], four[TILE_OUT];
        for (int i = 0; i < n; i++)
            in[i] = _mm512_loadu_ps(m + (size_t)(i * n + j) * m_stride);
        if (n == 6)
            turn_out_6(in, four);
        else
            turn_out_5(in, four);
        for (int i = 0; i < TILE_OUT; i++)
            half[i][j] = four[i];
    }
    V bias = out->bias ? _mm512_loadu_ps(out->bias) : _mm512_setzero_ps();
    for (int i = 0; i < out->rows; i++) {
        V four[TILE_OUT];
        if (n == 6)
            turn_out_6(half[i], four);
        else
            turn_out_5(half[i], four);
        for (int j = 0; j < out->columns; j++) {
            size_t at = (size_t)i * out->row + (size_t)j * out->column;
            V y = ADD(four[j], bias);
            if (out->residual)
                y = ADD(y, _mm512_loadu_ps(out->residual + at));
            if (out->relu) /* max returns its second operand for NaN, so NaN stays */
                y = _mm512_max_ps(_mm512_setzero_ps(), y);
            _mm512_storeu_ps(out->y + at, y);
        }
    }
}

AVX512 static void turn_back_6(const float *m, size_t m_stride, const TileOut *out)
{
    turn_back(6, m, m_stride, out);
}

AVX512 static void turn_back_5(const float *m, size_t m_stride, const TileOut *out)
{
    turn_back(5, m, m_stride, out);
}

void tiles_out(int n, const float *m, size_t m_stride, const TileOut *out)
{
    (n == 6 ? turn_back_6 : turn_back_5)(m, m_stride, out);
}

#endif
