/* The samplers at the published sizes, with random weights made here, so no checkpoint is needed.
 *
 *     bench_models l-1step --batch 4 --images 8 [--threads 2] [--precision fp32|bf16]
 *
 * One batch warms up (scratch, pages), then every batch is timed, classes met for the first time included. Prints
 * seconds an image of each stage (the median batch and the fastest), processor time of all threads together (which
 * neighbours on the machine hardly change), the share of the floor, and the memory the process ever held. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "kernels/settle.h"
#include "worker/noise.h"
#include "worker/sampler.h"
#include "worker/weights.h"

enum { CODES = 16384, CHANNELS = 8, CLASSES = 1000, GRID = 16, TOKENS = GRID * GRID, MAX_BATCHES = 1000 };

/* --- random weights ------------------------------------------------------------------------------- */

typedef struct Entry {
    char name[64];
    int ndim;
    int64_t shape[4];
    float spread; /* values are uniform with this standard deviation, around `mean` */
    float mean;
} Entry;

typedef struct Model {
    Entry *entries;
    int count;
} Model;

static void add(Model *model, const char *name, float mean, float spread, int ndim, int64_t a, int64_t b, int64_t c,
                int64_t d)
{
    model->entries = xrealloc(model->entries, (size_t)(model->count + 1) * sizeof(Entry));
    Entry entry = {.ndim = ndim, .shape = {a, b, c, d}, .spread = spread, .mean = mean};
    snprintf(entry.name, sizeof entry.name, "%s", name);
    model->entries[model->count++] = entry;
}

static void add_matrix(Model *model, const char *name, int64_t n, int64_t k)
{
    add(model, name, 0, 1 / sqrtf((float)k), 2, n, k, 0, 0);
}

static void add_conv(Model *model, const char *block, const char *conv, int64_t c_in, int64_t c_out, int kernel)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s.weight", block, conv);
    add(model, name, 0, 1 / sqrtf((float)(c_in * kernel * kernel)), 4, c_out, c_in, kernel, kernel);
    snprintf(name, sizeof name, "%s%s.bias", block, conv);
    add(model, name, 0, 0.1f, 1, c_out, 0, 0, 0);
}

static void add_norm(Model *model, const char *block, const char *norm, int64_t c)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s.weight", block, norm);
    add(model, name, 1, 0.1f, 1, c, 0, 0, 0);
    snprintf(name, sizeof name, "%s%s.bias", block, norm);
    add(model, name, 0, 0.1f, 1, c, 0, 0, 0);
}

typedef struct Size {
    const char *name;
    int layers, width, hidden;
} Size;
static const Size SIZES[] = {{"b", 12, 768, 2048}, {"l", 24, 1024, 2816}};

static Model transformer_model(const Size *size, bool student)
{
    Model model = {0};
    int64_t d = size->width, f = size->hidden;
    for (int i = 0; i < size->layers; i++) {
        char name[64];
        const struct {
            const char *leaf;
            int64_t n, k;
        } rows[] = {{"attention.wqkv", 3 * d, d},
                    {"attention.wo", d, d},
                    {"feed_forward.w1", f, d},
                    {"feed_forward.w3", f, d},
                    {"feed_forward.w2", d, f}};
        for (size_t r = 0; r < countof(rows); r++) {
            snprintf(name, sizeof name, "layers.%d.%s.weight", i, rows[r].leaf);
            add_matrix(&model, name, rows[r].n, rows[r].k);
        }
        snprintf(name, sizeof name, "layers.%d.attention_norm.weight", i);
        add(&model, name, 1, 0.1f, 1, d, 0, 0, 0);
        snprintf(name, sizeof name, "layers.%d.ffn_norm.weight", i);
        add(&model, name, 1, 0.1f, 1, d, 0, 0, 0);
    }
    add(&model, "norm.weight", 1, 0.1f, 1, d, 0, 0, 0);
    add_matrix(&model, "output.weight", CODES, d);
    add(&model, "cls_embedding.embedding_table.weight", 0, 0.5f, 2, CLASSES + 1, d, 0, 0);
    add(&model, "tok_embeddings.weight", 0, 0.5f, 2, student ? d : CODES, student ? CHANNELS : d, 0, 0);
    if (!student)
        return model;
    add(&model, "tok_embeddings.bias", 0, 0.1f, 1, d, 0, 0, 0);
    add(&model, "n_d_embed.weight", 0, 0.1f, 2, 2, d, 0, 0);
    add(&model, "final_layer_conti.scale_shift_table", 0, 0.1f, 2, 2, d, 0, 0);
    add_matrix(&model, "final_layer_conti.linear.weight", CHANNELS, d);
    add(&model, "final_layer_conti.linear.bias", 0, 0.1f, 1, CHANNELS, 0, 0, 0);
    return model;
}

