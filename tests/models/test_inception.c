/* The Inception network at 1/16 width against float64 goldens: the input, each stage in order, the features, and the
 * weights it refuses. tests/golden/inception/README.md has the tolerances and what they were measured from. */
#include "tests/models/network.h"

#define W16 INCEPTION_GOLDEN("net/inception_w16.pth")

/* --- the input ----------------------------------------------------------------------------------- */

static void resize(Backend *be, const GoldenImage *image, Resize pipeline, float *ret_rows)
{
    Err err = {0};
    enum { SIDE = INCEPTION_SIDE };
    size_t bytes = (size_t)image->h * (size_t)image->w * 3;
    Tensor u8 = {be_alloc(be, bytes, &err), DTYPE_U8, 4, {1, image->h, image->w, 3}};
    FeatureMap map = {be_alloc(be, be_map_bytes(be, 1, SIDE, SIDE, 3), &err), 1, SIDE, SIDE, 3};
    Tensor rows = tensor_f32(be_alloc(be, sizeof(float) * SIDE * SIDE * 3, &err), 2, SIDE * SIDE, 3, 0, 0);
    be_upload(be, u8, image->rgb);
    be_resize_inception(be, u8, pipeline, map);
    be_map_to_rows(be, map, rows);
    be_download(be, ret_rows, rows);
    assert_ok(be_check(be, &err), err);
    be_free(be, u8.data);
    be_free(be, map.data);
    be_free(be, rows.data);
}

static void test_resize(void **state)
{
    (void)state;
    Backend *be = network_backend();
    GoldenImages images;
    golden_images_open(&images);
    NpyArray whole = golden_npy(INCEPTION_GOLDEN("images/resized_pt_img0.npy"));
    float *rows = xmalloc(sizeof(float) * INCEPTION_SIDE * INCEPTION_SIDE * 3);
    for (int p = 0; p < 2; p++) {
        char *path = xasprintf(INCEPTION_GOLDEN("images/resized_%s_grid13.npy"), pipelines[p].name);
        NpyArray grid = golden_npy(path);
        for (int i = 0; i < GOLDEN_IMAGES; i++) {
            resize(be, &images.items[i], pipelines[p].resize, rows);
            for (int c = 0, k = 0; c < 3; c++)
                for (int y = 0; y < 299; y += 13)
                    for (int x = 0; x < 299; x += 13, k++)
                        assert_near((double)rows[(y * 299 + x) * 3 + c], npy_at(&grid, (int64_t)i * 3 * 23 * 23 + k),
                                    2e-6, images.items[i].name, k);
            for (int k = 0; p == 0 && i == 0 && k < 3 * 299 * 299; k++)
                assert_near((double)rows[k % (299 * 299) * 3 + k / (299 * 299)], npy_at(&whole, k), 2e-6, "img0", k);
        }
        npy_free(&grid);
        free(path);
    }
    npy_free(&whole);
    free(rows);
    golden_images_close(&images);
    backend_close(be);
}

/* --- stages -------------------------------------------------------------------------------------- */

typedef struct StageCheck {
    Backend *be;
    const cJSON *stages; /* of one image: the golden summaries */
    const cJSON *next;   /* the one that must come now */
    double tolerance;
} StageCheck;

/* Values of the map in channel, height, width order. */
static double *read_map(Backend *be, const FeatureMap *map)
{
    Err err = {0};
    int64_t pixels = (int64_t)map->h * map->w, count = pixels * map->c;
    Tensor rows = tensor_f32(be_alloc(be, sizeof(float) * (size_t)count, &err), 2, pixels, map->c, 0, 0);
    float *host = xmalloc(sizeof(float) * (size_t)count);
    double *values = xmalloc(sizeof(double) * (size_t)count);
    be_map_to_rows(be, *map, rows);
    be_download(be, host, rows);
    assert_ok(be_check(be, &err), err);
    for (int64_t i = 0; i < count; i++)
        values[i % map->c * pixels + i / map->c] = (double)host[i];
    be_free(be, rows.data);
    free(host);
    return values;
}

