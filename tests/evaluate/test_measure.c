/* Measuring: the same rows whatever the batch, the range and the source; unreadable images and NaN.
 */
#include "tests/golden_arrays.h"

#include "tests/models/network.h"
#include "worker/evaluate/measure.h"

#define W16 INCEPTION_GOLDEN("net/inception_w16.pth")

enum { IMAGES = 9, WIDTH = 128, BAD = 4 };

/* What a sink received, by image. */
typedef struct Seen {
    float features[IMAGES][WIDTH], features_tf[IMAGES][WIDTH], spatial[IMAGES][INCEPTION_SPATIAL];
    uint8_t hashes[IMAGES][IMAGE_HASH];
    int rows, bad, next;
    char why[512];
} Seen;

static bool on_rows(void *ctx, MeasureRows *rows, Err *err)
{
    (void)err;
    Seen *seen = ctx;
    assert_int_equal(rows->first, seen->next);
    size_t at = (size_t)rows->first, n = (size_t)rows->count;
    memcpy(seen->features[at], rows->features, n * sizeof seen->features[0]);
    if (rows->features_tf)
        memcpy(seen->features_tf[at], rows->features_tf, n * sizeof seen->features_tf[0]);
    if (rows->spatial)
        memcpy(seen->spatial[at], rows->spatial, n * sizeof seen->spatial[0]);
    memcpy(seen->hashes[at], rows->hashes, n * sizeof seen->hashes[0]);
    seen->rows += rows->count;
    seen->next += rows->count;
    return true;
}

static bool on_bad(void *ctx, int64_t index, const char *why, Err *err)
{
    (void)err;
    Seen *seen = ctx;
    assert_int_equal(index, seen->next++);
    seen->bad++;
    snprintf(seen->why, sizeof seen->why, "%s", why);
    return true;
}

/* Images of three sizes in one folder. */
static char *make_folder(void)
{
    static const int sizes[IMAGES][2] = {{32, 32}, {32, 32}, {32, 32}, {20, 31}, {20, 31},
                                         {1, 1},   {32, 32}, {32, 32}, {32, 32}};
    char *folder = test_folder();
    uint8_t rgb[32 * 32 * 3];
    for (int i = 0; i < IMAGES; i++) {
        Err err = {0};
        for (int k = 0; k < (int)sizeof rgb; k++)
            rgb[k] = (uint8_t)(k * (i + 3) / 7 + 40 * i);
        char *path = xasprintf("%s/%d.png", folder, i);
        assert_ok(image_write_png(path, rgb, sizes[i][0], sizes[i][1], false, &err), err);
        free(path);
    }
    return folder;
}

static bool measure(const char *path, MeasurePlan plan, int cut, Seen *seen, Err *err)
{
    ImageSource *source = image_source_open(path, err);
    const MeasureSink sink = {seen, on_rows, on_bad};
    memset(seen, 0, sizeof *seen);
    bool good = source && measure_source(source, 0, cut, &plan, &sink, NULL, err) &&
                measure_source(source, cut, image_source_count(source), &plan, &sink, NULL, err);
    image_source_close(source);
    return good;
}

static Seen whole, other;

static void test_any_batch_and_range(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = make_folder();
    MeasurePlan plan = {.net = inception_open(W16, be, &err),
                        .pipeline = PIPELINE_BOTH,
                        .level = INCEPTION_2048,
                        .spatial = true,
                        .batch = 1};
    assert_ok(plan.net != NULL, err);
    assert_ok(measure(folder, plan, 0, &whole, &err), err);
    assert_int_equal(whole.rows, IMAGES);
    static const int batches[] = {2, 7, 32};
    for (size_t k = 0; k < countof(batches); k++)
        for (int cut = 0; cut <= IMAGES; cut += 4) {
            plan.batch = batches[k];
            assert_ok(measure(folder, plan, cut, &other, &err), err);
            assert_memory_equal(&other, &whole, sizeof whole);
        }
    plan.pipeline = PIPELINE_TF; /* the second of both, alone */
    assert_ok(measure(folder, plan, 3, &other, &err), err);
    assert_memory_equal(other.features, whole.features_tf, sizeof whole.features);
    assert_memory_equal(other.spatial, whole.spatial, sizeof whole.spatial);
    plan.pipeline = PIPELINE_PT;
    plan.spatial = false;
    assert_ok(measure(folder, plan, 3, &other, &err), err);
    assert_memory_equal(other.features, whole.features, sizeof whole.features);
    inception_close(plan.net);
    backend_close(be);
    test_folder_remove(folder);
}

