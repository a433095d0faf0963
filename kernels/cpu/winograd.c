/* Winograd convolutions: weights, and how an image is cut among threads. The transforms are in isa_kernels.h.
 *
 * Three steps: transform input tiles, multiply, transform back. Transformed tiles are stored by position, v
 * [n*n][c_in/16][tiles][16] and m [n*n][c_out/16][tiles][16]; so the product at one position is a plain matrix product
 * with contiguous rows.
 *
 * Two ways to cut. Large maps: each thread takes blocks of tiles through all three steps in its own memory, without
 * synchronisation. Small maps with many channels: the weights are larger than the map, so all threads share one block
 * of tiles and divide its positions, which reads every weight once; barriers separate the steps. */
#include "kernels/cpu/winograd.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum {
    TILES_OWN = 32, /* tiles of a thread's block */
    PHASES_UP = 4
};

struct Winograd {
    ConvShape shape;
    int n;      /* input pixels of a tile along an axis: 6, or 5 when upsampling */
    int phases; /* 1, or 4 when upsampling: parity of the output pixel, row * 2 + column */
    int blocks_in, blocks_out;
    float *u;    /* [phases][n*n][c_out/32][c_in][32]: Product's u */
    float *bias; /* padded, or NULL */
};

bool winograd_takes(const ConvShape *s)
{
    return s->kh == 3 && s->kw == 3 && s->stride == 1 && s->pad_h <= 1 && s->pad_w <= 1 &&
           (!s->upsample || (s->pad_h == 1 && s->pad_w == 1));
}

/* --- weights ------------------------------------------------------------------------------------------ */

static const double points_6[] = {0, 0.70710678118654752, -0.70710678118654752, 1.4142135623730951,
                                  -1.4142135623730951};
static const double points_5[] = {0.375, -0.375, 1.25, -1.25};

/* Row i of G for n - 1 points and infinity: powers of the point over the product of its distances to the others. */
static void weight_rows(int n, int taps, double ret[6][3])
{
    const double *points = n == 6 ? points_6 : points_5;
    for (int i = 0; i < n - 1; i++) {
        double distances = 1, power = 1;
        for (int j = 0; j < n - 1; j++)
            distances *= j == i ? 1 : points[i] - points[j];
        for (int t = 0; t < taps; t++, power *= points[i])
            ret[i][t] = power / distances;
    }
    for (int t = 0; t < taps; t++)
        ret[n - 1][t] = t == taps - 1;
}

/* Nearest x2 then three taps: the even output sees taps 0 | 1+2 of its two inputs, the odd one 0+1 | 2. */
static void fold(const float w[9], int phase, double ret[9])
{
    static const int first[2][3] = {{0, 1, 1}, {0, 0, 1}};
    const int *rows = first[phase / 2], *columns = first[phase % 2];
    memset(ret, 0, 9 * sizeof(*ret));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            ret[rows[i] * 2 + columns[j]] += w[i * 3 + j];
}

/* One pair of channels at all positions, turned[position]. */
static void turn_pair(const Winograd *win, const float w[9], int phase, double rows[6][3], float turned[36])
{
    int n = win->n, taps = n - 3;
    double small[9], half[6][3] = {{0}};
    if (win->phases > 1)
        fold(w, phase, small);
    else
        for (int i = 0; i < 9; i++)
            small[i] = w[i];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < taps; j++)
            for (int t = 0; t < taps; t++)
                half[i][j] += rows[i][t] * small[t * taps + j];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int t = 0; t < taps; t++)
                sum += half[i][t] * rows[j][t];
            turned[i * n + j] = (float)sum;
        }
}

/* Input channel c of a panel of outputs: positions lie far apart, so each gets its whole row at once. */
static void pack_row(const Winograd *win, const float *w, int phase, int panel, int c, double rows[6][3])
{
    int positions = win->n * win->n, width = (panel + 1) * 2 <= win->blocks_out ? PANEL : BLOCK;
    float turned[36], by_position[36][PANEL] = {{0}};
    for (int i = 0; i < width && c < win->shape.c_in && panel * PANEL + i < win->shape.c_out; i++) {
        turn_pair(win, w + ((size_t)(panel * PANEL + i) * (size_t)win->shape.c_in + (size_t)c) * 9, phase, rows,
                  turned);
        for (int p = 0; p < positions; p++)
            by_position[p][i] = turned[p];
    }
    size_t channels = (size_t)win->blocks_in * BLOCK, outputs = (size_t)win->blocks_out * BLOCK;
    for (int p = 0; p < positions; p++)
        memcpy(win->u + ((size_t)(phase * positions + p) * outputs + (size_t)panel * PANEL) * channels +
                   (size_t)(c * width),
               by_position[p], (size_t)width * sizeof(float));
}