static void add_res(Model *model, const char *block, int64_t c_in, int64_t c_out)
{
    add_norm(model, block, "norm1", c_in);
    add_conv(model, block, "conv1", c_in, c_out, 3);
    add_norm(model, block, "norm2", c_out);
    add_conv(model, block, "conv2", c_out, c_out, 3);
    if (c_in != c_out)
        add_conv(model, block, "nin_shortcut", c_in, c_out, 1);
}

static void add_attn(Model *model, const char *block, int64_t c)
{
    static const char *const convs[] = {"q", "k", "v", "proj_out"};
    add_norm(model, block, "norm", c);
    for (size_t i = 0; i < countof(convs); i++)
        add_conv(model, block, convs[i], c, c, 1);
}

/* VQ-16: base width 128, multipliers 1,1,2,2,4, z 256. */
static Model tokenizer_model(void)
{
    static const int widths[] = {512, 256, 256, 128, 128}; /* from the top */
    Model model = {0};
    int64_t c = widths[0];
    add(&model, "quantize.embedding.weight", 0, 1, 2, CODES, CHANNELS, 0, 0);
    add_conv(&model, "", "post_quant_conv", CHANNELS, 256, 1);
    add_conv(&model, "decoder.", "conv_in", 256, c, 3);
    add_res(&model, "decoder.mid.0.", c, c);
    add_attn(&model, "decoder.mid.1.", c);
    add_res(&model, "decoder.mid.2.", c, c);
    for (int i = 0; i < (int)countof(widths); i++) {
        char block[64];
        for (int j = 0; j < 3; j++) {
            snprintf(block, sizeof block, "decoder.conv_blocks.%d.res.%d.", i, j);
            add_res(&model, block, c, widths[i]);
            c = widths[i];
            snprintf(block, sizeof block, "decoder.conv_blocks.%d.attn.%d.", i, j);
            if (i == 0)
                add_attn(&model, block, c);
        }
        snprintf(block, sizeof block, "decoder.conv_blocks.%d.upsample.", i);
        if (i + 1 < (int)countof(widths))
            add_conv(&model, block, "conv", c, c, 3);
    }
    add_norm(&model, "decoder.", "norm_out", c);
    add_conv(&model, "decoder.", "conv_out", c, 3, 3);
    return model;
}

static const Entry *find(const Model *model, const char *name)
{
    for (int i = 0; i < model->count; i++)
        if (!strcmp(model->entries[i].name, name))
            return &model->entries[i];
    return NULL;
}

static bool random_has(const void *ctx, const char *name)
{
    return find(ctx, name) != NULL;
}

static bool random_shape(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    const Entry *entry = find(ctx, name);
    if (!entry || entry->ndim != ndim)
        return err_set(err, ERR_INTERNAL, "random weights: no %s with %d axes", name, ndim);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] != -1 && shape[i] != entry->shape[i])
            return err_set(err, ERR_INTERNAL, "random weights: axis %d of %s is %lld, wanted %lld", i, name,
                           (long long)entry->shape[i], (long long)shape[i]);
        shape[i] = entry->shape[i];
    }
    return true;
}

