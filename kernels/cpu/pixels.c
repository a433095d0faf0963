/* Bytes against maps: rounding to u8, and Inception's two input pipelines.
 *
 * These results are compared bit for bit with other programs, so the arithmetic is f32 in exactly the order written.
 * This file is compiled without contraction (CMakeLists.txt): a fused multiply-add would round once where the
 * reference rounds twice. */
#include "kernels/cpu/cpu.h"

void cpu_to_u8(Backend *be, Map x, Tensor u8)
{
    int64_t pixels = (int64_t)x.h * x.w;
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t i = 0; i < x.b * pixels; i++) {
        const float *in = map_image(&x, (int)(i / pixels)) + i % pixels * MAP_BLOCK;
        for (int c = 0; c < 3; c++) {
            float value = ((in[c] + 1.0f) / 2.0f) * 255.0f + 0.5f;
            value = value < 255.0f ? value : 255.0f;
            value = value > 0.0f ? value : 0.0f; /* NaN has become 255: it is caught where features are checked */
            ((uint8_t *)u8.data)[i * 3 + c] = (uint8_t)value;
        }
    }
}

/* --- resize -------------------------------------------------------------------------------------------- */

enum { SIDE = 299, CHANNELS = 3 };

/* Where one output index reads along an axis: v = (1 - l) x[i0] + l x[i1]. */
typedef struct Tap {
    int i0, i1;
    float l;
} Tap;

static void taps(int n, Resize pipeline, Tap ret[SIDE])
{
    double scale = (double)n / SIDE; /* in float a position far right would be off by 1e-5 of a pixel */
    for (int i = 0; i < SIDE; i++) {
        double src = pipeline == RESIZE_PT ? (i + 0.5) * scale - 0.5 : i * scale;
        src = src > 0 ? src : 0;
        int i0 = (int)src < n ? (int)src : n - 1;
        ret[i] = i0 + 1 < n ? (Tap){i0, i0 + 1, (float)(src - i0)} : (Tap){i0, i0, 0};
    }
}

/* pt: u8/255, weights of four corners, 2v - 1. */
static float corner_pt(const float unit[256], uint8_t a, uint8_t b, uint8_t c, uint8_t d, float lh, float lw)
{
    float top = (1.0f - lw) * unit[a] + lw * unit[b], bottom = (1.0f - lw) * unit[c] + lw * unit[d];
    return 2.0f * ((1.0f - lh) * top + lh * bottom) - 1.0f;
}

/* tf: u8 as it is, by differences, (v - 128) / 128. */
static float corner_tf(uint8_t a, uint8_t b, uint8_t c, uint8_t d, float lh, float lw)
{
    float top = (float)a + ((float)b - (float)a) * lw, bottom = (float)c + ((float)d - (float)c) * lw;
    return (top + (bottom - top) * lh - 128.0f) / 128.0f;
}

static void resize_row(const uint8_t *top, const uint8_t *bottom, float lh, const Tap *columns, const float unit[256],
                       Resize pipeline, float *y)
{
    for (int j = 0; j < SIDE; j++, y += MAP_BLOCK) {
        int a = columns[j].i0 * CHANNELS, b = columns[j].i1 * CHANNELS;
        for (int c = 0; c < CHANNELS; c++)
            y[c] = pipeline == RESIZE_PT
                       ? corner_pt(unit, top[a + c], top[b + c], bottom[a + c], bottom[b + c], lh, columns[j].l)
                       : corner_tf(top[a + c], top[b + c], bottom[a + c], bottom[b + c], lh, columns[j].l);
        for (int c = CHANNELS; c < MAP_BLOCK; c++)
            y[c] = 0;
    }
}

void cpu_resize_inception(Backend *be, Tensor u8, Resize pipeline, Map y)
{
    int64_t h = u8.shape[1], w = u8.shape[2];
    Tap rows[SIDE], columns[SIDE];
    float unit[256];
    taps((int)h, pipeline, rows);
    taps((int)w, pipeline, columns);
    for (int i = 0; i < 256; i++)
        unit[i] = (float)i / 255.0f;
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int task = 0; task < y.b * SIDE; task++) {
        const uint8_t *image = (const uint8_t *)u8.data + task / SIDE * h * w * CHANNELS;
        const Tap *row = &rows[task % SIDE];
        resize_row(image + row->i0 * w * CHANNELS, image + row->i1 * w * CHANNELS, row->l, columns, unit, pipeline,
                   map_image(&y, task / SIDE) + (size_t)(task % SIDE) * SIDE * MAP_BLOCK);
    }
}
