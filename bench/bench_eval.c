/* Evaluation on the CPU, measured: PNG out and in, the Inception network at its real widths, moments, the distance.
 *
 *     bench_eval [SECTION ...]          png source inception moments frechet; default: all
 *     SOURCE=FOLDER bench_eval source   images of one's own
 *
 * One line a measurement: what, median of wall time, unit, how many runs, fastest and slowest, and the median of the
 * processor time all threads took, which other programs on the machine hardly affect. docs/dev/speed.md records them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "kernels/omp_env.h"
#include "tests/procedural.h"
#include "worker/images/reader.h"
#include "worker/metrics/fid.h"
#include "worker/models/inception.h"

enum { MAX_RUNS = 400, SIDE = 256, WIDTH = 2048 };

static void must(bool ok, const Err *err)
{
    if (!ok) {
        fprintf(stderr, "bench_eval: %s\n", err->text);
        exit(EXIT_ERROR);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Runs `work` `runs` times after one that is not counted; reports the median of per-call seconds times `scale`. */
static double measure(const char *name, const char *unit, double scale, int runs, void (*work)(void *ctx), void *ctx)
{
    double seconds[MAX_RUNS], cpu[MAX_RUNS];
    work(ctx);
    for (int i = 0; i < runs; i++) {
        double start = mono_seconds(), cpu_start = cpu_seconds();
        work(ctx);
        seconds[i] = mono_seconds() - start;
        cpu[i] = cpu_seconds() - cpu_start;
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    qsort(cpu, (size_t)runs, sizeof *cpu, by_value);
    double median = seconds[runs / 2];
    printf("%-44s %9.3f %-6s median of %d, %.3f to %.3f; processor %.3f\n", name, median * scale, unit, runs,
           seconds[0] * scale, seconds[runs - 1] * scale, cpu[runs / 2] * scale);
    fflush(stdout);
    return median;
}

/* --- PNG ----------------------------------------------------------------------------------------- */

typedef struct PngWork {
    uint8_t *rgb, *data;
    size_t size;
    Backend *be;
    Tensor u8;
    FeatureMap input;
} PngWork;

static void encode_work(void *ctx)
{
    PngWork *w = ctx;
    Err err = {0};
    free(w->data);
    must(image_encode_png(w->rgb, SIDE, SIDE, &w->data, &w->size, &err), &err);
}

static void decode_work(void *ctx)
{
    PngWork *w = ctx;
    Err err = {0};
    Image image;
    must(image_decode_png(w->data, w->size, "bench", &image, &err), &err);
    image_free(&image);
}

static void decode_resize_work(void *ctx)
{
    PngWork *w = ctx;
    Err err = {0};
    Image image;
    must(image_decode_png(w->data, w->size, "bench", &image, &err), &err);
    be_upload(w->be, w->u8, image.rgb);
    be_resize_inception(w->be, w->u8, RESIZE_PT, w->input);
    must(be_check(w->be, &err), &err);
    image_free(&image);
}

static void bench_png(void)
{
    Err err = {0};
    PngWork w = {.rgb = procedural_image("img/0"), .be = backend_open("cpu", PREC_F32, 1, &err)};
    must(w.be != NULL, &err);
    w.u8 = (Tensor){be_alloc(w.be, SIDE * SIDE * 3, &err), DTYPE_U8, 4, {1, SIDE, SIDE, 3}};
    w.input = (FeatureMap){be_alloc(w.be, be_map_bytes(w.be, 1, INCEPTION_SIDE, INCEPTION_SIDE, 3), &err), 1,
                           INCEPTION_SIDE, INCEPTION_SIDE, 3};
    measure("PNG encode, 256x256, one core", "ms", 1e3, 200, encode_work, &w);
    printf("%-44s %9zu %-6s of %d\n", "PNG size", w.size, "bytes", SIDE * SIDE * 3);
    measure("PNG decode, one core", "ms", 1e3, 200, decode_work, &w);
    double seconds = measure("PNG decode and resize to 299, one core", "ms", 1e3, 200, decode_resize_work, &w);
    printf("%-44s %9.0f img/s\n", "", 1 / seconds);
    be_free(w.be, w.u8.data);
    be_free(w.be, w.input.data);
    backend_close(w.be);
    free(w.rgb);
    free(w.data);
}

/* --- sources: what reading ahead costs before the network sees an image --------------------------------- */

static void read_work(void *ctx)
{
    ImageSource *source = ctx;
    Err err = {0};
    int64_t count = image_source_count(source);
    ImageReader *reader = image_reader_open(source, 0, count, &err);
    must(reader != NULL, &err);
    for (int64_t i = 0; i < count; i++) {
        Image image;
        uint8_t hash[IMAGE_HASH];
        must(image_reader_next(reader, &image, hash, &err), &err);
        image_free(&image);
    }
    image_reader_close(reader);
}

static void make_images(const char *folder, int count)
{
    uint8_t *rgb = procedural_image("img/0");
    for (int i = 0; i < count; i++) {
        Err err = {0};
        char path[96];
        snprintf(path, sizeof path, "%s/%d.png", folder, i);
        must(image_write_png(path, rgb, SIDE, SIDE, false, &err), &err);
    }
    free(rgb);
}

static void bench_source(void)
{
    enum { IMAGES = 200 };
    Err err = {0};
    char made[] = "/tmp/ddq-bench-XXXXXX", command[96];
    const char *folder = getenv("SOURCE");
    if (!folder) {
        folder = mkdtemp(made);
        make_images(folder, IMAGES);
    }
    ImageSource *source = image_source_open(folder, &err);
    must(source != NULL, &err);
    double count = (double)image_source_count(source);
    double seconds = measure("images read ahead and hashed, each", "ms", 1e3 / count, 7, read_work, source);
    printf("%-44s %9.0f img/s\n", "", count / seconds);
    image_source_close(source);
    snprintf(command, sizeof command, "rm -r %s", made);
    if (folder == made && system(command) != 0)
        fprintf(stderr, "bench_eval: %s stays\n", made);
}

/* --- Inception ----------------------------------------------------------------------------------- */

typedef struct NetWork {
    Inception *net;
    uint8_t *rgb;
    float pool3[WIDTH];
} NetWork;

static void net_work(void *ctx)
{
    NetWork *w = ctx;
    Err err = {0};
    must(inception_run(w->net, w->rgb, 1, SIDE, SIDE, RESIZE_PT, w->pool3, NULL, NULL, &err), &err);
}

static void bench_inception(void)
{
    Err err = {0};
    char path[] = "/tmp/ddq-bench-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        exit(EXIT_ERROR);
    close(fd);
    procedural_weights(path, full_widths, 1008);
    NetWork w = {.rgb = procedural_image("img/0")};
    for (int threads = 0; threads < 2; threads++) {
        Backend *be = backend_open("cpu", PREC_F32, threads, &err);
        must(be != NULL, &err);
        double start = mono_seconds();
        w.net = inception_open(path, be, &err);
        must(w.net != NULL, &err);
        printf("%-44s %9.3f s\n", "Inception, open and pack", mono_seconds() - start);
        double seconds = measure(threads ? "Inception, an image, 1 thread" : "Inception, an image, all threads", "ms",
                                 1e3, 40, net_work, &w);
        printf("%-44s %9.2f img/s     %.0f GFLOP/s of direct convolution\n", "", 1 / seconds, 11.43 / seconds);
        inception_close(w.net);
        backend_close(be);
    }
    unlink(path);
    free(w.rgb);
}

/* --- moments and distance ------------------------------------------------------------------------ */

typedef struct FidWork {
    Moments *moments;
    float *rows;
    Statistics *a, *b;
} FidWork;

static void moments_work(void *ctx)
{
    FidWork *w = ctx;
    Err err = {0};
    must(moments_add(w->moments, w->rows, MOMENTS_GROUP, &err), &err);
}

static void frechet_work(void *ctx)
{
    FidWork *w = ctx;
    Err err = {0};
    Frechet f;
    must(frechet_distance(w->a, w->b, &f, &err), &err);
}

/* Statistics of n rows that resemble features: patterns, noise, a floor at 0. */
static Statistics *features(const char *key, int n)
{
    Err err = {0};
    uint64_t stream = stream_open(key), pattern = stream_open("pattern");
    Moments *m = moments_new(WIDTH);
    float row[WIDTH];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < WIDTH; j++) {
            double x = 0.35 + stream_at(stream, (uint64_t)i * WIDTH + (uint64_t)j) - 0.5 +
                       0.4 * (2 * stream_at(pattern, (uint64_t)j) - 1) * stream_at(stream, (uint64_t)i);
            row[j] = (float)(x > 0 ? x : 0);
        }
        must(moments_add(m, row, 1, &err), &err);
    }
    Statistics *stats;
    must(moments_finish(m, &stats, &err), &err);
    moments_free(m);
    return stats;
}

