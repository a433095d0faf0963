/* The samplers at the published sizes, with random weights made here, so no checkpoint is needed.
 *
 *     bench_models l-1step --batch 4 --images 8 [--threads 2] [--precision fp32|tf32|fp16|bf16]
 *     bench_models all --device cuda --precision fp16 --batch 1,16,128,256 --images 512 --png --features
 *
 * One line a recipe and batch size: images a second and milliseconds an image by stage (the median batch), the share of
 * the floor, memory. --png encodes and writes the images as a job does, beside the next batch, and the time until all
 * of them are safely on disk counts; --features takes those of Inception at its real widths from the same pixels. Three
 * batches are a warm-up: scratch and pages, then recordings (kernels/backend.h, replays), then the first replay. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/random_models.h"
#include "bench/recipes.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/philox.h"
#include "kernels/omp_env.h"
#include "tests/procedural.h"
#include "worker/job/writer.h"
#include "worker/models/inception.h"
#include "worker/models/sampler.h"

enum { MAX_BATCHES = 1000, MAX_SIZES = 16, WARM = 3, WRITER_THREADS = 8 };

typedef struct Options {
    const BenchRecipe *recipe; /* NULL: all */
    const char *device;
    Precision precision;
    int batch[MAX_SIZES], sizes;
    int images, threads;
    bool png, features;
} Options;

/* --- options -------------------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: bench_models RECIPE|all [--device cpu] [--precision fp32] [--batch 1,4] [--images 4]\n"
                    "                    [--threads 0] [--png] [--features]\nrecipes:");
    for (size_t i = 0; i < countof(BENCH_RECIPES); i++)
        fprintf(stderr, " %s", BENCH_RECIPES[i].name);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

static bool parse_recipe(const char *name, Options *options)
{
    for (size_t i = 0; i < countof(BENCH_RECIPES); i++)
        if (!strcmp(name, BENCH_RECIPES[i].name))
            options->recipe = &BENCH_RECIPES[i];
    return options->recipe || !strcmp(name, "all");
}

static bool parse_precision(const char *name, Options *options)
{
    static const char *const names[] = {
        [PREC_F32] = "fp32", [PREC_TF32] = "tf32", [PREC_F16] = "fp16", [PREC_BF16] = "bf16"};
    for (size_t i = 0; i < countof(names); i++)
        if (!strcmp(name, names[i])) {
            options->precision = (Precision)i;
            return true;
        }
    return false;
}

static bool parse_batches(const char *text, Options *options)
{
    for (options->sizes = 0; *text && options->sizes < MAX_SIZES; options->sizes++) {
        char *end;
        long value = strtol(text, &end, 10);
        if (end == text || value < 1 || value > 4096 || (*end && *end != ','))
            return false;
        options->batch[options->sizes] = (int)value;
        text = end + (*end == ',');
    }
    return !*text && options->sizes > 0;
}

static bool parse_flag(char **argv, int left, Options *options, int *ret_used)
{
    const char *value = left > 1 ? argv[1] : "";
    *ret_used = 1;
    if (!strcmp(argv[0], "--png"))
        return options->png = true;
    if (!strcmp(argv[0], "--features"))
        return options->features = true;
    *ret_used = 2;
    if (!strcmp(argv[0], "--device"))
        return *(options->device = value);
    if (!strcmp(argv[0], "--precision"))
        return parse_precision(value, options);
    if (!strcmp(argv[0], "--batch"))
        return parse_batches(value, options);
    if (!strcmp(argv[0], "--images"))
        return (options->images = atoi(value)) > 0;
    return !strcmp(argv[0], "--threads") && *value && (options->threads = atoi(value)) >= 0;
}

static bool parse(int argc, char **argv, Options *options)
{
    *options = (Options){.device = "cpu", .batch = {1}, .sizes = 1, .images = 4, .precision = PREC_F32};
    if (argc < 2 || !parse_recipe(argv[1], options))
        return false;
    for (int i = 2, used; i < argc; i += used)
        if (!parse_flag(argv + i, argc - i, options, &used))
            return false;
    return true;
}

/* --- what is timed -------------------------------------------------------------------------------- */

enum { INPUTS, STUDENT, TEACHER, DECODE, FEATURES, WRITE, TOTAL, PROCESSOR, TIMES };
static const char *const stage_names[] = {"inputs",   "student", "teacher", "decode",
                                          "features", "write",   "total",   "cpu"};

typedef struct Timer {
    double since, seconds[TIMES];
    int stage;
} Timer;

static void enter(Timer *timer, int stage)
{
    double t = mono_seconds();
    timer->seconds[timer->stage] += t - timer->since;
    timer->seconds[TOTAL] += t - timer->since;
    timer->since = t;
    timer->stage = stage;
}

static void on_stage(const char *name, void *ctx)
{
    for (int i = 0; i < TOTAL; i++)
        if (!strcmp(stage_names[i], name))
            enter(ctx, i);
}