Winograd *winograd_pack(Backend *be, const float *w, const float *bias, const ConvShape *s, Err *err)
{
    Winograd *win = xcalloc(1, sizeof(*win));
    *win = (Winograd){.shape = *s,
                      .n = s->upsample ? 5 : 6,
                      .phases = s->upsample ? PHASES_UP : 1,
                      .blocks_in = map_blocks(s->c_in),
                      .blocks_out = map_blocks(s->c_out)};
    size_t out = (size_t)win->blocks_out * BLOCK, in = (size_t)win->blocks_in * BLOCK;
    size_t bytes = (size_t)(win->phases * win->n * win->n) * out * in * sizeof(float);
    win->u = be_alloc(be, bytes, err);
    win->bias = win->u && bias ? be_alloc(be, out * sizeof(float), err) : NULL;
    if (!win->u || (bias && !win->bias)) {
        winograd_free(be, win);
        return NULL;
    }
    if (bias) {
        memset(win->bias, 0, out * sizeof(float));
        memcpy(win->bias, bias, (size_t)s->c_out * sizeof(float));
    }
    double rows[6][3];
    weight_rows(win->n, win->n - 3, rows);
    int panels = (win->blocks_out + 1) / 2, channels = (int)in;
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int i = 0; i < win->phases * panels * channels; i++)
        pack_row(win, w, i / (panels * channels), i / channels % panels, i % channels, rows);
    return win;
}

void winograd_free(Backend *be, Winograd *win)
{
    if (!win)
        return;
    be_free(be, win->u);
    be_free(be, win->bias);
    free(win);
}

/* --- running --------------------------------------------------------------------------------------------- */

/* One image's geometry and the memory of one block of tiles. */
typedef struct Work {
    const Isa *isa;
    const Winograd *win;
    const ConvImage *image;
    int out_h, out_w;  /* of one phase */
    int across, tiles; /* tiles in a row, and in all */
    size_t block;      /* most tiles of a block */
    const size_t *segments;
    size_t v_stride, m_stride, run_floats;
    float *v, *m, *run; /* run: per thread */
} Work;

/* One block of channels of tiles first..first+count-1 into v. */
static void step_in(const Work *w, int phase, int first, int count, int b, float *run)
{
    const Winograd *win = w->win;
    int pad_h = win->phases > 1 ? 1 - phase / 2 : win->shape.pad_h;
    int pad_w = win->phases > 1 ? 1 - phase % 2 : win->shape.pad_w;
    size_t image_block = (size_t)w->image->h * (size_t)w->image->w * BLOCK;
    for (int t = 0, n; t < count; t += n) {
        int row = (first + t) / w->across, column = (first + t) % w->across;
        n = w->across - column < count - t ? w->across - column : count - t;
        TileRun tiles = {.h = w->image->h,
                         .w = w->image->w,
                         .row = row * TILE_OUT - pad_h,
                         .column = column * TILE_OUT - pad_w,
                         .tiles = n};
        w->isa->tiles_in(win->n, w->image->x + (size_t)b * image_block, &tiles, run,
                         w->v + ((size_t)b * w->block + (size_t)t) * BLOCK, w->v_stride);
    }
}

/* One position, one panel of outputs. */
static void step_multiply(const Work *w, int phase, int count, int position, int panel)
{
    const Winograd *win = w->win;
    int width = (panel + 1) * 2 <= win->blocks_out ? PANEL : BLOCK;
    size_t channels = (size_t)win->blocks_in * BLOCK, outputs = (size_t)win->blocks_out * BLOCK;
    Product product = {.x = w->v + (size_t)position * w->v_stride,
                       .x_row = BLOCK,
                       .segments = w->segments,
                       .nsegments = win->blocks_in,
                       .depth = BLOCK,
                       .u = win->u +
                            ((size_t)(phase * win->n * win->n + position) * outputs + (size_t)panel * PANEL) * channels,
                       .u_row = (size_t)width,
                       .width = width,
                       .y = w->m + (size_t)position * w->m_stride + (size_t)panel * PANEL * w->block,
                       .y_row = BLOCK,
                       .y_block = w->block * BLOCK};
    w->isa->product(&product, count);
}

static void step_out(const Work *w, int phase, int first, int count, int b)
{
    const Winograd *win = w->win;
    size_t spread = win->phases > 1 ? 2 : 1, width = (size_t)w->out_w * spread, height = (size_t)w->out_h * spread;
    for (int t = 0; t < count; t++) {
        int i = (first + t) / w->across * TILE_OUT, j = (first + t) % w->across * TILE_OUT;
        size_t row = (size_t)i * spread + (size_t)(phase / 2), column = (size_t)j * spread + (size_t)(phase % 2);
        size_t at = (((size_t)b * height + row) * width + column) * BLOCK;
        TileOut out = {.bias = win->bias ? win->bias + b * BLOCK : NULL,
                       .residual = w->image->residual ? w->image->residual + at : NULL,
                       .y = w->image->y + at,
                       .row = width * spread * BLOCK,
                       .column = spread * BLOCK,
                       .rows = w->out_h - i < TILE_OUT ? w->out_h - i : TILE_OUT,
                       .columns = w->out_w - j < TILE_OUT ? w->out_w - j : TILE_OUT,
                       .relu = win->shape.relu};
        w->isa->tiles_out(win->n, w->m + ((size_t)b * w->block + (size_t)t) * BLOCK, w->m_stride, &out);
    }
}