static void on_stage(const char *name, const FeatureMap *map, void *ctx)
{
    StageCheck *check = ctx;
    const cJSON *golden = check->next;
    assert_string_equal(name, golden->string);
    check->next = golden->next;
    assert_int_equal(map->b, 1);
    assert_int_equal(map->c, cJSON_GetArrayItem(golden_get(golden, "shape"), 0)->valueint);
    assert_int_equal(map->h, cJSON_GetArrayItem(golden_get(golden, "shape"), 1)->valueint);
    assert_int_equal(map->w, cJSON_GetArrayItem(golden_get(golden, "shape"), 2)->valueint);
    double *values = read_map(check->be, map), sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    int64_t count = (int64_t)map->c * map->h * map->w;
    for (int64_t i = 0; i < count; i++) {
        sum += values[i];
        squares += values[i] * values[i];
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    double t = check->tolerance;
    for (int i = 0; i < 16; i++)
        assert_near(values[i], cJSON_GetArrayItem(golden_get(golden, "first16"), i)->valuedouble, t, name, i);
    for (int i = 0; i < 4; i++)
        assert_near(values[count - 4 + i], cJSON_GetArrayItem(golden_get(golden, "last4"), i)->valuedouble, t, name,
                    -4 + i);
    assert_near(sum / (double)count, golden_number(golden, "mean"), t / 4, name, 100);
    assert_near(least, golden_number(golden, "min"), t, name, 101);
    assert_near(most, golden_number(golden, "max"), t, name, 102);
    assert_near(sqrt(squares), golden_number(golden, "l2"), 1e-5 * golden_number(golden, "l2"), name, 103);
    free(values);
}

static void test_stages(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    Inception *net = inception_open(W16, be, &err);
    assert_ok(net != NULL, err);
    cJSON *json = golden_json(INCEPTION_GOLDEN("net/stages.json"));
    GoldenImages images;
    golden_images_open(&images);
    for (int p = 0; p < 2; p++) {
        const cJSON *of_pipeline = golden_get(golden_get(json, "pipelines"), pipelines[p].name);
        for (int i = 0; i < GOLDEN_IMAGES; i++) {
            const GoldenImage *image = &images.items[i];
            const cJSON *stages = golden_get(of_pipeline, image->name);
            StageCheck check = {be, stages, stages->child, pipelines[p].pool3};
            inception_tap(net, on_stage, &check);
            assert_ok(
                inception_run(net, image->rgb, 1, image->h, image->w, pipelines[p].resize, NULL, NULL, NULL, &err),
                err);
            assert_string_equal(check.next->string, "pool3"); /* every stage came */
        }
    }
    cJSON_Delete(json);
    golden_images_close(&images);
    inception_close(net);
    backend_close(be);
}

/* --- features ------------------------------------------------------------------------------------ */

/* The features from the middle of the network, and pool3 as one of the levels, bit for bit. */
static void check_levels(Inception *net, int p, int i, const GoldenImage *image, const float *pool3)
{
    static const char *const goldens[] = {"pool3", "block2", "block1", "block0"};
    static const int widths[] = {128, 48, 12, 4};
    float values[128];
    Err err = {0};
    for (int level = 0; level < INCEPTION_LEVELS; level++) {
        assert_int_equal(inception_level_width(net, (InceptionLevel)level), widths[level]);
        assert_ok(inception_run_level(net, image->rgb, 1, image->h, image->w, pipelines[p].resize,
                                      (InceptionLevel)level, values, &err),
                  err);
        golden_row_of(goldens[level], p, i, values, 5e-4);
        if (level == INCEPTION_2048)
            assert_memory_equal(values, pool3, sizeof values);
    }
}

static void check_network(const char *path)
{
    Err err = {0};
    Backend *be = network_backend();
    Inception *net = inception_open(path, be, &err);
    assert_ok(net != NULL, err);
    assert_int_equal(inception_width(net), 128);
    assert_int_equal(inception_classes(net), 1008);
    GoldenImages images;
    golden_images_open(&images);
    float pool3[128], logits[1008], spatial[INCEPTION_SPATIAL];
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < GOLDEN_IMAGES; i++) {
            const GoldenImage *image = &images.items[i];
            assert_ok(inception_run(net, image->rgb, 1, image->h, image->w, pipelines[p].resize, pool3, logits, spatial,
                                    &err),
                      err);
            golden_row_of("pool3", p, i, pool3, pipelines[p].pool3);
            golden_row_of("logits_unbiased", p, i, logits, pipelines[p].logits);
            golden_row_of("sfid", p, i, spatial, pipelines[p].spatial);
            if (strcmp(path, W16) == 0) /* the weights are the same in the other files */
                check_levels(net, p, i, image, pool3);
        }
    golden_images_close(&images);
    inception_close(net);
    backend_close(be);
}