typedef struct Bench {
    const Options *options;
    const BenchRecipe *recipe;
    int batch;
    Backend *be;
    Sampler *sampler;
    Inception *inception; /* NULL: no features */
    Writer *writer;       /* NULL: no PNGs */
    char folder[32];
    int32_t *labels;
    float *noise, *uniform, *features;
    uint8_t *pixels; /* the batch's, unless the writer takes them */
} Bench;

static SamplerPlan plan_of(const BenchRecipe *recipe)
{
    return (SamplerPlan){.t_list = recipe->t_list,
                         .t_count = recipe->t_count,
                         .split_t = recipe->split_t,
                         .teacher_start_t = recipe->teacher_start_t,
                         .cfg_scale = 2,
                         .cfg_interval = -1,
                         .top_k = 8000,
                         .top_p = 1,
                         .temperature = 1};
}

static void fill_inputs(Bench *bench, int64_t first)
{
    for (int64_t i = 0; i < bench->batch; i++) {
        uint64_t image = (uint64_t)(first + i);
        bench->labels[i] = noise_label(0, image, CLASSES);
        noise_normal(0, image, bench->noise + i * TOKENS * CHANNELS, TOKENS * CHANNELS);
        noise_uniform(0, image, bench->uniform + i * TOKENS, TOKENS);
    }
}

static bool time_batch(Bench *bench, int64_t first, Timer *ret_timer, Err *err)
{
    int side = sampler_info(bench->sampler)->image_size, b = bench->batch;
    size_t bytes = (size_t)b * (size_t)side * (size_t)side * 3;
    SamplerPlan plan = plan_of(bench->recipe);
    ModelBatch batch = {.count = b,
                        .condition = {.labels = bench->labels},
                        .noise = bench->noise,
                        .uniform = bench->uniform,
                        .pixels = bench->writer ? xmalloc(bytes) : bench->pixels};
    *ret_timer = (Timer){.since = mono_seconds(), .stage = INPUTS};
    clock_t before = clock();
    fill_inputs(bench, first);
    bool ok = sampler_run(bench->sampler, &plan, &batch, on_stage, ret_timer, err);
    if (ok && bench->inception) {
        enter(ret_timer, FEATURES);
        ok = inception_run(bench->inception, batch.pixels, b, side, side, RESIZE_PT, bench->features, NULL, NULL, err);
    }
    enter(ret_timer, WRITE);
    if (bench->writer) {
        WriterBatch *made = xcalloc(1, sizeof *made);
        made->lo = first;
        made->count = b;
        made->arrays[ARRAY_PIXELS] = batch.pixels;
        ok = writer_add(bench->writer, made, err) && ok;
    }
    enter(ret_timer, WRITE);
    ret_timer->seconds[PROCESSOR] = (double)(clock() - before) / CLOCKS_PER_SEC;
    return ok;
}

/* --- one batch size ------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static bool open_writer(Bench *bench, Err *err)
{
    strcpy(bench->folder, "/tmp/ddq-bench-XXXXXX");
    if (!mkdtemp(bench->folder))
        return err_set(err, ERR_IO, "no temporary folder: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        char *path = xasprintf("%s/%s", bench->folder, i ? "blocks" : "images");
        mkdir(path, 0700);
        free(path);
    }
    cJSON *made = cJSON_CreateObject();
    WriterPlan plan = {.output = bench->folder,
                       .keeps = {.identity = "bench", .png = true},
                       .side = sampler_info(bench->sampler)->image_size,
                       .made = made,
                       .threads = WRITER_THREADS};
    bench->writer = writer_open(&plan, err);
    cJSON_Delete(made);
    return bench->writer != NULL;
}

static bool open_batch(Bench *bench, Err *err)
{
    size_t b = (size_t)bench->batch, side = (size_t)sampler_info(bench->sampler)->image_size;
    bench->labels = xmalloc(b * sizeof *bench->labels);
    bench->noise = xmalloc(b * TOKENS * CHANNELS * sizeof *bench->noise);
    bench->uniform = xmalloc(b * TOKENS * sizeof *bench->uniform);
    bench->pixels = xmalloc(b * side * side * 3);
    bench->features = bench->inception ? xmalloc(b * (size_t)inception_width(bench->inception) * sizeof(float)) : NULL;
    return sampler_reserve(bench->sampler, bench->batch, err) && (!bench->options->png || open_writer(bench, err));
}

static void close_batch(Bench *bench)
{
    writer_close(bench->writer);
    bench->writer = NULL;
    if (bench->folder[0])
        nftw(bench->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(bench->labels), free(bench->noise), free(bench->uniform), free(bench->pixels), free(bench->features);
    bench->labels = NULL;
    bench->noise = bench->uniform = bench->features = NULL;
    bench->pixels = NULL;
    bench->folder[0] = 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double memory_gb(const Bench *bench, int64_t before)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return backend_is_host(bench->be) ? (double)use.ru_maxrss * 1024 / 1e9
                                      : (double)(backend_counters(bench->be)->allocated_bytes - before) / 1e9;
}

static void print_line(const Bench *bench, double seconds[TIMES][MAX_BATCHES], int batches, double rate, double memory)
{
    double floor = backend_is_host(bench->be) ? 1 / bench->recipe->floor_cpu : bench->recipe->floor_h200;
    printf("%-13s %5d %9.2f %6.1f%%", bench->recipe->name, bench->batch, rate, 100 * rate / floor);
    for (int s = 0; s < TIMES; s++) {
        qsort(seconds[s], (size_t)batches, sizeof(double), compare);
        printf(" %9.3f", 1e3 * seconds[s][batches / 2]);
    }
    printf(" %9.3f %7.2f\n", 1e3 * seconds[TOTAL][0], memory);
    fflush(stdout);
}

/* `before`: bytes the backend had handed out before this recipe's models. */
static bool run_batches(Bench *bench, int64_t before, Err *err)
{
    static double seconds[TIMES][MAX_BATCHES];
    int b = bench->batch, batches = (bench->options->images + b - 1) / b, warm = backend_is_host(bench->be) ? 1 : WARM;
    Timer timer;
    if (batches > MAX_BATCHES)
        return err_set(err, ERR_USAGE, "%d batches, wanted at most %d", batches, MAX_BATCHES);
    for (int i = 0; i < warm; i++)
        if (!time_batch(bench, (int64_t)i * b, &timer, err))
            return false;
    double start = mono_seconds();
    for (int i = 0; i < batches; i++) {
        if (!time_batch(bench, (int64_t)(warm + i) * b, &timer, err))
            return false;
        for (int s = 0; s < TIMES; s++)
            seconds[s][i] = timer.seconds[s] / b;
    }
    if (bench->writer && !writer_finish(bench->writer, err))
        return false;
    double rate = (double)batches * b / (mono_seconds() - start);
    print_line(bench, seconds, batches, rate, memory_gb(bench, before));
    return true;
}

