/* The source of the Isa tables: included by isa_*.c with ISA_TABLE and ISA_NAME, compiled for the vectors of that
 * file's flags. Vectors are the compilers' own type, so this is plain C for any of them.
 *
 * product: a tile of rows x columns of sums in registers; for each k one load of u's columns and one broadcast of x for
 *   each row. 8 rows x 32 columns in AVX-512 reach 110-116 GFLOP/s on one Zen 4 core, its peak; 4..14 rows and 1..4
 *   vectors were tried, within 5% of each other.
 * Winograd transforms: F(4,3) with the points 0, +-sqrt(1/2), +-sqrt(2), infinity, and F(4,2) with +-3/8, +-5/4,
 *   infinity. Chosen by error: 1.3e-6 and 0.7e-6 at 256 channels, against 3.3e-6 for 0, +-1, +-2. Symmetric points
 * share their even and odd parts. The matching weight transforms are in winograd.c. */
#include "kernels/cpu/isa.h"

#if defined(__AVX512F__)
enum { LANES = 16, TILE_ROWS = 8 };
#elif defined(__AVX2__)
enum { LANES = 8, TILE_ROWS = 6 };
#else
enum { LANES = 4, TILE_ROWS = 4 };
#endif
enum { PARTS = BLOCK / LANES, TILE_VECTORS = 2, POINTS_MAX = 6 };

typedef float V __attribute__((vector_size(LANES * sizeof(float))));
typedef float Unaligned __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

#define INLINE static inline __attribute__((always_inline))

INLINE V load(const float *x)
{
    return *(const Unaligned *)x;
}

INLINE void store(float *y, V v)
{
    *(Unaligned *)y = v;
}

INLINE V splat(float x)
{
    return x - (V){0};
}

/* max(0, v), but NaN stays NaN. A comparison of vectors is -1 where true. */
INLINE V relu(V v)
{
    typedef int Mask __attribute__((vector_size(LANES * sizeof(int))));
    return (V)((Mask)v & ~(Mask)(v < (V){0}));
}

/* --- product --------------------------------------------------------------------------------------------- */

/* How a tile of a panel is cut out: constants where product_tile is called, so that each becomes a loop of its own. */
typedef struct Cut {
    int rows, vectors; /* sums in registers */
    int from;          /* first column */
    bool blocks;       /* depth and x_row are BLOCK: neighbouring pixels of a map */
} Cut;

INLINE void product_tile(const Product *p, Cut cut, size_t r)
{
    V sum[TILE_ROWS][TILE_VECTORS];
    const size_t u_row = p->u_row, x_row = cut.blocks ? BLOCK : p->x_row;
    const int depth = cut.blocks ? BLOCK : p->depth, nsegments = p->nsegments;
    const size_t *segments = p->segments;
    const float *u = p->u + cut.from, *x0 = p->x + r * x_row;
    for (int i = 0; i < cut.rows; i++)
        for (int c = 0; c < cut.vectors; c++)
            sum[i][c] = (V){0};
    for (int s = 0; s < nsegments; s++) {
        const float *x = x0 + segments[s];
        for (int k = 0; k < depth; k++, u += u_row, x++) {
            V w[TILE_VECTORS];
            for (int c = 0; c < cut.vectors; c++)
                w[c] = load(u + c * LANES);
            for (int i = 0; i < cut.rows; i++)
                for (int c = 0; c < cut.vectors; c++)
                    sum[i][c] += splat(x[(size_t)i * x_row]) * w[c];
        }
    }
    for (int c = 0; c < cut.vectors; c++) {
        size_t column = (size_t)(cut.from + c * LANES), block = column / BLOCK * p->y_block + column % BLOCK;
        for (int i = 0; i < cut.rows; i++) {
            size_t at = (r + (size_t)i) * p->y_row + block;
            V v = sum[i][c];
            if (p->bias)
                v += load(p->bias + column);
            if (p->residual)
                v += load(p->residual + at);
            store(p->y + at, p->relu ? relu(v) : v);
        }
    }
}

/* All rows of some columns; the last rows, fewer than TILE_ROWS, have loops of their own. */
INLINE void product_columns(const Product *p, int rows, int vectors, int from, bool blocks)
{
#define TILE(n) product_tile(p, (Cut){.rows = n, .vectors = vectors, .from = from, .blocks = blocks}, (size_t)r)
    int r = 0;
    for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
        TILE(TILE_ROWS);
    switch (rows - r) {
    case 1:
        TILE(1);
        break;
    case 2:
        TILE(2);
        break;
    case 3:
        TILE(3);
        break;
#if defined(__AVX2__)
    case 4:
        TILE(4);
        break;
    case 5:
        TILE(5);
        break;
#endif
#if defined(__AVX512F__)
    case 6:
        TILE(6);
        break;
    case 7:
        TILE(7);
        break;
#endif
    }
#undef TILE
}

