/* The tokenizer's decoder, stage by stage, on the golden vectors of one step. */
#include "tests/models/golden.h"

#include "worker/models/codebook.h"
#include "worker/models/decoder.h"

typedef struct Stats {
    double sum, squares, count, least, most;
} Stats;

typedef struct Watch {
    Backend *be;
    const Npz *npz;
    Stats stages[16];
    char names[16][16];
    int count;
    float *image; /* [B,S,S,3] */
    size_t filled;
} Watch;

static Stats *stage_of(Watch *watch, const char *name)
{
    for (int i = 0; i < watch->count; i++)
        if (!strcmp(watch->names[i], name))
            return &watch->stages[i];
    assert_true(watch->count < 16);
    snprintf(watch->names[watch->count], sizeof watch->names[0], "%s", name);
    watch->stages[watch->count] = (Stats){.least = INFINITY, .most = -INFINITY};
    return &watch->stages[watch->count++];
}

static void on_stage(void *ctx, const char *name, FeatureMap map)
{
    Err err = {0};
    Watch *watch = ctx;
    Stats *stats = stage_of(watch, name);
    Tensor rows = tensor_f32(NULL, 2, (int64_t)map.b * map.h * map.w, map.c, 0, 0);
    rows.data = be_alloc(watch->be, tensor_bytes(&rows), &err);
    size_t count = (size_t)tensor_count(&rows);
    float *host = xmalloc(count * sizeof *host);
    be_map_to_rows(watch->be, map, rows);
    be_download(watch->be, host, rows);
    assert_ok(be_check(watch->be, &err), err);
    for (size_t i = 0; i < count; i++) {
        double v = (double)host[i];
        stats->sum += v, stats->squares += v * v, stats->count += 1;
        stats->least = fmin(stats->least, v), stats->most = fmax(stats->most, v);
    }
    if (!strcmp(name, "image")) {
        memcpy(watch->image + watch->filled, host, count * sizeof *host);
        watch->filled += count;
    }
    free(host);
    be_free(watch->be, rows.data);
}

static void check_stages(const Watch *watch, const GoldenSet *set)
{
    for (int i = 0; i < watch->count; i++) {
        if (!strcmp(watch->names[i], "image"))
            continue;
        char *name = xasprintf("vq.%s.stats", watch->names[i]);
        NpyArray array = golden_array(watch->npz, name);
        const double *want = array.data;
        const Stats *s = &watch->stages[i];
        double mean = s->sum / s->count,
               deviation = sqrt((s->squares / s->count - mean * mean) * s->count / (s->count - 1));
        double got[4] = {mean, deviation, s->least, s->most}, worst = 0;
        for (int j = 0; j < 4; j++) /* in shares of the stage's spread */
            worst = fmax(worst, fabs(got[j] - want[j]) / want[1]);
        print_message("%-5s %-7s statistics off by %.2g of 1e-4 deviations\n", set->name, watch->names[i], worst);
        assert_true(worst < 1e-4);
        npy_free(&array);
        free(name);
    }
}

/* Golden images are [B,3,S,S] with every step-th pixel. */
static void check_image(const Watch *watch, const GoldenSet *set, size_t side)
{
    NpyArray image = golden_array(watch->npz, "few.1step.image");
    size_t b = (size_t)image.shape[0], n = (size_t)image.shape[2], step = side / n;
    double worst = 0;
    for (size_t i = 0; i < b; i++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < n; y++)
                for (size_t x = 0; x < n; x++) {
                    double want = (double)((float *)image.data)[((i * 3 + c) * n + y) * n + x];
                    double got = (double)watch->image[((i * side + y * step) * side + x * step) * 3 + c];
                    worst = fmax(worst, fabs(want - got));
                }
    print_message("%-5s image off by %.2g of 1e-3\n", set->name, worst);
    assert_true(worst < 1e-3);
    npy_free(&image);
}

