/* The three steps of a Winograd convolution on part of an image, in AVX-512: turn input tiles, multiply, turn back.
 *
 * A tile is 4x4 output pixels; it needs n x n input pixels, n = taps + 3 (6 for three taps, 5 for two). Turned tiles lie
 * by position: v [n*n][c_in/16][tiles][16] and m [n*n][c_out/16][tiles][16], positions `v_stride` and `m_stride` floats
 * apart; so a product at one position is a plain matrix product, and what it reads and writes is contiguous. */
#ifndef KERNELS_CPU_WINOGRAD_TILES_H
#define KERNELS_CPU_WINOGRAD_TILES_H

#include <stdbool.h>
#include <stddef.h>

enum { TILE_OUT = 4, TILE_ROWS = 8 /* tiles that one product takes at once: counts are padded to it */ };

/* A run of tiles beside each other in one row of tiles, one block of channels. */
typedef struct TileRun {
    int h, w;        /* of the image */
    int row, column; /* input pixel of the first tile's upper left corner; may be outside, where zeros are */
    int tiles;
} TileRun;

/* x: the block's [h][w][16]; v: the first tile's place at position 0. work: [n][4*tiles + 2][16]. */
void tiles_in(int n, const float *x, const TileRun *run, float *work, float *v, size_t v_stride);

/* One position: m [c_out/16][padded][16] = v [c_in/16][padded][16] u, with u [c_out/32][c_in][32] and, for an odd last
 * block, [c_in][16]. `padded` tiles, of which the first `tiles` (a multiple of TILE_ROWS) are computed. */
void tiles_multiply(const float *u, const float *v, int blocks_in, int blocks_out, int tiles, size_t padded, float *m);

/* Where a turned-back tile goes: pixel (i,j) of it is at y + (i * row + j * column) floats. */
typedef struct TileOut {
    const float *bias;     /* [16] or NULL */
    const float *residual; /* as y, or NULL */
    float *y;
    size_t row, column;
    int rows, columns; /* pixels inside the image, 1..4 */
    bool relu;
} TileOut;

void tiles_out(int n, const float *m, size_t m_stride, const TileOut *out);

#endif