static void test_zip(void **state)
{
    (void)state;
    check_network(W16);
}

static void test_legacy(void **state)
{
    (void)state;
    check_network(INCEPTION_GOLDEN("net/inception_w16_legacy.pth"));
}

static void test_safetensors(void **state)
{
    (void)state;
    check_network(INCEPTION_GOLDEN("net/inception_w16.safetensors"));
}

/* Features do not depend on the batch: they are equal bit for bit. */
static void test_batches(void **state)
{
    (void)state;
    enum { IMAGES = 32, WIDTH = 128 };
    Err err = {0};
    Backend *be = network_backend();
    Inception *net = inception_open(W16, be, &err);
    NpyArray set = golden_npy(INCEPTION_GOLDEN("e2e/set_b.npy"));
    static float pool3[3][IMAGES * WIDTH], logits[3][IMAGES * 1008], spatial[3][IMAGES * INCEPTION_SPATIAL];
    static const int batches[] = {1, 7, IMAGES};
    for (int k = 0; k < 3; k++)
        for (int at = 0; at < IMAGES; at += batches[k]) {
            int count = IMAGES - at < batches[k] ? IMAGES - at : batches[k];
            assert_ok(inception_run(net, (const uint8_t *)set.data + at * 3072, count, 32, 32, RESIZE_PT,
                                    pool3[k] + at * WIDTH, logits[k] + at * 1008, spatial[k] + at * INCEPTION_SPATIAL,
                                    &err),
                      err);
        }
    for (int k = 1; k < 3; k++) {
        assert_memory_equal(pool3[k], pool3[0], sizeof pool3[0]);
        assert_memory_equal(logits[k], logits[0], sizeof logits[0]);
        assert_memory_equal(spatial[k], spatial[0], sizeof spatial[0]);
    }
    for (int count = 1; count <= IMAGES; count += IMAGES - 1) { /* and from features that were kept */
        memset(logits[1], 0, sizeof logits[1]);
        for (int at = 0; at < IMAGES; at += count)
            assert_ok(inception_logits(net, pool3[0] + at * WIDTH, count, logits[1] + at * 1008, &err), err);
        assert_memory_equal(logits[1], logits[0], sizeof logits[0]);
    }
    npy_free(&set);
    inception_close(net);
    backend_close(be);
}

/* --- what is refused ----------------------------------------------------------------------------- */

/* A copy of the safetensors file in which `from`, somewhere in the header, reads `to` (of the same length). */
static char *altered(const char *folder, const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    char *path = xasprintf("%s/weights.safetensors", folder);
    FILE *in = fopen(INCEPTION_GOLDEN("net/inception_w16.safetensors"), "rb"), *out = fopen(path, "wb");
    static char data[1 << 20];
    size_t size = fread(data, 1, sizeof data, in);
    char *at = memmem(data, 200000, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(in);
    fclose(out);
    return path;
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = test_folder();
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"Mixed_6c.branch7x7_3.conv.weight", "AuxLogits.branch7x7_3.conv.weigh", "torchvision"},
        {"Mixed_7b.branch3x3dbl_3a.conv.weight", "Mixed_7b.branch3x3dbl_9a.conv.weight",
         "Mixed_7b.branch3x3dbl_3a.conv.weight"},
        {"Conv2d_3b_1x1.bn.running_var", "Conv2d_3b_1x1.bn.running_vax", "Conv2d_3b_1x1.bn.running_var"},
        {"\"fc.weight\"", "\"fc.weighs\"", "fc.weight"},
        {"\"fc.bias\"", "\"fc.bics\"", ": fc.bics;"},
        {"Mixed_5b.branch1x1.bn.num_batches_tracked", "Mixed_5b.branch1x1.bn.num_batches_trackee",
         "num_batches_trackee"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        char *path = altered(folder, cases[i].from, cases[i].to);
        assert_err(inception_open(path, be, &err) != NULL, err, path, cases[i].says);
        free(path);
    }
    assert_err(inception_open(INCEPTION_GOLDEN("stats/statistic_tensors.pth"), be, &err) != NULL, err, "FID Inception");
    assert_err(inception_open("/nonexistent/inception.pth", be, &err) != NULL, err, "/nonexistent/inception.pth");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    test_folder_remove(folder);
    backend_close(be);
}