/* A sampler's images, an array of them and a folder of them are the same. */
static void test_memory_array_and_file(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    NpyArray set = golden_npy(INCEPTION_GOLDEN("e2e/set_b.npy"));
    char *folder = test_folder(), *path = xasprintf("%s/a.npy", folder);
    int64_t shape[] = {IMAGES, 32, 32, 3};
    assert_ok(npy_write(path, DTYPE_U8, 4, shape, set.data, &err), err);
    MeasurePlan plan = {.net = inception_open(W16, be, &err),
                        .pipeline = PIPELINE_PT,
                        .level = INCEPTION_2048,
                        .spatial = true,
                        .batch = 4};
    assert_ok(measure(path, plan, 0, &whole, &err), err);
    MeasureRows rows;
    assert_ok(measure_pixels(set.data, 0, IMAGES, 32, 32, &plan, NULL, &rows, &err), err);
    assert_memory_equal(rows.features, whole.features, sizeof whole.features);
    assert_memory_equal(rows.spatial, whole.spatial, sizeof whole.spatial);
    assert_memory_equal(rows.hashes, whole.hashes, sizeof whole.hashes);
    assert_null(rows.features_tf);
    measure_rows_free(&rows);
    char all[65], split[65];
    image_set_hash(whole.hashes[0], IMAGES, all);
    whole.hashes[0][0] ^= 1;
    image_set_hash(whole.hashes[0], IMAGES, split);
    assert_string_not_equal(all, split);
    unlink(path);
    for (int i = 0; i < IMAGES; i++) {
        char *name = xasprintf("%s/%d.png", folder, i);
        assert_ok(image_write_png(name, (const uint8_t *)set.data + i * 3072, 32, 32, false, &err), err);
        free(name);
    }
    assert_ok(measure(folder, plan, 2, &other, &err), err);
    assert_memory_equal(other.features, whole.features, sizeof whole.features);
    inception_close(plan.net);
    backend_close(be);
    npy_free(&set);
    free(path);
    test_folder_remove(folder);
}

static void test_unreadable(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = make_folder(), *path = xasprintf("%s/%d.png", folder, BAD);
    MeasurePlan plan = {
        .net = inception_open(W16, be, &err), .pipeline = PIPELINE_PT, .level = INCEPTION_2048, .batch = 3};
    assert_ok(measure(folder, plan, 0, &whole, &err), err);
    FILE *file = fopen(path, "w");
    fputs("no image", file);
    fclose(file);
    assert_err(measure(folder, plan, 0, &other, &err), err, path, "does not begin like one");
    assert_int_equal(other.rows, 3); /* nothing behind it was taken, and what waited was not measured */
    plan.skip_bad = true;
    assert_ok(measure(folder, plan, 0, &other, &err), err);
    assert_int_equal(other.rows, IMAGES - 1);
    assert_int_equal(other.bad, 1);
    assert_non_null(strstr(other.why, path));
    memset(whole.features[BAD], 0, sizeof whole.features[BAD]);
    assert_memory_equal(other.features, whole.features, sizeof whole.features);
    /* A missing image is another error: the folder changed. */
    ImageSource *source = image_source_open(folder, &err);
    const MeasureSink sink = {&other, on_rows, on_bad};
    memset(&other, 0, sizeof other);
    unlink(path);
    assert_err(measure_source(source, 0, IMAGES, &plan, &sink, NULL, &err), err, path, "is gone");
    image_source_close(source);
    inception_close(plan.net);
    backend_close(be);
    free(path);
    test_folder_remove(folder);
}

/* The network with weights so large in one place that its features overflow. */
static char *overflowing_weights(const char *folder)
{
    char *path = xasprintf("%s/large.safetensors", folder);
    FILE *in = fopen(INCEPTION_GOLDEN("net/inception_w16.safetensors"), "rb"), *out = fopen(path, "wb");
    static char data[4 << 20];
    size_t size = fread(data, 1, sizeof data, in);
    assert_true(size > 1000 && size < sizeof data);
    uint64_t header;
    memcpy(&header, data, 8);
    const char *entry = strstr(data + 8, "\"Mixed_7c.branch1x1.bn.weight\""), *offsets = strstr(entry, "data_offsets");
    size_t begin, end;
    assert_int_equal(sscanf(offsets, "data_offsets\":[%zu,%zu", &begin, &end), 2);
    for (size_t at = begin; at < end; at += 4)
        memcpy(data + 8 + header + at, &(float){3e38f}, 4);
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(in);
    fclose(out);
    return path;
}

static void test_no_number(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = make_folder(), *weights = overflowing_weights(folder);
    MeasurePlan plan = {
        .net = inception_open(weights, be, &err), .pipeline = PIPELINE_PT, .level = INCEPTION_2048, .batch = 3};
    assert_ok(plan.net != NULL, err);
    unlink(weights);
    assert_err(measure(folder, plan, 0, &other, &err), err, folder, "/0.png: feature", "inf");
    assert_int_equal(err.kind, ERR_NUMERIC);
    inception_close(plan.net);
    backend_close(be);
    free(weights);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_batch_and_range),
        cmocka_unit_test(test_memory_array_and_file),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
