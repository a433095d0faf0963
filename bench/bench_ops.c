/* How fast the ops are at the shapes of the published models: one line an op with its median time and rate, and what
 * the parts of one image take together.
 *
 *     bench_ops [--device cpu] [--precision fp32|tf32|fp16|bf16] [--batch N] [--threads N] [--repeat N]
 *               [--clock wall|cpu] [PART ...]                                    parts and shapes: ops_shapes.h
 *
 * --batch: images in a call (a device is not filled by one). A device gets several calls before it is waited for.
 *
 * Every row says how often one image needs the op; a part's sum is the time of one image in that part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/ops_shapes.h"
#include "core/mem.h"
#include "kernels/backend.h"

static Backend *be;
static int repeat = 9, images = 1, calls = 1; /* calls: before the backend is waited for */
static bool cpu_time; /* --clock cpu: of the process, which excludes other processes; with one thread */

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

static float *weights(size_t n)
{
    float *w = xcalloc(n, sizeof(*w));
    for (size_t i = 0; i < n; i++)
        w[i] = (float)(i % 17) / 170 - 0.05f;
    return w;
}

static Tensor tensor(int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = tensor_f32(NULL, ndim, a, b, c, d);
    t.data = memory(tensor_bytes(&t) + 64);
    return t;
}

static FeatureMap map(int b, int h, int w, int c)
{
    FeatureMap m = {.data = memory(be_map_bytes(be, b, h, w, c)), .b = b, .h = h, .w = w, .c = c};
    Tensor host = tensor(2, (int64_t)b * h * w, c, 0, 0);
    be_map_from_rows(be, host, m); /* clean padding */
    be_free(be, host.data);
    return m;
}

/* All that any row may need; what a row does not use stays empty. */
typedef struct Job {
    const Row *row;
    FeatureMap x, y;
    Tensor t[5];
    Linear *linear;
    Conv *conv;
    double flops; /* of one call */
} Job;

/* --- one pair of functions a kind --------------------------------------------------------------------- */

static Tensor none(void)
{
    return (Tensor){0};
}

static Tensor typed(Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = {.dtype = dtype, .ndim = ndim, .shape = {a, b, c, d}};
    t.data = memory((tensor_bytes(&t) + 63) / 64 * 64);
    return t;
}

static void prepare_conv(Job *job)
{
    const Row *r = job->row;
    const bool up = r->flags & UP, valid = (r->flags & RELU) && r->d == 33; /* the evaluator's 3x3 have no border */
    const ConvShape s = {.c_in = r->b,
                         .c_out = r->c,
                         .kh = r->d / 10,
                         .kw = r->d % 10,
                         .stride = r->a == 299 ? 2 : 1,
                         .pad_h = valid ? 0 : r->d / 20,
                         .pad_w = valid ? 0 : r->d % 10 / 2,
                         .relu = r->flags & RELU,
                         .upsample = up};
    int out_h = ((up ? 2 : 1) * r->a + 2 * s.pad_h - s.kh) / s.stride + 1;
    int out_w = ((up ? 2 : 1) * r->a + 2 * s.pad_w - s.kw) / s.stride + 1;
    size_t taps = (size_t)s.c_in * (size_t)s.c_out * (size_t)s.kh * (size_t)s.kw;
    float *w = weights(taps);
    Err err = {0};
    job->conv = be_conv_pack(be, w, w, &s, r->a, r->a, &err);
    if (!job->conv)
        die("conv", &err);
    job->x = map(images, r->a, r->a, r->b);
    job->y = map(images, out_h, out_w, r->c);
    job->flops = 2.0 * images * out_h * out_w * (double)taps;
    free(w);
}

static void call_conv(const Job *job)
{
    be_conv(be, job->conv, job->x, job->row->flags & SUM ? job->y : (FeatureMap){0}, job->y);
}

static void prepare_maps(Job *job)
{
    const Row *r = job->row;
    job->x = map(images, r->a, r->a, r->b);
    job->y = map(images, r->a, r->a, r->b);
    job->t[0] = tensor(1, r->b, 0, 0, 0);
}

static void call_group_norm(const Job *job)
{
    be_group_norm(be, job->x, job->t[0], job->t[0], 32, job->row->flags & SILU, job->y);
}

static void prepare_pixel_attention(Job *job)
{
    prepare_maps(job);
    job->flops = 4.0 * images * job->row->a * job->row->a * job->row->a * job->row->a * job->row->b;
}

static void call_pixel_attention(const Job *job)
{
    be_pixel_attention(be, job->x, job->x, job->x, 0.05f, job->y);
}