static bool random_read(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    int64_t want[4] = {0}, count = 1;
    for (int i = 0; i < ndim; i++)
        count *= want[i] = shape[i];
    if (!random_shape(ctx, name, ndim, want, err))
        return false;
    const Entry *entry = find(ctx, name);
    uint64_t x = 0x9E3779B97F4A7C15u ^ (uint64_t)(entry - ((const Model *)ctx)->entries);
    for (int64_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        dst[i] = entry->mean + entry->spread * 3.4641016f * ((float)(x >> 40) * 0x1p-24f - 0.5f);
    }
    return true;
}

static Weights weights_of_model(const Model *model)
{
    return (Weights){"random weights", model, random_has, random_shape, random_read};
}

/* --- recipes -------------------------------------------------------------------------------------- */

typedef struct Recipe {
    const char *name;
    int size; /* row of SIZES */
    int t_count, t_list[2], split_t, teacher_start_t;
    double floor; /* seconds an image on two Zen 4 cores, fp32 */
} Recipe;

static const Recipe RECIPES[] = {
    {"b-1step", 0, 1, {0}, 80, -1, 0.69},          {"b-2step", 0, 2, {0, 80}, 80, -1, 0.75},
    {"l-1step", 1, 1, {0}, 130, -1, 1.23},         {"l-2step", 1, 2, {0, 80}, 130, -1, 1.44},
    {"l-teacher-22", 1, 2, {0, 80}, 180, 60, 1.7}, {"l-teacher-42", 1, 2, {0, 80}, 180, 40, 1.7},
    {"l-teacher-81", 1, 2, {0, 80}, 220, 0, 1.8},
};

typedef struct Options {
    const Recipe *recipe;
    int batch, images, threads;
    Precision precision;
} Options;

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_models RECIPE [--batch 1] [--images 4] [--threads 0] [--precision fp32|bf16]\nrecipes:");
    for (size_t i = 0; i < countof(RECIPES); i++)
        fprintf(stderr, " %s", RECIPES[i].name);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

static bool parse(int argc, char **argv, Options *options)
{
    *options = (Options){.batch = 1, .images = 4, .precision = PREC_F32};
    for (size_t i = 0; argc > 1 && i < countof(RECIPES); i++)
        if (!strcmp(argv[1], RECIPES[i].name))
            options->recipe = &RECIPES[i];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--batch"))
            options->batch = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--images"))
            options->images = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--threads"))
            options->threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--precision") && !strcmp(argv[i + 1], "bf16"))
            options->precision = PREC_BF16;
        else if (strcmp(argv[i], "--precision") || strcmp(argv[i + 1], "fp32"))
            return false;
    }
    return options->recipe && argc % 2 == 0 && options->batch > 0 && options->images > 0;
}

/* --- timing --------------------------------------------------------------------------------------- */

enum { STUDENT, TEACHER, DECODE, TOTAL, PROCESSOR, TIMES };
static const char *const STAGES[] = {"student", "teacher", "decode", "total", "processor"};

typedef struct Timer {
    double since, seconds[TIMES];
    int stage; /* TOTAL: none yet */
} Timer;

static void lap(Timer *timer)
{
    double t = mono_seconds();
    if (timer->stage != TOTAL)
        timer->seconds[timer->stage] += t - timer->since;
    timer->seconds[TOTAL] += t - timer->since;
    timer->since = t;
}

static void on_stage(const char *name, void *ctx)
{
    Timer *timer = ctx;
    lap(timer);
    for (int i = 0; i < TOTAL; i++)
        if (!strcmp(STAGES[i], name))
            timer->stage = i;
}