static void bench_moments(void)
{
    FidWork w = {.moments = moments_new(WIDTH), .rows = xmalloc(sizeof(float) * MOMENTS_GROUP * WIDTH)};
    uint64_t stream = stream_open("rows");
    for (int i = 0; i < MOMENTS_GROUP * WIDTH; i++)
        w.rows[i] = (float)stream_at(stream, (uint64_t)i);
    double seconds = measure("moments, 500 rows of 2048", "ms", 1e3, 20, moments_work, &w);
    printf("%-44s %9.3f ms/img\n", "", seconds * 1e3 / MOMENTS_GROUP);
    moments_free(w.moments);
    free(w.rows);
}

static void bench_frechet(void)
{
    FidWork w = {.a = features("a", 3000), .b = features("b", 2500)};
    measure("Frechet distance, 2048, full rank", "s", 1, 7, frechet_work, &w);
    statistics_free(w.a);
    w.a = features("a", 1000);
    measure("Frechet distance, 2048, one of rank 999", "s", 1, 7, frechet_work, &w);
    statistics_free(w.b);
    w.b = features("b", 1100);
    measure("Frechet distance, 2048, both deficient", "s", 1, 7, frechet_work, &w);
    statistics_free(w.a);
    statistics_free(w.b);
}

int main(int argc, char **argv)
{
    omp_env_set(argv);
    static const struct {
        const char *name;
        void (*run)(void);
    } sections[] = {{"png", bench_png},
                    {"source", bench_source},
                    {"inception", bench_inception},
                    {"moments", bench_moments},
                    {"frechet", bench_frechet}};
    for (size_t i = 0; i < countof(sections); i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++)
            wanted = wanted || strcmp(argv[k], sections[i].name) == 0;
        if (wanted)
            sections[i].run();
    }
    return EXIT_OK;
}