/* --- one recipe ----------------------------------------------------------------------------------- */

static bool run_recipe(Bench *bench, Err *err)
{
    const RandomSize *size = &random_sizes[bench->recipe->size];
    bool needs_teacher = bench->recipe->teacher_start_t >= 0, ok = true;
    RandomModel student = random_transformer(size, true), teacher = random_transformer(size, false);
    RandomModel tokenizer = random_tokenizer();
    Weights from_student = random_weights(&student), from_teacher = random_weights(&teacher);
    Weights from_tokenizer = random_weights(&tokenizer);
    int64_t before = backend_counters(bench->be)->allocated_bytes;
    bench->sampler = sampler_open_weights(&from_student, needs_teacher ? &from_teacher : NULL, &from_tokenizer, 0, GRID,
                                          bench->be, err);
    ok = bench->sampler != NULL;
    int64_t weights = backend_counters(bench->be)->allocated_bytes - before;
    for (int i = 0; ok && i < bench->options->sizes; i++) {
        bench->batch = bench->options->batch[i];
        int64_t smaller = backend_counters(bench->be)->allocated_bytes - weights; /* freed by now */
        ok = open_batch(bench, err) && run_batches(bench, smaller, err);
        close_batch(bench);
    }
    sampler_close(bench->sampler);
    bench->sampler = NULL;
    random_model_free(&student), random_model_free(&teacher), random_model_free(&tokenizer);
    return ok;
}

static bool open_inception(Bench *bench, Backend **ret_be, Err *err)
{
    char path[] = "/tmp/ddq-bench-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return err_set(err, ERR_IO, "no temporary file: %s", strerror(errno));
    close(fd);
    procedural_weights(path, full_widths, 1008);
    bool fp32 = backend_is_host(bench->be) || bench->options->precision == PREC_F32;
    *ret_be = backend_open(bench->options->device, fp32 ? PREC_F32 : PREC_TF32, bench->options->threads, err);
    bench->inception = *ret_be ? inception_open(path, *ret_be, err) : NULL;
    unlink(path);
    return bench->inception != NULL;
}

int main(int argc, char **argv)
{
    Options options;
    Err err = {0};
    omp_env_set(argv);
    if (!parse(argc, argv, &options))
        return usage();
    Bench bench = {.options = &options};
    Backend *feature_be = NULL;
    bench.be = backend_open(options.device, options.precision, options.threads, &err);
    bool ok = bench.be && (!options.features || open_inception(&bench, &feature_be, &err));
    if (ok) {
        printf("%s%s%s\n", backend_device(bench.be)->name, options.png ? ", PNGs written" : "",
               options.features ? ", with features" : "");
        printf("%-13s %5s %9s %7s", "recipe", "batch", "img/s", "floor");
        for (int s = 0; s < TIMES; s++)
            printf(" %9s", stage_names[s]);
        printf(" %9s %7s   (ms an image, GB)\n", "fastest", "memory");
    }
    for (size_t i = 0; ok && i < countof(BENCH_RECIPES); i++) {
        bench.recipe = options.recipe ? options.recipe : &BENCH_RECIPES[i];
        ok = run_recipe(&bench, &err);
        if (options.recipe)
            break;
    }
    if (!ok)
        fprintf(stderr, "bench_models: %s\n", err.text);
    inception_close(bench.inception);
    backend_close(feature_be);
    backend_close(bench.be);
    return ok ? EXIT_OK : err_exit_code(err.kind);
}
