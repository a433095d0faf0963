/* How fast the ops are at the shapes of the published models: one line an op with its median time and rate, and what the
 * parts of one image take together.
 *
 *     bench_ops [--precision f32|bf16] [--threads N] [--repeat N] [--clock wall|cpu] [PART ...]     see `parts` below
 *
 * Every row says how often one image needs the op; a part's sum is the time of one image in that part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "kernels/backend.h"

typedef enum Kind { CONV, GROUP_NORM, PIXEL_ATTENTION, TO_U8, LINEAR, RMS_NORM, SWIGLU, ROPE, ATTENTION, ARGMAX, NEAREST, PICK, MOMENTS, RESIZE, POOL_3 } Kind;

enum { UP = 1, SUM = 2, SILU = 4, RELU = 8 };

/* a,b,c,d by kind: CONV side, c_in, c_out, kernel*10+kernel; norms side or rows, width; LINEAR rows, n, k. */
typedef struct Row {
    const char *part;
    Kind kind;
    int a, b, c, d, flags;
    int images; /* one call serves so many */
    double count; /* calls an image needs */
} Row;

static const Row rows[] = {
    {"decoder", CONV, 16, 8, 256, 11, 0, 1, 1},
    {"decoder", CONV, 16, 256, 512, 33, 0, 1, 1},
    {"decoder", CONV, 16, 512, 512, 33, 0, 1, 5},
    {"decoder", CONV, 16, 512, 512, 33, SUM, 1, 5},
    {"decoder", CONV, 16, 512, 512, 11, 0, 1, 16},
    {"decoder", CONV, 16, 512, 512, 33, UP, 1, 1},
    {"decoder", CONV, 32, 512, 256, 33, 0, 1, 1},
    {"decoder", CONV, 32, 512, 256, 11, 0, 1, 1},
    {"decoder", CONV, 32, 256, 256, 33, 0, 1, 2},
    {"decoder", CONV, 32, 256, 256, 33, SUM, 1, 3},
    {"decoder", CONV, 32, 256, 256, 33, UP, 1, 1},
    {"decoder", CONV, 64, 256, 256, 33, 0, 1, 3},
    {"decoder", CONV, 64, 256, 256, 33, SUM, 1, 3},
    {"decoder", CONV, 64, 256, 256, 33, UP, 1, 1},
    {"decoder", CONV, 128, 256, 128, 33, 0, 1, 1},
    {"decoder", CONV, 128, 256, 128, 11, 0, 1, 1},
    {"decoder", CONV, 128, 128, 128, 33, 0, 1, 2},
    {"decoder", CONV, 128, 128, 128, 33, SUM, 1, 3},
    {"decoder", CONV, 128, 128, 128, 33, UP, 1, 1},
    {"decoder", CONV, 256, 128, 128, 33, 0, 1, 3},
    {"decoder", CONV, 256, 128, 128, 33, SUM, 1, 3},
    {"decoder", CONV, 256, 128, 3, 33, 0, 1, 1},
    {"decoder", GROUP_NORM, 16, 512, 0, 0, SILU, 1, 14},
    {"decoder", GROUP_NORM, 32, 512, 0, 0, SILU, 1, 1},
    {"decoder", GROUP_NORM, 32, 256, 0, 0, SILU, 1, 5},
    {"decoder", GROUP_NORM, 64, 256, 0, 0, SILU, 1, 6},
    {"decoder", GROUP_NORM, 128, 256, 0, 0, SILU, 1, 1},
    {"decoder", GROUP_NORM, 128, 128, 0, 0, SILU, 1, 5},
    {"decoder", GROUP_NORM, 256, 128, 0, 0, SILU, 1, 7},
    {"decoder", PIXEL_ATTENTION, 16, 512, 0, 0, 0, 1, 4},
    {"decoder", TO_U8, 256, 0, 0, 0, 0, 1, 1},

    {"student-b", LINEAR, 256, 2304, 768, 0, 0, 1, 12},
    {"student-b", LINEAR, 256, 768, 768, 0, SUM, 1, 12},
    {"student-b", LINEAR, 256, 4096, 768, 0, 0, 1, 12},
    {"student-b", LINEAR, 256, 768, 2048, 0, SUM, 1, 12},
    {"student-b", RMS_NORM, 256, 768, 0, 0, 0, 1, 25},
    {"student-b", SWIGLU, 256, 2048, 0, 0, 0, 1, 12},
    {"student-b", ROPE, 256, 12, 0, 0, 0, 1, 12},
    {"student-b", ATTENTION, 256, 12, 256, 0, 0, 1, 12},
    {"student-b", ARGMAX, 80, 16384, 768, 0, 0, 1, 1},

    {"student-l", LINEAR, 256, 3072, 1024, 0, 0, 1, 24},
    {"student-l", LINEAR, 256, 1024, 1024, 0, SUM, 1, 24},
    {"student-l", LINEAR, 256, 5632, 1024, 0, 0, 1, 24},
    {"student-l", LINEAR, 256, 1024, 2816, 0, SUM, 1, 24},
    {"student-l", RMS_NORM, 256, 1024, 0, 0, 0, 1, 49},
    {"student-l", SWIGLU, 256, 2816, 0, 0, 0, 1, 24},
    {"student-l", ROPE, 256, 16, 0, 0, 0, 1, 24},
    {"student-l", ATTENTION, 256, 16, 256, 0, 0, 1, 24},
    {"student-l", ARGMAX, 130, 16384, 1024, 0, 0, 1, 1},

    /* 16 guided images, one token each at position 128; counts are for one token of one image */
    {"teacher-l", LINEAR, 32, 3072, 1024, 0, 0, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 1024, 1024, 0, SUM, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 5632, 1024, 0, 0, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 1024, 2816, 0, SUM, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 16, 16384, 1024, 0, 0, 16, 1 / 16.0},
    {"teacher-l", ATTENTION, 1, 16, 256, 128, 0, 32, 24 / 16.0},
    {"teacher-l", PICK, 16, 16384, 0, 0, 0, 16, 1 / 16.0},

    {"codes", NEAREST, 256, 16384, 8, 0, 0, 1, 1},

    {"features", RESIZE, 256, 0, 0, 0, 0, 1, 1},
    {"features", CONV, 299, 3, 32, 33, RELU, 1, 1},
    {"features", CONV, 149, 32, 32, 33, RELU, 1, 1},
    {"features", CONV, 147, 32, 64, 33, RELU, 1, 1},
    {"features", CONV, 73, 80, 192, 33, RELU, 1, 1},
    {"features", CONV, 35, 192, 64, 11, RELU, 1, 9},
    {"features", CONV, 35, 48, 64, 55, RELU, 1, 3},
    {"features", CONV, 35, 96, 96, 33, RELU, 1, 7},
    {"features", CONV, 17, 768, 192, 11, RELU, 1, 12},
    {"features", CONV, 17, 160, 160, 17, RELU, 1, 12},
    {"features", CONV, 17, 160, 192, 71, RELU, 1, 12},
    {"features", CONV, 8, 1280, 448, 11, RELU, 1, 8},
    {"features", CONV, 8, 448, 384, 33, RELU, 1, 2},
    {"features", CONV, 8, 384, 384, 13, RELU, 1, 8},
    {"features", POOL_3, 35, 288, 0, 0, 0, 1, 3},
    {"features", MOMENTS, 64, 2048, 0, 0, 0, 64, 1 / 64.0},
};

