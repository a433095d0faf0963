/* A device and a precision against the CPU in fp32, at the published sizes with random weights.
 *
 *     bench_compare [--device cuda] [--precision fp16] [--images 4] [--tokens 60]
 *
 * The teacher of GPT-L computes the logits of the next token from a prefix of codes: their relative L2 distance, and
 * whether the largest stays the largest. The decoder gets the same vectors: PSNR of the pixels, and the share of bytes
 * that differ by more than one. The student makes one step from the same noise: how many codes are equal, and the
 * margins of those that differ. A line each with its bound (docs/dev/speed.md, "Precision"); exit 1 if one is missed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random_models.h"
#include "core/mem.h"
#include "core/philox.h"
#include "kernels/omp_env.h"
#include "worker/models/decoder.h"
#include "worker/models/sampler.h"
#include "worker/models/teacher.h"

typedef struct Options {
    const char *device;
    Precision precision;
    int images, tokens;
} Options;

/* What a precision must reach; from the precision study of the published model. */
typedef struct Bounds {
    const char *name;
    double logits;  /* relative L2, at most */
    double kept;    /* share of argmax, at least */
    double psnr_db; /* of decoded pixels, at least */
} Bounds;

static const Bounds BOUNDS[] = {
    [PREC_F32] = {"fp32", 1e-5, 0.999, 80},
    [PREC_TF32] = {"tf32", 3e-3, 0.99, 55},
    [PREC_F16] = {"fp16", 3e-3, 0.99, 55},
    [PREC_BF16] = {"bf16", 3e-2, 0.95, 40},
};

/* --- the three results of one backend ------------------------------------------------------------- */

typedef struct Results {
    float *logits;   /* [B,V] */
    int32_t *codes;  /* [B,L], -1 from the continuous head */
    float *margin;   /* [B,L] */
    uint8_t *pixels; /* [B,S,S,3] of given vectors */
    int side;
} Results;

static bool run_teacher(Backend *be, const Options *options, Results *results, Err *err)
{
    RandomModel model = random_transformer(&random_sizes[SIZE_L], false);
    Weights weights = random_weights(&model);
    int b = options->images, n = options->tokens;
    int32_t *labels = xmalloc((size_t)b * sizeof *labels), *prefix = xmalloc((size_t)(b * n) * sizeof *prefix);
    int32_t *ids = xmalloc((size_t)b * sizeof *ids);
    float *margin = xmalloc((size_t)b * sizeof *margin);
    for (int i = 0; i < b; i++)
        labels[i] = noise_label(1, (uint64_t)i, CLASSES);
    for (int i = 0; i < b * n; i++)
        prefix[i] = noise_label(2, (uint64_t)i, CODES);
    Teacher teacher = {0};
    TeacherWork work = {0};
    Workspace workspace = {0};
    bool ok = teacher_load(&teacher, &weights, be, 0, GRID, err);
    if (ok) {
        teacher_layout(&teacher, &workspace, b, &work);
        ok = workspace_open(&workspace, be, err);
    }
    if (ok) {
        teacher_layout(&teacher, &workspace, b, &work);
        teacher_work_open(&teacher, b, &work);
        TeacherDraw draw = {.b = b,
                            .start = n,
                            .end = n + 1,
                            .labels = labels,
                            .prefix = prefix,
                            .cfg_scale = 2,
                            .cfg_interval = -1,
                            .top_p = 1,
                            .temperature = 1};
        TeacherResult result = {ids, margin, results->logits};
        ok = teacher_draw(&teacher, &work, &draw, &result, err);
        teacher_work_close(&work);
    }
    workspace_close(&workspace);
    teacher_free(&teacher);
    free(labels), free(prefix), free(ids), free(margin);
    random_model_free(&model);
    return ok;
}