static void call_pool(const Job *job)
{
    be_pool(be, job->x, POOL_AVG, 3, 1, 1, job->y);
}

static void prepare_to_u8(Job *job)
{
    job->x = map(images, job->row->a, job->row->a, 3);
    job->t[0] = typed(DTYPE_U8, 4, images, job->row->a, job->row->a, 3);
}

static void call_to_u8(const Job *job)
{
    be_to_u8(be, job->x, job->t[0]);
}

static void prepare_resize(Job *job)
{
    job->t[0] = typed(DTYPE_U8, 4, images, job->row->a, job->row->a, 3);
    job->y = map(images, 299, 299, 3);
}

static void call_resize(const Job *job)
{
    be_resize_inception(be, job->t[0], RESIZE_PT, job->y);
}

static void prepare_linear(Job *job)
{
    const Row *r = job->row;
    Err err = {0};
    float *w = weights((size_t)r->b * (size_t)r->c);
    job->linear = be_linear_pack(be, w, NULL, r->b, r->c, &err);
    if (!job->linear)
        die("linear", &err);
    free(w);
    int64_t rows_in = (int64_t)r->a * images;
    job->t[0] = tensor(2, rows_in, r->c, 0, 0);
    job->t[1] = tensor(2, rows_in, r->b, 0, 0);
    job->t[2] = typed(DTYPE_I32, 1, rows_in, 0, 0, 0);
    job->flops = 2.0 * (double)rows_in * r->b * r->c;
}

static void call_linear(const Job *job)
{
    be_linear(be, job->linear, job->t[0], job->t[1], job->row->flags & SUM);
}

static void call_argmax(const Job *job)
{
    be_argmax_linear(be, job->linear, job->t[0], job->t[2], none());
}

static void prepare_rows(Job *job)
{
    job->t[0] = tensor(2, (int64_t)job->row->a * images, 2 * job->row->b, 0, 0);
    job->t[1] = tensor(2, (int64_t)job->row->a * images, job->row->b, 0, 0);
}

static void call_rms_norm(const Job *job)
{
    be_rms_norm(be, job->t[1], none(), job->t[1]);
}

static void call_swiglu(const Job *job)
{
    be_swiglu(be, job->t[0], job->t[1]);
}

static void prepare_rope(Job *job)
{
    const Row *r = job->row;
    job->t[0] = tensor(3, images, r->a, 3 * r->b * 64, 0);
    job->t[1] = tensor(3, r->a, 32, 2, 0);
    job->t[2] = tensor(3, images, r->a, r->b * 64, 0);
    job->t[3] = tensor(4, images, r->b, r->a, 64);
    job->t[4] = tensor(4, images, r->b, r->a, 64);
}

static void call_rope(const Job *job)
{
    const Tensor *t = job->t;
    be_rope_split(be, t[0], t[1], job->row->b, 0, t[2], t[3], t[4]);
}

/* rows of an image, heads, positions of the cache, first position */
static void prepare_attention(Job *job)
{
    const Row *r = job->row;
    int64_t b = (int64_t)images * (r->a == 1 ? r->images : 1), d = r->b * 64;
    job->t[0] = tensor(3, b, r->a, d, 0);
    job->t[1] = tensor(4, b, r->b, r->c, 64);
    job->t[2] = tensor(4, b, r->b, r->c, 64);
    job->t[3] = tensor(2, b, d, 0, 0);
    job->t[4] = tensor(3, b, r->a, d, 0);
    job->flops = 4.0 * (double)b * r->a * (double)d * (r->d + (r->a + 1) / 2.0);
}

static void call_attention(const Job *job)
{
    const Tensor *t = job->t;
    be_attention(be, t[0], t[1], t[2], t[3], job->row->b, job->row->d, t[4]);
}

static void prepare_nearest(Job *job)
{
    const Row *r = job->row;
    job->t[0] = tensor(2, (int64_t)r->a * images, r->c, 0, 0);
    job->t[1] = tensor(2, r->b, r->c, 0, 0);
    job->t[2] = typed(DTYPE_I32, 1, (int64_t)r->a * images, 0, 0, 0);
    job->flops = 3.0 * images * r->a * r->b * r->c;
}

static void call_nearest(const Job *job)
{
    be_nearest_code(be, job->t[0], job->t[1], job->t[2]);
}

static void prepare_pick(Job *job)
{
    job->t[0] = tensor(2, (int64_t)job->row->a * images, job->row->b, 0, 0);
    job->t[1] = tensor(1, (int64_t)job->row->a * images, 0, 0, 0);
    job->t[2] = typed(DTYPE_I32, 1, (int64_t)job->row->a * images, 0, 0, 0);
}