static Backend *be;
static int repeat = 9;
static bool cpu_time; /* --clock cpu: of the process, so that others on the machine do not count; with one thread */

static void die(const char *what, const Err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(EXIT_FAILURE);
}

static void *memory(size_t bytes)
{
    Err err = {0};
    float *values = be_alloc(be, bytes, &err);
    float *host = xmalloc(bytes);
    if (!values)
        die("memory", &err);
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        host[i] = (float)((double)(i * 2654435761u % 65536) / 32768 - 1);
    be_upload(be, (Tensor){.data = values, .dtype = DTYPE_F32, .ndim = 1, .shape = {(int64_t)(bytes / 4)}}, host);
    be_check(be, NULL);
    free(host);
    return values;
}

static Tensor tensor(int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = tensor_f32(NULL, ndim, a, b, c, d);
    t.data = memory(tensor_bytes(&t) + 64);
    return t;
}

static Map map(int b, int h, int w, int c)
{
    Map m = {.data = memory(be_map_bytes(be, b, h, w, c)), .b = b, .h = h, .w = w, .c = c};
    Tensor host = tensor(2, (int64_t)b * h * w, c, 0, 0);
    be_map_from_rows(be, host, m); /* clean padding */
    be_free(be, host.data);
    return m;
}

/* All that any row may need; what a row does not use stays empty. */
typedef struct Job {
    const Row *row;
    Map x, y;
    Tensor t[5];
    Linear *linear;
    Conv *conv;
    double flops; /* of one call */
} Job;