static bool run_decoder(Backend *be, const Options *options, Results *results, Err *err)
{
    RandomModel model = random_tokenizer();
    Weights weights = random_weights(&model);
    Decoder decoder = {0};
    DecoderWork work = {0};
    Workspace workspace = {0};
    int b = options->images;
    float *vectors = xmalloc((size_t)b * TOKENS * CHANNELS * sizeof *vectors);
    for (int i = 0; i < b; i++)
        noise_normal(3, (uint64_t)i, vectors + (size_t)i * TOKENS * CHANNELS, TOKENS * CHANNELS);
    bool ok = decoder_load(&decoder, &weights, be, GRID, err);
    if (ok) {
        decoder_layout(&decoder, &workspace, b, &work);
        ok = workspace_open(&workspace, be, err);
    }
    if (ok) {
        results->side = decoder.image_size;
        results->pixels = xmalloc((size_t)b * (size_t)decoder.image_size * (size_t)decoder.image_size * 3);
        decoder_layout(&decoder, &workspace, b, &work);
        decoder_work_open(&decoder, &work);
        ok = decoder_run(&decoder, &work, vectors, b, results->pixels, NULL, NULL, err);
        decoder_work_close(&work);
    }
    workspace_close(&workspace);
    decoder_free(&decoder);
    free(vectors);
    random_model_free(&model);
    return ok;
}

static bool run_student(Backend *be, const Options *options, Results *results, Err *err)
{
    RandomModel student = random_transformer(&random_sizes[SIZE_L], true), tokenizer = random_tokenizer();
    Weights from_student = random_weights(&student), from_tokenizer = random_weights(&tokenizer);
    static const int t_list[] = {0};
    int b = options->images;
    SamplerPlan plan = {
        .t_list = t_list, .t_count = 1, .split_t = 130, .teacher_start_t = -1, .top_p = 1, .temperature = 1};
    int32_t *labels = xmalloc((size_t)b * sizeof *labels);
    float *noise = xmalloc((size_t)b * TOKENS * CHANNELS * sizeof *noise);
    for (int i = 0; i < b; i++) {
        labels[i] = noise_label(0, (uint64_t)i, CLASSES);
        noise_normal(0, (uint64_t)i, noise + (size_t)i * TOKENS * CHANNELS, TOKENS * CHANNELS);
    }
    Sampler *sampler = sampler_open_weights(&from_student, NULL, &from_tokenizer, 0, GRID, be, err);
    ModelBatch batch = {.count = b,
                        .condition = {.labels = labels},
                        .noise = noise,
                        .codes = results->codes,
                        .margin = results->margin};
    bool ok = sampler && sampler_reserve(sampler, b, err) && sampler_run(sampler, &plan, &batch, NULL, NULL, err);
    sampler_close(sampler);
    free(labels), free(noise);
    random_model_free(&student), random_model_free(&tokenizer);
    return ok;
}

static bool run(const char *device, Precision precision, const Options *options, Results *results, Err *err)
{
    size_t b = (size_t)options->images;
    Backend *be = backend_open(device, precision, 0, err);
    results->logits = xmalloc(b * CODES * sizeof *results->logits);
    results->codes = xmalloc(b * TOKENS * sizeof *results->codes);
    results->margin = xmalloc(b * TOKENS * sizeof *results->margin);
    bool ok = be && run_teacher(be, options, results, err) && run_decoder(be, options, results, err) &&
              run_student(be, options, results, err);
    if (ok)
        printf("ran on %s in %s\n", backend_device(be)->name, BOUNDS[precision].name);
    backend_close(be);
    return ok;
}

static void free_results(Results *results)
{
    free(results->logits), free(results->codes), free(results->margin), free(results->pixels);
}

/* --- comparing ------------------------------------------------------------------------------------ */

static int largest(const float *row)
{
    int best = 0;
    for (int i = 1; i < CODES; i++)
        best = row[i] > row[best] ? i : best;
    return best;
}

static bool line(const char *what, double found, const char *relation, double bound)
{
    bool good = *relation == '<' ? found <= bound : found >= bound;
    printf("%-44s %12.4g   wanted %s %-8g %s\n", what, found, relation, bound, good ? "ok" : "MISSED");
    return good;
}