static void check_set(const GoldenSet *set, int levels)
{
    Err err = {0};
    Backend *be = golden_backend();
    Npz *npz = npz_open(set->expected, &err);
    assert_ok(npz, err);
    Ckpt *ckpt = ckpt_open(set->tokenizer, &err);
    assert_ok(ckpt, err);
    Weights weights = weights_of_ckpt(ckpt);
    Decoder decoder;
    assert_ok(decoder_load(&decoder, &weights, be, set->grid, &err), err);
    ckpt_close(ckpt);
    assert_int_equal(decoder.levels, levels);
    Workspace workspace = {0};
    DecoderWork work = {0};
    decoder_layout(&decoder, &workspace, set->batch, &work);
    assert_ok(workspace_open(&workspace, be, &err), err);
    decoder_layout(&decoder, &workspace, set->batch, &work);
    decoder_work_open(&decoder, &work);
    NpyArray x = golden_array(npz, "few.1step.x"), want = golden_array(npz, "few.1step.uint8");
    size_t side = (size_t)decoder.image_size, bytes = (size_t)set->batch * side * side * 3;
    Watch watch = {.be = be, .npz = npz, .image = xcalloc(bytes, sizeof(float))};
    uint8_t *pixels = xmalloc(bytes);
    assert_ok(decoder_run(&decoder, &work, x.data, set->batch, pixels, on_stage, &watch, &err), err);
    assert_int_equal(watch.count, levels + 2);
    check_stages(&watch, set);
    check_image(&watch, set, side);
    double off = golden_pixels_off(pixels, want.data, bytes);
    print_message("%-5s bytes off by more than 1: %.4f%%\n", set->name, 100 * off);
    assert_true(off <= 1e-3);
    free(watch.image);
    free(pixels);
    npy_free(&x);
    npy_free(&want);
    decoder_work_close(&work);
    workspace_close(&workspace);
    decoder_free(&decoder);
    npz_close(npz);
    backend_close(be);
}

static void test_tiny(void **state)
{
    (void)state;
    check_set(&GOLDEN_SETS[0], 3);
}

static void test_small(void **state)
{
    (void)state;
    check_set(&GOLDEN_SETS[1], 5);
}

static void test_codebook(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    for (size_t i = 0; i < countof(GOLDEN_SETS); i++) {
        Npz *npz = npz_open(GOLDEN_SETS[i].expected, &err);
        Ckpt *ckpt = ckpt_open(GOLDEN_SETS[i].tokenizer, &err);
        Weights weights = weights_of_ckpt(ckpt);
        Codebook book;
        assert_ok(codebook_load(&book, &weights, be, &err), err);
        NpyArray want = golden_array(npz, "codebook");
        assert_int_equal(want.shape[0], book.codes);
        assert_int_equal(want.shape[1], book.channels);
        assert_true(golden_max_error(book.rows, want.data, (size_t)(book.codes * book.channels)) < 1e-6);
        npy_free(&want);
        codebook_free(&book);
        ckpt_close(ckpt);
        npz_close(npz);
    }
    backend_close(be);
}

/* A source with one codebook: rows 1, 3 and 4 point the same way. */
static bool pairs_has(const void *ctx, const char *name)
{
    (void)ctx;
    return !strcmp(name, "quantize.embedding.weight");
}

static bool pairs_shape(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    (void)ctx, (void)name, (void)ndim, (void)err;
    shape[0] = 5, shape[1] = 2;
    return true;
}

static bool pairs_read(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    (void)ctx, (void)name, (void)ndim, (void)shape, (void)err;
    static const float rows[] = {1, 0, 0, 2, 3, 4, 0, 8, -0.0f, 0.5f};
    memcpy(dst, rows, sizeof rows);
    return true;
}

static void test_duplicate_codes(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Weights weights = {"pairs", NULL, pairs_has, pairs_shape, pairs_read, NULL};
    Codebook book;
    assert_ok(codebook_load(&book, &weights, be, &err), err);
    static const int first[] = {0, 1, 2, 1, 1};
    for (int i = 0; i < 5; i++)
        assert_int_equal(book.first[i], first[i]);
    assert_true(fabs((double)book.rows[4] - 0.6) < 1e-7);
    codebook_free(&book);
    backend_close(be);
}

static bool ignored(const char *name)
{
    static const char *const starts[] = {"encoder.", "quant_conv.", "quantize."};
    for (size_t i = 0; i < countof(starts); i++)
        if (!strncmp(name, starts[i], strlen(starts[i])))
            return true;
    return false;
}

/* Each weight in turn is missing: an error, never a smaller decoder. */
static void test_every_weight_is_needed(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Ckpt *ckpt = ckpt_open(GOLDEN_SETS[0].tokenizer, &err);
    assert_ok(ckpt, err);
    int tried = 0;
    for (int i = 0; i < ckpt_count(ckpt); i++) {
        GoldenHidden hidden = {ckpt, ckpt_at(ckpt, i)->name};
        Weights weights = golden_without(&hidden);
        Decoder decoder;
        if (ignored(hidden.name))
            continue;
        if (decoder_load(&decoder, &weights, be, 4, &err))
            fail_msg("it loads without %s", hidden.name);
        tried++;
    }
    assert_true(tried > 100);
    ckpt_close(ckpt);
    backend_close(be);
}

int main(int argc, char **argv)
{
    golden_options(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_codebook),
        cmocka_unit_test(test_duplicate_codes),
        cmocka_unit_test(test_every_weight_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