static void prepare_conv(Job *job)
{
    const Row *r = job->row;
    const bool up = r->flags & UP, valid = (r->flags & RELU) && r->d == 33;
    const ConvShape s = {.c_in = r->b, .c_out = r->c, .kh = r->d / 10, .kw = r->d % 10, .stride = r->a == 299 ? 2 : 1,
                         .pad_h = valid ? 0 : r->d / 20, .pad_w = valid ? 0 : r->d % 10 / 2, .relu = r->flags & RELU, .upsample = up};
    int out = ((up ? 2 : 1) * r->a + 2 * s.pad_h - s.kh) / s.stride + 1;
    int out_w = ((up ? 2 : 1) * r->a + 2 * s.pad_w - s.kw) / s.stride + 1;
    size_t taps = (size_t)s.c_in * (size_t)s.c_out * (size_t)s.kh * (size_t)s.kw;
    float *w = xcalloc(taps, sizeof(*w));
    for (size_t i = 0; i < taps; i++)
        w[i] = (float)(i % 17) / 170 - 0.05f;
    Err err = {0};
    job->conv = be_conv_pack(be, w, w, &s, r->a, r->a, &err);
    if (!job->conv)
        die("conv", &err);
    job->x = map(1, r->a, r->a, r->b);
    job->y = map(1, out, out_w, r->c);
    job->flops = 2.0 * out * out_w * (double)taps;
    free(w);
}

static void prepare_linear(Job *job, int64_t n_rows, int64_t n, int64_t k)
{
    Err err = {0};
    float *w = xcalloc((size_t)(n * k), sizeof(*w));
    for (int64_t i = 0; i < n * k; i++)
        w[i] = (float)(i % 17) / 170 - 0.05f;
    job->linear = be_linear_pack(be, w, NULL, n, k, &err);
    if (!job->linear)
        die("linear", &err);
    free(w);
    job->t[0] = tensor(2, n_rows, k, 0, 0);
    job->t[1] = tensor(2, n_rows, n, 0, 0);
    job->flops = 2.0 * (double)n_rows * (double)n * (double)k;
}

static Tensor ids(int64_t n)
{
    Tensor t = tensor(1, n, 0, 0, 0);
    t.dtype = DTYPE_I32;
    return t;
}

static void prepare_attention(Job *job)
{
    const Row *r = job->row;
    int64_t b = r->a == 1 ? r->images : 1, d = r->b * 64;
    job->t[0] = tensor(3, b, r->a, d, 0);
    job->t[1] = tensor(4, b, r->b, r->c, 64);
    job->t[2] = tensor(4, b, r->b, r->c, 64);
    job->t[3] = tensor(2, b, d, 0, 0);
    job->t[4] = tensor(3, b, r->a, d, 0);
    double keys = r->d + (r->a + 1) / 2.0;
    job->flops = 4.0 * (double)b * r->a * (double)d * keys;
}