static void product(const Product *p, int rows)
{
    bool blocks = p->depth == BLOCK && p->x_row == BLOCK;
    int from = 0;
    for (; from + TILE_VECTORS * LANES <= p->width; from += TILE_VECTORS * LANES)
        if (blocks)
            product_columns(p, rows, TILE_VECTORS, from, true);
        else
            product_columns(p, rows, TILE_VECTORS, from, false);
    if (from < p->width) /* one block in AVX-512 */
        product_columns(p, rows, 1, from, false);
}

/* --- transpose --------------------------------------------------------------------------------------------- */

#if defined(__AVX512F__)
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b)                                                                                          \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif defined(__AVX2__)
#define INTERLEAVE_LOW(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LOW(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* A square of LANES x LANES: interleaving its upper and lower half log2(LANES) times. */
INLINE void transpose_square(const float *x, size_t x_row, float *y, size_t y_row)
{
    V rows[LANES], next[LANES];
    for (int i = 0; i < LANES; i++)
        rows[i] = load(x + (size_t)i * x_row);
    for (int stage = 1; stage < LANES; stage *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = INTERLEAVE_LOW(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = INTERLEAVE_HIGH(rows[i], rows[i + LANES / 2]);
        }
        for (int i = 0; i < LANES; i++)
            rows[i] = next[i];
    }
    for (int i = 0; i < LANES; i++)
        store(y + (size_t)i * y_row, rows[i]);
}

static void transpose(const float *x, size_t x_row, int rows, int columns, float *y, size_t y_row)
{
    int whole_rows = rows / LANES * LANES, whole_columns = columns / LANES * LANES;
    for (int r = 0; r < whole_rows; r += LANES)
        for (int c = 0; c < whole_columns; c += LANES)
            transpose_square(x + (size_t)r * x_row + c, x_row, y + (size_t)c * y_row + r, y_row);
    for (int r = 0; r < rows; r++)
        for (int c = r < whole_rows ? whole_columns : 0; c < columns; c++)
            y[(size_t)c * y_row + (size_t)r] = x[(size_t)r * x_row + (size_t)c];
}

/* --- one-dimensional Winograd transforms ---------------------------------------------------------------------- */

/* Polynomial x (x^2 - 1/2) (x^2 - 2): rows of B^T are its quotients. */
INLINE void turn_in_6(const V x[6], V y[6])
{
    const V a = splat(0.70710678f), b = splat(1.41421356f);
    V even_a = x[4] - splat(2.0f) * x[2], odd_a = x[3] - splat(2.0f) * x[1];
    V even_b = x[4] - splat(0.5f) * x[2], odd_b = x[3] - splat(0.5f) * x[1];
    y[0] = x[0] + x[4] - splat(2.5f) * x[2];
    y[1] = even_a + a * odd_a;
    y[2] = even_a - a * odd_a;
    y[3] = even_b + b * odd_b;
    y[4] = even_b - b * odd_b;
    y[5] = x[1] + x[5] - splat(2.5f) * x[3];
}

/* A^T: powers 0..3 of the points; a^3 = a/2, b^3 = 2b. */
INLINE void turn_out_6(const V x[6], V y[4])
{
    V sum_a = x[1] + x[2], diff_a = splat(0.70710678f) * (x[1] - x[2]);
    V sum_b = x[3] + x[4], diff_b = splat(1.41421356f) * (x[3] - x[4]);
    y[0] = x[0] + (sum_a + sum_b);
    y[1] = diff_a + diff_b;
    y[2] = splat(0.5f) * sum_a + splat(2.0f) * sum_b;
    y[3] = splat(0.5f) * diff_a + (splat(2.0f) * diff_b + x[5]);
}

/* Polynomial (x^2 - a^2) (x^2 - b^2), a = 3/8, b = 5/4. */
INLINE void turn_in_5(const V x[5], V y[5])
{
    const V aa = splat(0.140625f), bb = splat(1.5625f);
    V even_a = splat(0.375f) * (x[2] - bb * x[0]), odd_a = x[3] - bb * x[1];
    V even_b = splat(1.25f) * (x[2] - aa * x[0]), odd_b = x[3] - aa * x[1];
    y[0] = odd_a + even_a;
    y[1] = odd_a - even_a;
    y[2] = odd_b + even_b;
    y[3] = odd_b - even_b;
    y[4] = splat(0.140625f * 1.5625f) * x[0] + (x[4] - splat(0.140625f + 1.5625f) * x[2]);
}