/* Sets one value of a tensor of a safetensors file. */
static void poke(const char *path, const char *name, float value)
{
    static char header[1 << 20];
    uint64_t size;
    size_t from;
    FILE *file = fopen(path, "r+b");
    assert_int_equal(fread(&size, 8, 1, file), 1);
    assert_true(size < sizeof header);
    assert_int_equal(fread(header, 1, size, file), size);
    header[size] = '\0';
    const char *entry = strstr(header, name);
    assert_non_null(entry);
    assert_int_equal(sscanf(strstr(entry, "data_offsets"), "data_offsets\":[%zu", &from), 1);
    fseek(file, (long)(8 + size + from), SEEK_SET);
    assert_int_equal(fwrite(&value, sizeof value, 1, file), 1);
    fclose(file);
}

static void test_refuses_values(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = test_folder(), *path = xasprintf("%s/weights.safetensors", folder);
    int widths[INCEPTION_UNITS];
    for (int i = 0; i < INCEPTION_UNITS; i++)
        widths[i] = 4;
    procedural_weights(path, widths, 10);
    poke(path, "Mixed_6d.branch7x7_2.bn.running_var", -0.5f);
    assert_err(inception_open(path, be, &err) != NULL, err, path, "Mixed_6d.branch7x7_2", "-0.5", "variance");
    poke(path, "Mixed_6d.branch7x7_2.bn.running_var", 1);
    poke(path, "Mixed_7b.branch_pool.conv.weight", NAN);
    assert_err(inception_open(path, be, &err) != NULL, err, path, "Mixed_7b.branch_pool.conv.weight");
    assert_int_equal(err.kind, ERR_NUMERIC);
    backend_close(be);
    free(path);
    test_folder_remove(folder);
}

/* Small networks by formula: one with torchvision's classes, one too narrow for sFID. */
static void test_refuses_numbers(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = network_backend();
    char *folder = test_folder(), *path = xasprintf("%s/weights.safetensors", folder);
    int widths[INCEPTION_UNITS];
    for (int i = 0; i < INCEPTION_UNITS; i++)
        widths[i] = 4;
    procedural_weights(path, widths, 1000);
    assert_err(inception_open(path, be, &err) != NULL, err, path, "1000 classes", "torchvision");

    procedural_weights(path, widths, 10);
    Inception *net = inception_open(path, be, &err);
    assert_ok(net != NULL, err);
    assert_int_equal(inception_classes(net), 10);
    assert_int_equal(inception_width(net), 6 * 4);
    uint8_t image[27] = {0};
    float spatial[INCEPTION_SPATIAL], pool3[24];
    assert_err(inception_run(net, image, 1, 3, 3, RESIZE_PT, NULL, NULL, spatial, &err), err, "sFID", "7 channels",
               "have 4");
    assert_err(inception_run(net, image, 1, 0, 3, RESIZE_PT, pool3, NULL, NULL, &err), err, "3x0");
    assert_ok(inception_run(net, image, 1, 3, 3, RESIZE_PT, pool3, NULL, NULL, &err), err);
    inception_close(net);
    backend_close(be);
    free(path);
    test_folder_remove(folder);
}

static void test_table(void **state)
{
    (void)state;
    int units = 0, ends = 0;
    for (int b = 0; b < INCEPTION_BLOCKS; b++)
        for (int i = 0; i < inception_blocks[b].count; i++) {
            const Branch *branch = &inception_blocks[b].branches[i];
            for (const Unit *unit = branch->chain; unit->name; unit++)
                units++;
            for (const Unit *unit = branch->ends; unit->name; unit++)
                ends++;
        }
    assert_int_equal(units + ends, INCEPTION_UNITS);
    assert_int_equal(ends, 8); /* the forks of Mixed_7b and Mixed_7c */
}

int main(int argc, char **argv)
{
    network_options(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),           cmocka_unit_test(test_resize),
        cmocka_unit_test(test_stages),          cmocka_unit_test(test_zip),
        cmocka_unit_test(test_legacy),          cmocka_unit_test(test_safetensors),
        cmocka_unit_test(test_batches),         cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_numbers), cmocka_unit_test(test_refuses_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