static void prepare(Job *job)
{
    const Row *r = job->row;
    switch (r->kind) {
    case CONV:
        prepare_conv(job);
        break;
    case GROUP_NORM:
    case PIXEL_ATTENTION:
        job->x = map(1, r->a, r->a, r->b);
        job->y = map(1, r->a, r->a, r->b);
        job->t[0] = tensor(1, r->b, 0, 0, 0);
        if (r->kind == PIXEL_ATTENTION)
            job->flops = 4.0 * r->a * r->a * r->a * r->a * r->b;
        break;
    case TO_U8:
        job->x = map(1, r->a, r->a, 3);
        job->t[0] = (Tensor){.data = memory((size_t)r->a * (size_t)r->a * 4), .dtype = DTYPE_U8, .ndim = 4, .shape = {1, r->a, r->a, 3}};
        break;
    case LINEAR:
    case ARGMAX:
        prepare_linear(job, r->a, r->b, r->c);
        job->t[2] = ids(r->a);
        break;
    case RMS_NORM:
        job->t[0] = tensor(2, r->a, r->b, 0, 0);
        job->t[1] = tensor(2, r->a, r->b, 0, 0);
        break;
    case SWIGLU:
        job->t[0] = tensor(2, r->a, 2 * r->b, 0, 0);
        job->t[1] = tensor(2, r->a, r->b, 0, 0);
        break;
    case ROPE:
        job->t[0] = tensor(3, 1, r->a, 3 * r->b * 64, 0);
        job->t[1] = tensor(3, r->a, 32, 2, 0);
        job->t[2] = tensor(3, 1, r->a, r->b * 64, 0);
        job->t[3] = tensor(4, 1, r->b, r->a, 64);
        job->t[4] = tensor(4, 1, r->b, r->a, 64);
        break;
    case ATTENTION:
        prepare_attention(job);
        break;
    case NEAREST:
        job->t[0] = tensor(2, r->a, r->c, 0, 0);
        job->t[1] = tensor(2, r->b, r->c, 0, 0);
        job->t[2] = ids(r->a);
        job->flops = 3.0 * r->a * r->b * r->c;
        break;
    case PICK:
        job->t[0] = tensor(2, r->a, r->b, 0, 0);
        job->t[1] = tensor(1, r->a, 0, 0, 0);
        job->t[2] = ids(r->a);
        break;
    case MOMENTS:
        job->t[0] = tensor(2, r->a, r->b, 0, 0);
        job->t[1] = (Tensor){.data = memory((size_t)r->b * 8), .dtype = DTYPE_F64, .ndim = 1, .shape = {r->b}};
        job->t[2] = (Tensor){.data = memory((size_t)r->b * (size_t)r->b * 8), .dtype = DTYPE_F64, .ndim = 2, .shape = {r->b, r->b}};
        job->flops = (double)r->a * r->b * r->b;
        break;
    case RESIZE:
        job->t[0] = (Tensor){.data = memory((size_t)r->a * (size_t)r->a * 4), .dtype = DTYPE_U8, .ndim = 4, .shape = {1, r->a, r->a, 3}};
        job->y = map(1, 299, 299, 3);
        break;
    case POOL_3:
        job->x = map(1, r->a, r->a, r->b);
        job->y = map(1, r->a, r->a, r->b);
        break;
    }
}

