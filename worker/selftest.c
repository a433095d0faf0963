/* A table of named checks; each is ok or one sentence. To add one: a function, a row. */
#include "worker/selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/philox.h"
#include "kernels/backend.h"
#include "worker/images/images.h"
#include "worker/metrics/fid.h"

typedef struct Self {
    const char *device;
    int threads;
} Self;

static bool check_ops(const Self *self, Precision precision, Err *err)
{
    Backend *be = backend_open(self->device, precision, self->threads, err);
    bool good = be && backend_selftest(be, err);
    backend_close(be);
    return good;
}

static bool check_fp32(const Self *self, Err *err)
{
    return check_ops(self, PREC_F32, err);
}

static bool check_tf32(const Self *self, Err *err)
{
    return check_ops(self, PREC_TF32, err);
}

static bool check_fp16(const Self *self, Err *err)
{
    return check_ops(self, PREC_F16, err);
}

static bool check_bf16(const Self *self, Err *err)
{
    return check_ops(self, PREC_BF16, err);
}

/* The published known answer of Philox 4x32-10 for all bits set. */
static bool check_noise(const Self *self, Err *err)
{
    (void)self;
    static const uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u}, wanted[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    uint32_t got[4];
    philox4x32(ones, ones, got);
    return memcmp(got, wanted, sizeof got) == 0 ||
           err_set(err, ERR_INTERNAL, "Philox gives %08x, wanted %08x", got[0], wanted[0]);
}

static bool check_png(const Self *self, Err *err)
{
    (void)self;
    enum { SIDE = 9, BYTES = SIDE * SIDE * 3 };
    uint8_t rgb[BYTES], *data = NULL;
    for (int i = 0; i < BYTES; i++)
        rgb[i] = (uint8_t)(i * 89 + i / 7);
    size_t size = 0;
    Image image = {0};
    bool good =
        image_encode_png(rgb, SIDE, SIDE, &data, &size, err) && image_decode_png(data, size, "selftest", &image, err);
    if (good && (image.width != SIDE || image.height != SIDE || memcmp(image.rgb, rgb, BYTES) != 0))
        good = err_set(err, ERR_INTERNAL, "an image does not come back from its PNG as it was");
    image_free(&image);
    free(data);
    return good;
}

/* The distance of two sets that differ in their mean alone is the square of that difference. */
static bool check_fid(const Self *self, Err *err)
{
    (void)self;
    enum { ROWS = 40, WIDTH = 6 };
    float rows[ROWS * WIDTH];
    Statistics *stats[2] = {NULL, NULL};
    bool good = true;
    for (int set = 0; good && set < 2; set++) {
        for (int i = 0; i < ROWS * WIDTH; i++)
            rows[i] = (float)(i * i % 31) * 0.125f + (float)set;
        Moments *moments = moments_new(WIDTH);
        good = moments_add(moments, rows, ROWS, err) && moments_finish(moments, &stats[set], err);
        moments_free(moments);
    }
    Frechet frechet;
    good = good && frechet_distance(stats[0], stats[1], &frechet, err);
    if (good && !(fabs(frechet.fid - WIDTH) < 1e-6))
        good = err_set(err, ERR_INTERNAL, "the FID of two known sets is %.9g, wanted %d", frechet.fid, WIDTH);
    statistics_free(stats[0]);
    statistics_free(stats[1]);
    return good;
}

static const struct {
    const char *name;
    bool (*run)(const Self *self, Err *err);
    bool optional; /* a refusal for lack of support is a skip */
} checks[] = {
    {"ops fp32", check_fp32, false}, {"ops tf32", check_tf32, true}, {"ops fp16", check_fp16, true},
    {"ops bf16", check_bf16, true},  {"noise", check_noise, false},  {"png", check_png, false},
    {"fid", check_fid, false},
};

int selftest(const char *device, int threads)
{
    const Self self = {device, threads};
    int failed = 0;
    for (size_t i = 0; i < countof(checks); i++) {
        Err err = {0};
        bool good = checks[i].run(&self, &err);
        bool skipped = !good && checks[i].optional && (err.kind == ERR_USAGE || err.kind == ERR_REFUSED);
        printf("%-10s %s%s\n", checks[i].name, good ? "ok" : skipped ? "skipped: " : "FAILED: ", good ? "" : err.text);
        failed += !good && !skipped;
    }
    return failed ? EXIT_ERROR : EXIT_OK;
}