static void call_pick(const Job *job)
{
    be_sample(be, job->t[0], 8000, 1, 1, job->t[1], job->t[2], none());
}

static const struct {
    const char *name;
    void (*prepare)(Job *job);
    void (*call)(const Job *job);
} kinds[] = {
    [CONV] = {"conv", prepare_conv, call_conv},
    [GROUP_NORM] = {"group_norm", prepare_maps, call_group_norm},
    [PIXEL_ATTENTION] = {"pixel_attention", prepare_pixel_attention, call_pixel_attention},
    [TO_U8] = {"to_u8", prepare_to_u8, call_to_u8},
    [LINEAR] = {"linear", prepare_linear, call_linear},
    [RMS_NORM] = {"rms_norm", prepare_rows, call_rms_norm},
    [SWIGLU] = {"swiglu", prepare_rows, call_swiglu},
    [ROPE] = {"rope_split", prepare_rope, call_rope},
    [ATTENTION] = {"attention", prepare_attention, call_attention},
    [ARGMAX] = {"argmax_linear", prepare_linear, call_argmax},
    [NEAREST] = {"nearest_code", prepare_nearest, call_nearest},
    [PICK] = {"pick", prepare_pick, call_pick},
    [RESIZE] = {"resize", prepare_resize, call_resize},
    [POOL_3] = {"pool", prepare_maps, call_pool},
};

/* --- measuring ---------------------------------------------------------------------------------------- */

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

/* Median and least of some calls after one to warm up, in seconds. On a busy machine the least is the best estimate. */
static double measure(const Job *job, double *ret_least)
{
    Err err = {0};
    double *seconds = xcalloc((size_t)repeat, sizeof(*seconds));
    kinds[job->row->kind].call(job);
    if (!be_check(be, &err))
        die("warm-up", &err);
    for (int i = 0; i < repeat; i++) {
        double start = now();
        for (int j = 0; j < calls; j++)
            kinds[job->row->kind].call(job);
        be_check(be, NULL);
        seconds[i] = (now() - start) / calls;
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
    Job job = {.row = row};
    kinds[row->kind].prepare(&job);
    double least, seconds = measure(&job, &least);
    char shape[64];
    snprintf(shape, sizeof(shape), "%d,%d,%d,%d%s%s", row->a, row->b, row->c, row->d, row->flags & UP ? " up" : "",
             row->flags & SUM ? " sum" : "");
    printf("  %-16s %-20s %8.3f ms, least %8.3f ms %6.1f GF/s  x %-6.3g = %7.2f ms an image, least %7.2f\n",
           kinds[row->kind].name, shape, seconds * 1e3, least * 1e3, job.flops / least / 1e9, row->count,
           seconds * row->count / images * 1e3, least * row->count / images * 1e3);
    *least_sum += least * row->count / images;
    fflush(stdout);
    release(&job);
    return seconds * row->count / images;
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

static bool parse_precision(const char *name, Precision *ret_precision)
{
    static const char *const names[] = {
        [PREC_F32] = "fp32", [PREC_TF32] = "tf32", [PREC_F16] = "fp16", [PREC_BF16] = "bf16"};
    for (size_t i = 0; i < countof(names); i++)
        if (!strcmp(name, names[i])) {
            *ret_precision = (Precision)i;
            return true;
        }
    return false;
}

static bool parse_flag(const char *flag, const char *value, const char **device, Precision *precision, int *threads)
{
    const struct {
        const char *name;
        int *to;
    } numbers[] = {{"--batch", &images}, {"--threads", threads}, {"--repeat", &repeat}};
    for (size_t i = 0; i < countof(numbers); i++)
        if (!strcmp(flag, numbers[i].name))
            return (*numbers[i].to = atoi(value)) > 0;
    if (!strcmp(flag, "--device"))
        return (*device = value) != NULL;
    if (!strcmp(flag, "--precision"))
        return parse_precision(value, precision);
    cpu_time = !strcmp(value, "cpu");
    return !strcmp(flag, "--clock");
}

int main(int argc, char **argv)
{
    const char *device = "cpu";
    Precision precision = PREC_F32;
    int threads = 0, first = 1;
    for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2)
        if (!parse_flag(argv[first], argv[first + 1], &device, &precision, &threads)) {
            fprintf(stderr, "bench_ops: %s %s is not understood; the top of bench/bench_ops.c has the flags\n",
                    argv[first], argv[first + 1]);
            return EXIT_USAGE;
        }
    Err err = {0};
    be = backend_open(device, precision, threads, &err);
    if (!be)
        die("backend", &err);
    calls = backend_is_host(be) ? 1 : 20;
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