/* All threads on one block. */
static void run_shared(Cpu *cpu, const Work *w)
{
    const Winograd *win = w->win;
    int panels = (win->blocks_out + 1) / 2, products = win->n * win->n * panels;
#pragma omp parallel num_threads(cpu->threads)
    {
        float *run = w->run + (size_t)cpu_thread() * w->run_floats;
        for (int phase = 0; phase < win->phases; phase++) { /* each loop ends with a barrier */
#pragma omp for schedule(dynamic)
            for (int b = 0; b < win->blocks_in; b++)
                step_in(w, phase, 0, w->tiles, b, run);
#pragma omp for schedule(dynamic, 2)
            for (int i = 0; i < products; i++)
                step_multiply(w, phase, w->tiles, i / panels, i % panels);
#pragma omp for schedule(dynamic)
            for (int b = 0; b < win->blocks_out; b++)
                step_out(w, phase, 0, w->tiles, b);
        }
    }
}

static void run_block(const Work *w, int phase, int first, int count)
{
    const Winograd *win = w->win;
    for (int b = 0; b < win->blocks_in; b++)
        step_in(w, phase, first, count, b, w->run);
    for (int p = 0; p < win->n * win->n; p++)
        for (int panel = 0; panel < (win->blocks_out + 1) / 2; panel++)
            step_multiply(w, phase, count, p, panel);
    for (int b = 0; b < win->blocks_out; b++)
        step_out(w, phase, first, count, b);
}

/* Each thread on blocks of its own; shared's memory is the first thread's, the others' follow `own` floats apart. */
static void run_own(Cpu *cpu, const Work *shared, size_t own)
{
    int block = (int)shared->block, blocks = (shared->tiles + block - 1) / block;
#pragma omp parallel num_threads(cpu->threads)
    {
        Work w = *shared;
        w.v += (size_t)cpu_thread() * own;
        w.m += (size_t)cpu_thread() * own;
        w.run += (size_t)cpu_thread() * own;
#pragma omp for schedule(dynamic)
        for (int i = 0; i < blocks; i++)
            for (int phase = 0; phase < w.win->phases; phase++)
                run_block(&w, phase, i * block, w.tiles - i * block < block ? w.tiles - i * block : block);
    }
}

static void measure(const Winograd *win, const ConvImage *image, Work *w)
{
    const ConvShape *s = &win->shape;
    w->out_h = win->phases > 1 ? image->h : image->h + 2 * s->pad_h - 2;
    w->out_w = win->phases > 1 ? image->w : image->w + 2 * s->pad_w - 2;
    w->across = (w->out_w + TILE_OUT - 1) / TILE_OUT;
    w->tiles = w->across * ((w->out_h + TILE_OUT - 1) / TILE_OUT);
    w->run_floats = (size_t)win->n * (size_t)(w->across * TILE_OUT + 2) * BLOCK;
}

void winograd_run(Cpu *cpu, const Winograd *win, const ConvImage *image)
{
    Work w = {.isa = cpu->isa, .win = win, .image = image};
    measure(win, image, &w);
    bool shared = w.tiles <= TILES_OWN * cpu->threads;
    w.block = (size_t)(shared ? w.tiles : TILES_OWN);
    /* A cache line more between positions: without it all positions of a tile fall into the same cache set. */
    w.v_stride = (size_t)win->blocks_in * w.block * BLOCK + BLOCK;
    w.m_stride = (size_t)win->blocks_out * w.block * BLOCK + BLOCK;
    size_t positions = (size_t)(win->n * win->n), tiles = positions * (w.v_stride + w.m_stride),
           own = tiles + w.run_floats;
    size_t threads = (size_t)cpu->threads, floats = shared ? tiles + threads * w.run_floats : threads * own;
    size_t *segments = cpu_scratch(cpu, SCRATCH_WORK, CACHE_LINE * (size_t)win->blocks_in + floats * sizeof(float));
    if (!segments)
        return;
    for (int b = 0; b < win->blocks_in; b++)
        segments[b] = (size_t)b * w.block * BLOCK;
    w.segments = segments;
    w.v = (float *)segments + (size_t)win->blocks_in * BLOCK; /* a cache line each: what follows stays aligned */
    w.m = w.v + positions * w.v_stride;
    w.run = w.m + positions * w.m_stride;
    if (shared)
        run_shared(cpu, &w);
    else
        run_own(cpu, &w, own);
}