static bool time_batch(Sampler *sampler, const Options *options, int first, Timer *ret_timer, Err *err)
{
    size_t b = (size_t)options->batch;
    const Recipe *recipe = options->recipe;
    SamplerPlan plan = {.t_list = recipe->t_list,
                        .t_count = recipe->t_count,
                        .split_t = recipe->split_t,
                        .teacher_start_t = recipe->teacher_start_t,
                        .cfg_scale = 2,
                        .cfg_interval = -1,
                        .top_k = 8000,
                        .top_p = 1,
                        .temperature = 1};
    int32_t *labels = xmalloc(b * sizeof *labels);
    float *noise = xmalloc(b * TOKENS * CHANNELS * sizeof *noise), *uniform = xmalloc(b * TOKENS * sizeof *uniform);
    size_t side = (size_t)sampler_info(sampler)->image_size;
    uint8_t *pixels = xmalloc(b * side * side * 3);
    for (size_t i = 0; i < b; i++) {
        labels[i] = noise_label(0, (uint64_t)first + i, CLASSES);
        noise_normal(0, (uint64_t)first + i, noise + i * TOKENS * CHANNELS, TOKENS * CHANNELS);
        noise_uniform(0, (uint64_t)first + i, uniform + i * TOKENS, TOKENS);
    }
    SamplerBatch batch = {
        .count = options->batch, .labels = labels, .noise = noise, .uniform = uniform, .pixels = pixels};
    *ret_timer = (Timer){.since = mono_seconds(), .stage = TOTAL};
    clock_t before = clock();
    bool ok = sampler_run(sampler, &plan, &batch, on_stage, ret_timer, err);
    lap(ret_timer);
    ret_timer->seconds[PROCESSOR] = (double)(clock() - before) / CLOCKS_PER_SEC;
    free(labels), free(noise), free(uniform), free(pixels);
    return ok;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool run(Sampler *sampler, const Options *options, Err *err)
{
    static double seconds[TIMES][MAX_BATCHES];
    int batches = (options->images + options->batch - 1) / options->batch;
    Timer timer;
    if (batches > MAX_BATCHES || !sampler_reserve(sampler, options->batch, err) ||
        !time_batch(sampler, options, 0, &timer, err))
        return false;
    for (int i = 0; i < batches; i++) {
        if (!time_batch(sampler, options, i * options->batch, &timer, err))
            return false;
        for (int s = 0; s < TIMES; s++)
            seconds[s][i] = timer.seconds[s] / options->batch;
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    for (int s = 0; s < TIMES; s++) {
        qsort(seconds[s], (size_t)batches, sizeof(double), compare);
        printf("%-9s %8.3f s/img, fastest %8.3f\n", STAGES[s], seconds[s][batches / 2], seconds[s][0]);
    }
    double total = seconds[TOTAL][batches / 2];
    printf("floor     %8.3f s/img, so %.0f%% of it; %.2f img/s; peak memory %.2f GB\n", options->recipe->floor,
           100 * options->recipe->floor / total, 1 / total, (double)use.ru_maxrss * 1024 / 1e9);
    return true;
}

int main(int argc, char **argv)
{
    Options options;
    Err err = {0};
    settle(argv);
    if (!parse(argc, argv, &options))
        return usage();
    const Size *size = &SIZES[options.recipe->size];
    bool needs_teacher = options.recipe->teacher_start_t >= 0;
    Model student = transformer_model(size, true), teacher = transformer_model(size, false),
          tokenizer = tokenizer_model();
    Weights from_student = weights_of_model(&student), from_teacher = weights_of_model(&teacher);
    Weights from_tokenizer = weights_of_model(&tokenizer);
    double start = mono_seconds();
    Backend *be = backend_open("cpu", options.precision, options.threads, &err);
    Sampler *sampler = be ? sampler_open_weights(&from_student, needs_teacher ? &from_teacher : NULL, &from_tokenizer,
                                                 0, GRID, be, &err)
                          : NULL;
    if (sampler)
        printf("%s batch %d, opened in %.1f s\n", options.recipe->name, options.batch, mono_seconds() - start);
    bool ok = sampler && run(sampler, &options, &err);
    if (!ok)
        fprintf(stderr, "bench_models: %s\n", err.text);
    sampler_close(sampler);
    backend_close(be);
    free(student.entries), free(teacher.entries), free(tokenizer.entries);
    return ok ? EXIT_OK : err_exit_code(err.kind);
}
