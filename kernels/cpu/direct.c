/* A line of output pixels is a matrix product: rows are pixels, and each tap of each block of input channels is a
 * segment of 16 terms. 1x1 convolutions have no lines, only pixels. Where there is padding or enlarging, the image is
 * copied with its border first: the copy is small beside the product and the product then needs no cases. */
#include "kernels/cpu/direct.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum {
    LINE = 64,               /* pixels of a line in a 1x1 convolution */
    WEIGHTS_NEAR = 640 << 10 /* bytes that leave room for lines in L2 */
};

struct Direct {
    ConvShape shape;
    int blocks_in, blocks_out;
    int depth;     /* channels of a block that count: BLOCK, or c_in where that is less */
    float *panels; /* [c_out/32][c_in/16][kh][kw][depth][32]: Product's u */
    float *bias;   /* padded, or NULL */
};

static int segments_of(const Direct *d)
{
    return d->blocks_in * d->shape.kh * d->shape.kw;
}

/* --- weights -------------------------------------------------------------------------------------------- */

static void pack_output(Direct *d, const float *w, int o)
{
    const ConvShape *s = &d->shape;
    int taps = s->kh * s->kw, panel = o / PANEL, width = (panel + 1) * 2 <= d->blocks_out ? PANEL : BLOCK;
    float *u = d->panels + (size_t)panel * (size_t)(segments_of(d) * d->depth) * PANEL + o % PANEL;
    for (int c = 0; c < s->c_in; c++)
        for (int tap = 0; tap < taps; tap++)
            u[((size_t)(c / BLOCK * taps + tap) * (size_t)d->depth + (size_t)(c % BLOCK)) * (size_t)width] =
                w[((size_t)o * (size_t)s->c_in + (size_t)c) * (size_t)taps + (size_t)tap];
}

Direct *direct_pack(Backend *be, const float *w, const float *bias, const ConvShape *s, Err *err)
{
    Direct *d = xcalloc(1, sizeof(*d));
    *d = (Direct){.shape = *s,
                  .blocks_in = map_blocks(s->c_in),
                  .blocks_out = map_blocks(s->c_out),
                  .depth = s->c_in < BLOCK ? s->c_in : BLOCK};
    size_t out = (size_t)d->blocks_out * BLOCK, bytes = (size_t)(segments_of(d) * d->depth) * out * sizeof(float);
    d->panels = be_alloc(be, bytes, err);
    d->bias = d->panels && bias ? be_alloc(be, out * sizeof(float), err) : NULL;
    if (!d->panels || (bias && !d->bias)) {
        direct_free(be, d);
        return NULL;
    }
    if (bias) {
        memset(d->bias, 0, out * sizeof(float));
        memcpy(d->bias, bias, (size_t)s->c_out * sizeof(float));
    }
    memset(d->panels, 0, bytes);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int o = 0; o < s->c_out; o++)
        pack_output(d, w, o);
    return d;
}

void direct_free(Backend *be, Direct *d)
{
    if (!d)
        return;
    be_free(be, d->panels);
    be_free(be, d->bias);
    free(d);
}

/* --- running ---------------------------------------------------------------------------------------------- */

/* Row i of the bordered image, one block of channels; x: the block's image. */
static void border_row(const Direct *d, const ConvImage *image, const float *x, int i, int width, float *y)
{
    int scale = d->shape.upsample ? 2 : 1, row = i - d->shape.pad_h;
    memset(y, 0, (size_t)width * BLOCK * sizeof(float));
    if (row < 0 || row >= image->h * scale)
        return;
    const float *in = x + (size_t)(row / scale) * (size_t)image->w * BLOCK;
    y += (size_t)d->shape.pad_w * BLOCK;
    for (int j = 0; j < image->w; j++)
        for (int copy = 0; copy < scale; copy++)
            memcpy(y + (size_t)(j * scale + copy) * BLOCK, in + (size_t)j * BLOCK, BLOCK * sizeof(float));
}

/* What the product's lines run over. */
typedef struct Lines {
    const float *x;
    int h, w;          /* of x, with its border */
    int lines, pixels; /* lines of the output and their length */
    int last;          /* length of the last line */
    size_t line_step;  /* floats from a line's input to the next one's */
} Lines;

