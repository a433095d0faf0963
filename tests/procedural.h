/* Weights and images by formula (tests/golden/inception/README.md): networks of any widths without files of weights.
 * For tests and benchmarks. */
#ifndef TESTS_PROCEDURAL_H
#define TESTS_PROCEDURAL_H

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "worker/models/inception_table.h"

#define GOLDEN_SEED 20261123ULL

/* --- the generator ------------------------------------------------------------------------------- */

/* Value i of the stream named `key`, in [0,1). */
static inline uint64_t stream_open(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3ULL;
    return hash ^ GOLDEN_SEED * 0x9E3779B97F4A7C15ULL;
}

static inline double stream_at(uint64_t stream, uint64_t i)
{
    uint64_t z = stream + (i + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (double)(z >> 40) / 16777216.0;
}

/* --- safetensors, written ------------------------------------------------------------------------ */

/* A safetensors file under construction: header entries and, after them, the data. */
typedef struct WeightFile {
    Buf header, data;
} WeightFile;

static inline void weight_file_add(WeightFile *file, const char *name, int ndim, const int64_t *shape,
                                   const float *values)
{
    int64_t count = 1;
    buf_printf(&file->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", file->header.len ? "," : "{", name);
    for (int i = 0; i < ndim; i++) {
        buf_printf(&file->header, "%s%lld", i ? "," : "", (long long)shape[i]);
        count *= shape[i];
    }
    size_t bytes = (size_t)count * sizeof(float);
    buf_printf(&file->header, "],\"data_offsets\":[%zu,%zu]}", file->data.len, file->data.len + bytes);
    buf_add(&file->data, values, bytes);
}

static inline void weight_file_write(WeightFile *file, const char *path)
{
    buf_printf(&file->header, "}");
    while (file->header.len % 8)
        buf_printf(&file->header, " ");
    uint64_t size = file->header.len;
    FILE *out = fopen(path, "wb");
    assert(out);
    bool ok = fwrite(&size, 8, 1, out) == 1 && fwrite(file->header.data, file->header.len, 1, out) == 1 &&
              fwrite(file->data.data, file->data.len, 1, out) == 1;
    ok = fclose(out) == 0 && ok;
    assert(ok);
    buf_free(&file->header);
    buf_free(&file->data);
}

/* --- the full-width network, by formula ---------------------------------------------------------- */

/* Real widths, unit by unit in the order of the table. */
static const int full_widths[INCEPTION_UNITS] = {
    32,  32,  64,  80,  192,                          /* stem */
    64,  48,  64,  64,  96,  96,  32,                 /* Mixed_5b */
    64,  48,  64,  64,  96,  96,  64,                 /* 5c */
    64,  48,  64,  64,  96,  96,  64,                 /* 5d */
    384, 64,  96,  96,                                /* 6a */
    192, 128, 128, 192, 128, 128, 128, 128, 192, 192, /* 6b */
    192, 160, 160, 192, 160, 160, 160, 160, 192, 192, /* 6c */
    192, 160, 160, 192, 160, 160, 160, 160, 192, 192, /* 6d */
    192, 192, 192, 192, 192, 192, 192, 192, 192, 192, /* 6e */
    192, 320, 192, 192, 192, 192,                     /* 7a */
    320, 384, 384, 384, 448, 384, 384, 384, 192,      /* 7b */
    320, 384, 384, 384, 448, 384, 384, 384, 192,      /* 7c */
};

typedef struct Procedure {
    const char *name;
    double base, slope; /* value = base + slope * (u or v) */
    bool centred;       /* v = 2u-1 instead of u */
} Procedure;

static inline void procedural_tensor(WeightFile *file, const char *prefix, const Procedure *rule, int ndim,
                                     const int64_t *shape)
{
    char *key = xasprintf("%s.%s", prefix, rule->name);
    int64_t count = 1;
    for (int i = 0; i < ndim; i++)
        count *= shape[i];
    float *values = xmalloc(sizeof(float) * (size_t)count);
    uint64_t stream = stream_open(key);
    for (int64_t i = 0; i < count; i++) {
        double u = stream_at(stream, (uint64_t)i);
        values[i] = (float)(rule->base + rule->slope * (rule->centred ? 2 * u - 1 : u));
    }
    weight_file_add(file, key, ndim, shape, values);
    free(values);
    free(key);
}

static inline void procedural_unit(WeightFile *file, const char *block, const Unit *unit, int c_in, int c_out)
{
    static const Procedure batch_norm[] = {{"bn.weight", 0.75, 0.5, false},
                                           {"bn.bias", 0, 0.5, true},
                                           {"bn.running_mean", 0, 0.3, true},
                                           {"bn.running_var", 0.6, 0.8, false}};
    const Geometry *g = &inception_geometry[unit->kernel];
    char *prefix = xasprintf("%s%s%s", block, *unit->name ? "." : "", unit->name);
    int64_t shape[4] = {c_out, c_in, g->kh, g->kw};
    Procedure conv = {"conv.weight", 0, sqrt(6.0 / (double)(c_in * g->kh * g->kw)), true};
    procedural_tensor(file, prefix, &conv, 4, shape);
    for (size_t i = 0; i < countof(batch_norm); i++)
        procedural_tensor(file, prefix, &batch_norm[i], 1, shape);
    free(prefix);
}

/* Writes the network's weights: each width of `widths`, fc with its bias. */
static inline void procedural_weights(const char *path, const int *widths, int classes)
{
    WeightFile file = {{0}, {0}};
    int unit_index = 0, c_in = 3;
    for (int b = 0; b < INCEPTION_BLOCKS; b++) {
        const Block *block = &inception_blocks[b];
        int c_out = 0;
        for (int i = 0; i < block->count; i++) {
            const Branch *branch = &block->branches[i];
            int c = c_in, parts = 0;
            for (const Unit *unit = branch->chain; unit->name; unit++) {
                procedural_unit(&file, block->name, unit, c, widths[unit_index]);
                c = widths[unit_index++];
            }
            for (const Unit *unit = branch->ends; unit->name; unit++) {
                procedural_unit(&file, block->name, unit, c, widths[unit_index]);
                parts += widths[unit_index++];
            }
            c_out += parts ? parts : c;
        }
        c_in = c_out;
    }
    assert(unit_index == INCEPTION_UNITS);
    static const Procedure fc[] = {{"weight", 0, 0.05, true}, {"bias", 0, 0.2, true}};
    procedural_tensor(&file, "fc", &fc[0], 2, (int64_t[]){classes, c_in});
    procedural_tensor(&file, "fc", &fc[1], 1, (int64_t[]){classes});
    weight_file_write(&file, path);
}

/* img/0 and img/1: 256x256. */
static inline uint8_t *procedural_image(const char *key)
{
    enum { SIDE = 256 };
    uint8_t *rgb = xmalloc(SIDE * SIDE * 3);
    char *pattern_key = xasprintf("%s/p", key);
    uint64_t noise = stream_open(key), pattern = stream_open(pattern_key);
    for (int y = 0, i = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++, i++) {
                double o = 0;
                for (int j = 0; j < 4; j++) {
                    double p[3];
                    for (int k = 0; k < 3; k++)
                        p[k] = stream_at(pattern, (uint64_t)((c * 4 + j) * 3 + k));
                    double t = y * (1 + floor(7 * p[0])) / SIDE + x * (1 + floor(7 * p[1])) / SIDE + p[2];
                    o += fabs(t - floor(t) - 0.5);
                }
                rgb[i] = (uint8_t)floor(100 * o + 55 * stream_at(noise, (uint64_t)i));
            }
    free(pattern_key);
    return rgb;
}

#endif
