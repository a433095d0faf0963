/* Bytes against maps: rounding to u8, and Inception's two input pipelines.
 *
 * These results are compared bit for bit with other programs, so the arithmetic is f32 in exactly the order written.
 * This file is compiled without contraction (CMakeLists.txt): a fused multiply-add would round once where the
 * reference rounds twice. */
#include <string.h>

#include "kernels/cpu/cpu.h"

void cpu_to_u8(Backend *be, FeatureMap x, Tensor u8)
{
    int64_t pixels = (int64_t)x.h * x.w;
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t i = 0; i < x.b * pixels; i++) {
        const float *in = map_image(&x, (int)(i / pixels)) + i % pixels * BLOCK;
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

/* Source rows after their columns were mixed. Neighbouring output rows read the same two, so each is made once. */
typedef struct Mixed {
    const uint8_t *of[2]; /* the source row each holds */
    float values[2][SIDE * CHANNELS];
} Mixed;

/* pt: u8/255, (1-l) a + l b; tf: u8 as it is, a + (b-a) l. unit: what a byte is worth. */
static void mix_columns(const uint8_t *row, const Tap *columns, const float unit[256], Resize pipeline, float *mixed)
{
    for (int j = 0; j < SIDE; j++, mixed += CHANNELS) {
        const uint8_t *left = row + columns[j].i0 * CHANNELS, *right = row + columns[j].i1 * CHANNELS;
        float l = columns[j].l;
        for (int c = 0; c < CHANNELS; c++) {
            float a = unit[left[c]], b = unit[right[c]];
            mixed[c] = pipeline == RESIZE_PT ? (1.0f - l) * a + l * b : a + (b - a) * l;
        }
    }
}

static const float *mixed_row(Mixed *mixed, const uint8_t *row, const Tap *columns, const float unit[256],
                              Resize pipeline, const uint8_t *keep)
{
    for (int i = 0; i < 2; i++)
        if (mixed->of[i] == row)
            return mixed->values[i];
    int i = mixed->of[0] == keep ? 1 : 0;
    mix_columns(row, columns, unit, pipeline, mixed->values[i]);
    mixed->of[i] = row;
    return mixed->values[i];
}

/* pt: (1-l) top + l bottom, then 2v - 1; tf: top + (bottom-top) l, then (v - 128) / 128. */
CPU_CLONES static void mix_rows(const float *restrict top, const float *restrict bottom, float l, Resize pipeline,
                                float *restrict y)
{
    float line[SIDE * CHANNELS];
    if (pipeline == RESIZE_PT)
        for (int k = 0; k < SIDE * CHANNELS; k++)
            line[k] = 2.0f * ((1.0f - l) * top[k] + l * bottom[k]) - 1.0f;
    else
        for (int k = 0; k < SIDE * CHANNELS; k++)
            line[k] = (top[k] + (bottom[k] - top[k]) * l - 128.0f) / 128.0f;
    for (int j = 0; j < SIDE; j++) {
        memset(y + j * BLOCK, 0, BLOCK * sizeof(float));
        memcpy(y + j * BLOCK, line + j * CHANNELS, CHANNELS * sizeof(float));
    }
}

void cpu_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y)
{
    int64_t h = u8.shape[1], w = u8.shape[2];
    Tap rows[SIDE], columns[SIDE];
    float unit[256];
    taps((int)h, pipeline, rows);
    taps((int)w, pipeline, columns);
    for (int i = 0; i < 256; i++)
        unit[i] = pipeline == RESIZE_PT ? (float)i / 255.0f : (float)i;
#pragma omp parallel num_threads(cpu_of(be)->threads)
    {
        Mixed mixed = {.of = {NULL, NULL}};
#pragma omp for schedule(static)
        for (int task = 0; task < y.b * SIDE; task++) {
            const uint8_t *image = (const uint8_t *)u8.data + task / SIDE * h * w * CHANNELS;
            const Tap *row = &rows[task % SIDE];
            const uint8_t *above = image + row->i0 * w * CHANNELS, *below = image + row->i1 * w * CHANNELS;
            const float *top = mixed_row(&mixed, above, columns, unit, pipeline, below);
            const float *bottom = mixed_row(&mixed, below, columns, unit, pipeline, above);
            mix_rows(top, bottom, row->l, pipeline, map_image(&y, task / SIDE) + (size_t)(task % SIDE) * SIDE * BLOCK);
        }
    }
}