static void call(const Job *job)
{
    const Row *r = job->row;
    const Tensor *t = job->t;
    switch (r->kind) {
    case CONV:
        be_conv(be, job->conv, job->x, r->flags & SUM ? job->y : (Map){0}, job->y);
        break;
    case GROUP_NORM:
        be_group_norm(be, job->x, t[0], t[0], 32, r->flags & SILU, job->y);
        break;
    case PIXEL_ATTENTION:
        be_pixel_attention(be, job->x, job->x, job->x, 0.05f, job->y);
        break;
    case TO_U8:
        be_to_u8(be, job->x, t[0]);
        break;
    case LINEAR:
        be_linear(be, job->linear, t[0], t[1], r->flags & SUM);
        break;
    case RMS_NORM:
        be_rms_norm(be, t[0], (Tensor){0}, t[1]);
        break;
    case SWIGLU:
        be_swiglu(be, t[0], t[1]);
        break;
    case ROPE:
        be_rope_split(be, t[0], t[1], r->b, 0, t[2], t[3], t[4]);
        break;
    case ATTENTION:
        be_attention(be, t[0], t[1], t[2], t[3], r->b, r->d, t[4]);
        break;
    case ARGMAX:
        be_argmax_linear(be, job->linear, t[0], t[2], (Tensor){0});
        break;
    case NEAREST:
        be_nearest_code(be, t[0], t[1], t[2]);
        break;
    case PICK:
        be_pick(be, t[0], 8000, 1, 1, t[1], t[2], (Tensor){0});
        break;
    case MOMENTS:
        be_moments(be, t[0], t[1], t[2]);
        break;
    case RESIZE:
        be_resize_inception(be, t[0], RESIZE_PT, job->y);
        break;
    case POOL_3:
        be_pool(be, job->x, POOL_AVG, 3, 1, 1, job->y);
        break;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and least of some calls after one to warm up, in seconds. Where others use the machine too, the least says what
 * the code can do. */
static double measure(const Job *job, double *ret_least)
{
    Err err = {0};
    double *seconds = xcalloc((size_t)repeat, sizeof(*seconds));
    call(job);
    if (!be_check(be, &err))
        die("warm-up", &err);
    for (int i = 0; i < repeat; i++) {
        double start = now();
        call(job);
        be_check(be, NULL);
        seconds[i] = now() - start;
    }
    qsort(seconds, (size_t)repeat, sizeof(*seconds), rising);
    double median = seconds[repeat / 2];
    *ret_least = seconds[0];
    free(seconds);
    return median;
}

static void release(Job *job)
{
    be_linear_free(be, job->linear);
    be_conv_free(be, job->conv);
    be_free(be, job->x.data);
    be_free(be, job->y.data);
    for (size_t i = 0; i < countof(job->t); i++)
        be_free(be, job->t[i].data);
}

static double run_row(const Row *row, double *least_sum)
{
    static const char *const names[] = {"conv", "group_norm", "pixel_attention", "to_u8", "linear", "rms_norm", "swiglu", "rope_split",
                                        "attention", "argmax_linear", "nearest_code", "pick", "moments", "resize", "pool"};
    Job job = {.row = row};
    prepare(&job);
    double least, seconds = measure(&job, &least);
    char shape[64];
    snprintf(shape, sizeof(shape), "%d,%d,%d,%d%s%s", row->a, row->b, row->c, row->d, row->flags & UP ? " up" : "", row->flags & SUM ? " sum" : "");
    printf("  %-16s %-20s %8.3f ms, least %8.3f ms %6.1f GF/s  x %-6.3g = %7.2f ms an image, least %7.2f\n", names[row->kind],
           shape, seconds * 1e3, least * 1e3, job.flops / least / 1e9, row->count, seconds * row->count * 1e3,
           least * row->count * 1e3);
    *least_sum += least * row->count;
    fflush(stdout);
    release(&job);
    return seconds * row->count;
}

static void run_part(const char *part)
{
    double sum = 0, least = 0;
    printf("%s\n", part);
    for (size_t i = 0; i < countof(rows); i++)
        if (!strcmp(rows[i].part, part))
            sum += run_row(&rows[i], &least);
    printf("  %-16s %.1f ms an image, least %.1f\n", "sum", sum * 1e3, least * 1e3);
}

static const char *const parts[] = {"decoder", "student-b", "student-l", "teacher-l", "codes", "features"};

int main(int argc, char **argv)
{
    Precision precision = PREC_F32;
    int threads = 0, first = 1;
    for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2) {
        if (!strcmp(argv[first], "--precision"))
            precision = !strcmp(argv[first + 1], "bf16") ? PREC_BF16 : PREC_F32;
        else if (!strcmp(argv[first], "--threads"))
            threads = atoi(argv[first + 1]);
        else if (!strcmp(argv[first], "--clock"))
            cpu_time = !strcmp(argv[first + 1], "cpu");
        else if (!strcmp(argv[first], "--repeat"))
            repeat = atoi(argv[first + 1]);
    }
    Err err = {0};
    be = backend_open("cpu", precision, threads, &err);
    if (!be)
        die("backend", &err);
    for (size_t i = 0; i < countof(parts); i++) {
        bool wanted = first >= argc;
        for (int j = first; j < argc; j++)
            wanted = wanted || !strcmp(argv[j], parts[i]);
        if (wanted)
            run_part(parts[i]);
    }
    backend_close(be);
    return EXIT_SUCCESS;
}
