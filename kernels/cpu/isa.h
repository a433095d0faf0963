/* Isa: the inner loops that keep their sums in registers, compiled once for each vector width of x86-64.
 *
 * isa_kernels.h is their one source; isa_v4.c, isa_v3.c and isa_base.c include it under different compiler flags and
 * isa_bf16.c adds the product that only some AVX-512 machines have. cpu.c takes the widest that the machine offers.
 * Plain loops that compilers vectorise by themselves are elsewhere, under CPU_CLONES.
 *
 * To add a loop: its function here, in isa_kernels.h, and in the three tables. */
#ifndef KERNELS_CPU_ISA_H
#define KERNELS_CPU_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK = 16,        /* channels of a block */
    PANEL = 2 * BLOCK, /* columns of a panel of packed weights; the last panel may be one block */
    TILE_OUT = 4       /* output pixels of a Winograd tile along an axis */
};

/* The one matrix product: y[r][0..width) = sum over segments s and k < depth of x[r][segments[s] + k]
 * u[s][k][0..width). Products of rows have one segment, convolutions one for each block of channels and tap. Each row's
 * sum runs in the order of u, whatever the rows beside it. */
typedef struct Product {
    const float *x;
    size_t x_row;           /* floats from one row to the next */
    const size_t *segments; /* offsets into x */
    int nsegments, depth;
    const float *u; /* [nsegments][depth] rows of width, u_row floats apart */
    size_t u_row;
    int width;             /* PANEL or BLOCK */
    const float *bias;     /* [width] or NULL */
    const float *residual; /* as y, or NULL; may be y */
    float *y;              /* row r, block b at y + r * y_row + b * y_block */
    size_t y_row, y_block;
    bool relu;
} Product;

/* Rounded to bf16: x [rows][pairs] of two values in 32 bits, u [pairs][width] likewise; sums in f32. */
typedef struct ProductBf16 {
    const uint32_t *x;
    int pairs;
    const uint32_t *u;
    int width;
    const float *bias, *residual;
    float *y;
    size_t y_row;
} ProductBf16;

/* A run of Winograd tiles beside each other in one row of tiles, one block of channels. A tile is 4x4 output pixels and
 * needs n x n input pixels, n = taps + 3: 6 for three taps, 5 for two. */
typedef struct TileRun {
    int h, w;        /* of the image */
    int row, column; /* input pixel of the first tile's upper left corner; may be outside, where zeros are */
    int tiles;
} TileRun;

/* Where a tile's output goes: pixel (i,j) of it is at y + i * row + j * column. */
typedef struct TileOut {
    const float *bias;     /* [16] or NULL */
    const float *residual; /* as y, or NULL */
    float *y;
    size_t row, column;
    int rows, columns; /* pixels inside the image, 1..4 */
    bool relu;
} TileOut;

typedef struct Isa {
    const char *name;
    void (*product)(const Product *p, int rows);
    /* y[c][r] = x[r][c] for r < rows, c < columns. */
    void (*transpose)(const float *x, size_t x_row, int rows, int columns, float *y, size_t y_row);
    /* x: the block's [h][w][16]; position p of tile t goes to v + p * v_stride + t * 16. work: [n][4*tiles + 2][16]. */
    void (*tiles_in)(int n, const float *x, const TileRun *run, float *work, float *v, size_t v_stride);
    /* m: the tile's position p at m + p * m_stride. */
    void (*tiles_out)(int n, const float *m, size_t m_stride, const TileOut *out);
} Isa;

extern const Isa isa_v4, isa_v3, isa_base; /* AVX-512; AVX2 and FMA; what every machine has */

void isa_product_bf16(const ProductBf16 *p, int rows); /* machines with AVX512_BF16 only */

#endif
