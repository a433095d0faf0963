/* Products of bf16 pairs with f32 sums: twice the rate of f32. Compiled for AVX512_BF16; empty elsewhere. */
#include "kernels/cpu/isa.h"

#ifdef __AVX512BF16__
#include <immintrin.h>

enum { LANES = 16, TILE_ROWS = 8, TILE_VECTORS = 2 };

#define INLINE static inline __attribute__((always_inline))

/* rows and vectors are constants where it is called. */
INLINE void tile(const ProductBf16 *p, int rows, int vectors, size_t r)
{
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < vectors; c++)
            sum[i][c] = _mm512_setzero_ps();
    const uint32_t *u = p->u, *x = p->x + r * (size_t)p->pairs;
    for (int k = 0; k < p->pairs; k++, u += vectors * LANES) {
        __m512i w[TILE_VECTORS];
        for (int c = 0; c < vectors; c++)
            w[c] = _mm512_loadu_si512(u + c * LANES);
        for (int i = 0; i < rows; i++) {
            __m512i pair = _mm512_set1_epi32((int)x[(size_t)i * (size_t)p->pairs + (size_t)k]);
            for (int c = 0; c < vectors; c++)
                sum[i][c] = _mm512_dpbf16_ps(sum[i][c], (__m512bh)pair, (__m512bh)w[c]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < vectors; c++) {
            size_t at = (r + (size_t)i) * p->y_row + (size_t)c * LANES;
            __m512 v = sum[i][c];
            if (p->bias)
                v = _mm512_add_ps(v, _mm512_loadu_ps(p->bias + c * LANES));
            if (p->residual)
                v = _mm512_add_ps(v, _mm512_loadu_ps(p->residual + at));
            _mm512_storeu_ps(p->y + at, v);
        }
}

INLINE void panel(const ProductBf16 *p, int rows, int vectors)
{
    int r = 0;
    for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
        tile(p, TILE_ROWS, vectors, (size_t)r);
    switch (rows - r) {
    case 1:
        tile(p, 1, vectors, (size_t)r);
        break;
    case 2:
        tile(p, 2, vectors, (size_t)r);
        break;
    case 3:
        tile(p, 3, vectors, (size_t)r);
        break;
    case 4:
        tile(p, 4, vectors, (size_t)r);
        break;
    case 5:
        tile(p, 5, vectors, (size_t)r);
        break;
    case 6:
        tile(p, 6, vectors, (size_t)r);
        break;
    case 7:
        tile(p, 7, vectors, (size_t)r);
        break;
    }
}

void isa_product_bf16(const ProductBf16 *p, int rows)
{
    if (p->width == PANEL)
        panel(p, rows, 2);
    else
        panel(p, rows, 1);
}

#else
#include <stdlib.h>

void isa_product_bf16(const ProductBf16 *p, int rows)
{
    (void)p, (void)rows;
    abort(); /* cpu_open refuses the precision */
}
#endif