static bool compare_logits(const Results *a, const Results *b, const Options *options, const Bounds *bounds)
{
    double apart = 0, size = 0;
    int kept = 0, n = options->images;
    for (int i = 0; i < n; i++) {
        const float *x = a->logits + (size_t)i * CODES, *y = b->logits + (size_t)i * CODES;
        for (int j = 0; j < CODES; j++) {
            apart += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
            size += (double)x[j] * (double)x[j];
        }
        kept += largest(x) == largest(y);
    }
    bool good = line("logits, relative L2", sqrt(apart / size), "<=", bounds->logits);
    printf("%-44s %8d of %d\n", "largest logit stays the largest", kept, n);
    return good;
}

static bool compare_pixels(const Results *a, const Results *b, const Options *options, const Bounds *bounds)
{
    size_t count = (size_t)options->images * (size_t)a->side * (size_t)a->side * 3, far = 0;
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        int off = abs((int)a->pixels[i] - (int)b->pixels[i]);
        squares += off * off;
        far += off > 1;
    }
    double psnr = squares > 0 ? 10 * log10(255.0 * 255.0 * (double)count / squares) : 99;
    bool good = line("decoder, same vectors: PSNR, dB", psnr, ">=", bounds->psnr_db);
    return line("bytes off by more than 1, share", (double)far / (double)count,
                "<=", bounds->psnr_db > 60 ? 1e-3 : 1) &&
           good;
}

static bool compare_codes(const Results *a, const Results *b, const Options *options, const Bounds *bounds)
{
    int count = 0, kept = 0;
    double widest = 0; /* the reference's margin of those that changed */
    for (int i = 0; i < options->images * TOKENS; i++) {
        if (a->codes[i] < 0)
            continue;
        count++;
        kept += a->codes[i] == b->codes[i];
        if (a->codes[i] != b->codes[i])
            widest = fmax(widest, (double)a->margin[i]);
    }
    bool good = line("student, codes kept, share", (double)kept / count, ">=", bounds->kept);
    printf("%-44s %8d of %d; the widest was ahead by %.3g\n", "codes that changed", count - kept, count, widest);
    return good;
}

/* --- main ----------------------------------------------------------------------------------------- */

static bool parse(int argc, char **argv, Options *options)
{
    *options = (Options){.device = "cuda", .precision = PREC_F16, .images = 4, .tokens = 60};
    for (int i = 1; i + 1 < argc; i += 2) {
        bool known = false;
        for (size_t p = 0; p < countof(BOUNDS); p++)
            if (!strcmp(argv[i], "--precision") && !strcmp(argv[i + 1], BOUNDS[p].name)) {
                options->precision = (Precision)p;
                known = true;
            }
        if (!strcmp(argv[i], "--device"))
            known = (options->device = argv[i + 1]) != NULL;
        if (!strcmp(argv[i], "--images"))
            known = (options->images = atoi(argv[i + 1])) > 0;
        if (!strcmp(argv[i], "--tokens"))
            known = (options->tokens = atoi(argv[i + 1])) > 0 && options->tokens < TOKENS;
        if (!known)
            return false;
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    Options options;
    Results wanted = {0}, found = {0};
    Err err = {0};
    omp_env_set(argv);
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: bench_compare [--device cuda] [--precision fp32|tf32|fp16|bf16] [--images 4] "
                        "[--tokens 60]\n");
        return EXIT_USAGE;
    }
    const Bounds *bounds = &BOUNDS[options.precision];
    bool ok =
        run("cpu", PREC_F32, &options, &wanted, &err) && run(options.device, options.precision, &options, &found, &err);
    if (!ok) {
        fprintf(stderr, "bench_compare: %s\n", err.text);
        return err_exit_code(err.kind);
    }
    ok = compare_logits(&wanted, &found, &options, bounds);
    ok = compare_pixels(&wanted, &found, &options, bounds) && ok;
    ok = compare_codes(&wanted, &found, &options, bounds) && ok;
    free_results(&wanted);
    free_results(&found);
    return ok ? EXIT_OK : EXIT_ERROR;
}