INLINE void turn_out_5(const V x[5], V y[4])
{
    const V aa = splat(0.140625f), bb = splat(1.5625f);
    V sum_a = x[0] + x[1], diff_a = splat(0.375f) * (x[0] - x[1]);
    V sum_b = x[2] + x[3], diff_b = splat(1.25f) * (x[2] - x[3]);
    y[0] = sum_a + sum_b;
    y[1] = diff_a + diff_b;
    y[2] = aa * sum_a + bb * sum_b;
    y[3] = aa * diff_a + (bb * diff_b + x[4]);
}

/* --- tiles in ------------------------------------------------------------------------------------------------ */

/* Down the columns, straight from the image: work [n][columns][16]. */
INLINE void turn_columns(int n, const float *x, const TileRun *run, int columns, float *work)
{
    static const float zeros[BLOCK];
    const float *rows[POINTS_MAX];
    size_t step[POINTS_MAX]; /* 0 for a row of zeros */
    for (int i = 0; i < n; i++) {
        bool inside = run->row + i >= 0 && run->row + i < run->h;
        rows[i] = inside ? x + (size_t)(run->row + i) * (size_t)run->w * BLOCK : zeros;
        step[i] = inside ? BLOCK : 0;
    }
    for (int j = 0; j < columns; j++) {
        int column = run->column + j;
        bool inside = column >= 0 && column < run->w;
        for (int part = 0; part < BLOCK; part += LANES) {
            V in[POINTS_MAX], out[POINTS_MAX];
            for (int i = 0; i < n; i++)
                in[i] = inside ? load(rows[i] + (size_t)column * step[i] + part) : (V){0};
            if (n == 6)
                turn_in_6(in, out);
            else
                turn_in_5(in, out);
            for (int i = 0; i < n; i++)
                store(work + ((size_t)i * (size_t)columns + (size_t)j) * BLOCK + part, out[i]);
        }
    }
}

/* Then along the rows of each tile, to its positions. */
INLINE void turn_rows(int n, const float *work, int columns, int tiles, float *v, size_t v_stride)
{
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < n; i++)
            for (int part = 0; part < BLOCK; part += LANES) {
                const float *row = work + ((size_t)i * (size_t)columns + (size_t)(t * TILE_OUT)) * BLOCK + part;
                V in[POINTS_MAX], out[POINTS_MAX];
                for (int j = 0; j < n; j++)
                    in[j] = load(row + j * BLOCK);
                if (n == 6)
                    turn_in_6(in, out);
                else
                    turn_in_5(in, out);
                for (int j = 0; j < n; j++)
                    store(v + (size_t)(i * n + j) * v_stride + (size_t)t * BLOCK + part, out[j]);
            }
}

static void tiles_in(int n, const float *x, const TileRun *run, float *work, float *v, size_t v_stride)
{
    int columns = run->tiles * TILE_OUT + n - TILE_OUT;
    if (n == 6) { /* n is a constant in each */
        turn_columns(6, x, run, columns, work);
        turn_rows(6, work, columns, run->tiles, v, v_stride);
    } else {
        turn_columns(5, x, run, columns, work);
        turn_rows(5, work, columns, run->tiles, v, v_stride);
    }
}

/* --- tiles out ------------------------------------------------------------------------------------------------- */

INLINE void turn_back(int n, const float *m, size_t m_stride, const TileOut *out, int part)
{
    V half[TILE_OUT][POINTS_MAX]; /* down the columns */
    for (int j = 0; j < n; j++) {
        V in[POINTS_MAX], four[TILE_OUT];
        for (int i = 0; i < n; i++)
            in[i] = load(m + (size_t)(i * n + j) * m_stride + part);
        if (n == 6)
            turn_out_6(in, four);
        else
            turn_out_5(in, four);
        for (int i = 0; i < TILE_OUT; i++)
            half[i][j] = four[i];
    }
    V bias = out->bias ? load(out->bias + part) : (V){0};
    for (int i = 0; i < out->rows; i++) {
        V four[TILE_OUT];
        if (n == 6)
            turn_out_6(half[i], four);
        else
            turn_out_5(half[i], four);
        for (int j = 0; j < out->columns; j++) {
            size_t at = (size_t)i * out->row + (size_t)j * out->column + (size_t)part;
            V y = four[j] + bias;
            if (out->residual)
                y += load(out->residual + at);
            store(out->y + at, out->relu ? relu(y) : y);
        }
    }
}

static void tiles_out(int n, const float *m, size_t m_stride, const TileOut *out)
{
    for (int part = 0; part < BLOCK; part += LANES)
        if (n == 6)
            turn_back(6, m, m_stride, out, part);
        else
            turn_back(5, m, m_stride, out, part);
}

const Isa ISA_TABLE = {
    .name = ISA_NAME, .product = product, .transpose = transpose, .tiles_in = tiles_in, .tiles_out = tiles_out};