static bool bordered(Cpu *cpu, const Direct *d, const ConvImage *image, Lines *lines)
{
    const ConvShape *s = &d->shape;
    int scale = s->upsample ? 2 : 1;
    lines->x = image->x;
    lines->h = image->h * scale + 2 * s->pad_h;
    lines->w = image->w * scale + 2 * s->pad_w;
    if (lines->h == image->h && lines->w == image->w)
        return true;
    size_t row = (size_t)lines->w * BLOCK, block = (size_t)image->h * (size_t)image->w * BLOCK;
    int rows = d->blocks_in * lines->h;
    float *copy = cpu_scratch(cpu, SCRATCH_INPUT, (size_t)rows * row * sizeof(float));
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int i = 0; i < (copy ? rows : 0); i++)
        border_row(d, image, image->x + (size_t)(i / lines->h) * block, i % lines->h, lines->w, copy + (size_t)i * row);
    lines->x = copy;
    return copy != NULL;
}

static void cut_lines(const Direct *d, int out_h, int out_w, Lines *lines)
{
    const ConvShape *s = &d->shape;
    bool pixels_only = s->kh == 1 && s->kw == 1 && s->stride == 1;
    int pixels = out_h * out_w;
    lines->pixels = pixels_only ? LINE : out_w;
    lines->lines = pixels_only ? (pixels + LINE - 1) / LINE : out_h;
    lines->last = pixels_only ? pixels - (lines->lines - 1) * LINE : out_w;
    lines->line_step = (pixels_only ? (size_t)LINE : (size_t)s->stride * (size_t)lines->w) * BLOCK;
}

static void run_line(const Cpu *cpu, const Direct *d, const ConvImage *image, const Lines *lines,
                     const size_t *segments, int panel, int line, size_t out_pixels)
{
    int width = (panel + 1) * 2 <= d->blocks_out ? PANEL : BLOCK;
    size_t at = ((size_t)panel * 2 * out_pixels + (size_t)line * (size_t)lines->pixels) * BLOCK;
    Product product = {.x = lines->x + (size_t)line * lines->line_step,
                       .x_row = (size_t)d->shape.stride * BLOCK,
                       .segments = segments,
                       .nsegments = segments_of(d),
                       .depth = d->depth,
                       .u = d->panels + (size_t)panel * (size_t)(segments_of(d) * d->depth) * PANEL,
                       .u_row = (size_t)width,
                       .width = width,
                       .bias = d->bias ? d->bias + panel * PANEL : NULL,
                       .residual = image->residual ? image->residual + at : NULL,
                       .y = image->y + at,
                       .y_row = BLOCK,
                       .y_block = out_pixels * BLOCK,
                       .relu = d->shape.relu};
    cpu->isa->product(&product, line == lines->lines - 1 ? lines->last : lines->pixels);
}

void direct_run(Cpu *cpu, const Direct *d, const ConvImage *image)
{
    const ConvShape *s = &d->shape;
    Lines lines;
    size_t *segments = cpu_scratch(cpu, SCRATCH_WORK, (size_t)segments_of(d) * sizeof(*segments));
    if (!segments || !bordered(cpu, d, image, &lines))
        return;
    int taps = s->kh * s->kw, panels = (d->blocks_out + 1) / 2;
    int out_h = (lines.h - s->kh) / s->stride + 1, out_w = (lines.w - s->kw) / s->stride + 1;
    cut_lines(d, out_h, out_w, &lines);
    for (int i = 0; i < segments_of(d); i++) {
        size_t row = (size_t)(i / taps) * (size_t)lines.h + (size_t)(i % taps / s->kw);
        segments[i] = (row * (size_t)lines.w + (size_t)(i % s->kw)) * BLOCK;
    }
    /* Small weights stay in L2 while lines go by, each line through all panels; of large ones a thread takes a panel,
     * or an eighth of its lines, and the lines come from L3. */
    bool lines_first = (size_t)(segments_of(d) * d->depth * d->blocks_out) * BLOCK * sizeof(float) <= WEIGHTS_NEAR;
    int tasks = panels * lines.lines;
    int together = lines_first ? panels : panels >= 4 * cpu->threads ? lines.lines : (lines.lines + 7) / 8;
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic, together)
    for (int i = 0; i < tasks; i++)
        run_line(cpu, d, image, &lines, segments, lines_first ? i % panels : i / lines.lines,
                 lines_first ? i / panels : i % lines.lines, (size_t)out_h * (size_t)out_w);
}
