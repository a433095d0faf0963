/* Shards and the writer that makes them: what is safe, what is valid, what is removed. */
#include "worker/job/shards.h"

#include <sys/stat.h>

#include "tests/test.h"
#include "worker/arrays/npy.h"
#include "worker/images/images.h"
#include "worker/job/writer.h"

enum { SIDE = 4, WIDTH = 3 };

static const char identity[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static ShardNeeds needs_all(void)
{
    ShardNeeds needs = {.identity = identity, .png = true, .contents = true, .pixels_below = INT64_MAX};
    needs.arrays[ARRAY_FEATURES] = needs.arrays[ARRAY_PIXELS] = true;
    return needs;
}

static void make_folders(const char *output)
{
    static const char *const names[] = {"images", "blocks"};
    for (size_t i = 0; i < countof(names); i++) {
        char *path = xasprintf("%s/%s", output, names[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        free(path);
    }
}

/* Image i is filled with i, its feature j is i + j / 10. */
static WriterBatch *batch_of(int64_t lo, int count)
{
    WriterBatch *batch = xcalloc(1, sizeof *batch);
    batch->lo = lo;
    batch->count = count;
    uint8_t *pixels = batch->arrays[ARRAY_PIXELS] = xmalloc((size_t)count * SIDE * SIDE * 3);
    float *features = batch->arrays[ARRAY_FEATURES] = xmalloc((size_t)count * WIDTH * sizeof *features);
    for (int i = 0; i < count * SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)(lo + i / (SIDE * SIDE * 3));
    for (int i = 0; i < count * WIDTH; i++)
        features[i] = (float)(lo + i / WIDTH) + (float)(i % WIDTH) / 10;
    batch->seconds[STAGE_DECODE] = 0.5;
    return batch;
}

static Writer *open_writer(const char *output, ShardNeeds keeps, Err *err)
{
    WriterPlan plan = {.output = output, .keeps = keeps, .side = SIDE, .threads = 2, .shard_seconds = 1e9};
    plan.rows[ARRAY_FEATURES] = (ShardRow){1, {WIDTH}, WIDTH * sizeof(float)};
    plan.rows[ARRAY_PIXELS] = (ShardRow){3, {SIDE, SIDE, 3}, SIDE * SIDE * 3};
    return writer_open(&plan, err);
}

/* Ranges given as lo, hi, lo, hi, ..., -1, in batches of at most 5. */
static void write_ranges(const char *output, const int *bounds)
{
    Err err = {0};
    Writer *writer = open_writer(output, needs_all(), &err);
    assert_non_null(writer);
    int end = -1;
    for (; *bounds >= 0; bounds += 2)
        for (int at = bounds[0]; at < bounds[1]; at = end) {
            end = at + 5 < bounds[1] ? at + 5 : bounds[1];
            assert_ok(writer_add(writer, batch_of(at, end - at), &err), err);
        }
    assert_ok(writer_finish(writer, &err), err);
    assert_int_equal(writer_safe(writer, -1), end);
    writer_close(writer);
}

typedef struct Seen {
    int64_t next;
    int calls;
} Seen;

static bool see_features(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    (void)err;
    Seen *seen = ctx;
    assert_int_equal(row->ndim, 1);
    assert_int_equal(row->shape[0], WIDTH);
    for (int64_t i = 0; i < count * WIDTH; i++)
        assert_true(((const float *)rows)[i] == (float)(seen->next + i / WIDTH) + (float)(i % WIDTH) / 10);
    seen->next += count;
    seen->calls++;
    return true;
}

static void test_write_and_read(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    write_ranges(output, (const int[]){0, 12, 20, 33, -1});
    Err err = {0};
    Shards shards = {0};
    ShardNeeds needs = needs_all();
    assert_ok(shards_scan(output, &needs, 0, 100, &shards, &err), err);
    assert_int_equal(shards_reach(&shards, 0), 12);
    assert_int_equal(shards_reach(&shards, 5), 12);
    assert_int_equal(shards_reach(&shards, 12), 12);
    assert_int_equal(shards_next(&shards, 12, 100), 20);
    assert_int_equal(shards_next(&shards, 12, 15), 15);
    assert_int_equal(shards_next(&shards, 25, 100), 25);
    assert_int_equal(shards_next(&shards, 33, 100), 100);
    Seen seen = {20, 0};
    assert_ok(shards_read(&shards, ARRAY_FEATURES, 20, 33, see_features, &seen, &err), err);
    assert_int_equal(seen.next, 33);
    assert_err(shards_read(&shards, ARRAY_FEATURES, 0, 33, see_features, &(Seen){0, 0}, &err), err,
               "no features of image 12");
    shards_done(&shards);

    Image image;
    char *path = shard_image_path(output, 31);
    assert_ok(image_read(path, &image, &err), err);
    assert_int_equal(image.rgb[SIDE * SIDE * 3 - 1], 31);
    image_free(&image);
    free(path);
    test_folder_remove(output);
}

/* Overlapping shards of two workers: each row once, in order. */
static void test_overlap(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    write_ranges(output, (const int[]){0, 10, -1});
    write_ranges(output, (const int[]){4, 8, -1});
    write_ranges(output, (const int[]){7, 19, -1});
    write_ranges(output, (const int[]){0, 3, -1});
    Err err = {0};
    Shards shards = {0};
    ShardNeeds needs = needs_all();
    assert_ok(shards_scan(output, &needs, 0, 19, &shards, &err), err);
    assert_int_equal(shards.count, 4);
    assert_int_equal(shards_reach(&shards, 0), 19);
    Seen seen = {0, 0};
    assert_ok(shards_read(&shards, ARRAY_FEATURES, 0, 19, see_features, &seen, &err), err);
    assert_int_equal(seen.next, 19);
    assert_int_equal(seen.calls, 2);
    shards_done(&shards);
    test_folder_remove(output);
}

/* --- what makes a shard invalid ------------------------------------------------------------------- */

static void damage(const char *output, const char *name, long offset, int byte)
{
    char *path = xasprintf("%s/%s", output, name);
    if (offset == 0) {
        assert_int_equal(unlink(path), 0);
    } else if (byte < 0) {
        assert_int_equal(truncate(path, offset), 0);
    } else {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        fseek(file, offset, SEEK_END);
        fputc(byte, file);
        fclose(file);
    }
    free(path);
}

static const struct {
    const char *name;
    long offset; /* 0: remove; byte < 0: cut there; else write the byte there, from the end */
    int byte;
    bool sizes_see_it;
} damages[] = {
    {"images/000007.png", 0, 0, true},
    {"images/000003.png", 20, -1, true},
    {"blocks/000000-000012.features.npy", 0, 0, true},
    {"blocks/000000-000012.features.npy", 140, -1, true},
    {"blocks/000000-000012.features.npy", -2, 0x55, false},
    {"blocks/000000-000012.pixels.npy", -1, 0x55, false},
    {"blocks/000000-000012.json", 50, -1, true},
    {"blocks/000000-000012.json", 0, 0, true},
    {"blocks/000000-000012.json", -60, '{', true},
};

static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(damages); i++) {
        char *output = test_folder();
        make_folders(output);
        write_ranges(output, (const int[]){0, 12, -1});
        damage(output, damages[i].name, damages[i].offset, damages[i].byte);
        Err err = {0};
        Shards shards = {0};
        ShardNeeds needs = needs_all();
        needs.contents = false;
        assert_ok(shards_scan(output, &needs, 0, 12, &shards, &err), err);
        assert_int_equal(shards.count, damages[i].sizes_see_it ? 0 : 1);
        shards_done(&shards);
        for (int pass = 0; pass < 2; pass++) { /* once found, a scan of sizes alone rejects it too */
            needs.contents = pass == 0;
            assert_ok(shards_scan(output, &needs, 0, 12, &shards, &err), err);
            if (shards.count != 0)
                fail_msg("damage %zu (%s) was not seen", i, damages[i].name);
            shards_done(&shards);
        }
        test_folder_remove(output);
    }
}

static void test_other_needs(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    write_ranges(output, (const int[]){0, 12, -1});
    Err err = {0};
    Shards shards = {0};
    char other[65];
    memcpy(other, identity, sizeof other);
    other[63] = '0';
    ShardNeeds needs = needs_all();
    needs.identity = other;
    assert_ok(shards_scan(output, &needs, 0, 12, &shards, &err), err);
    assert_int_equal(shards.count, 0);
    shards_done(&shards);
    write_ranges(output, (const int[]){0, 12, -1});
    needs = needs_all();
    needs.arrays[ARRAY_CODES] = true; /* never written */
    assert_ok(shards_scan(output, &needs, 0, 12, &shards, &err), err);
    assert_int_equal(shards.count, 0);
    shards_done(&shards);
    write_ranges(output, (const int[]){0, 12, -1});
    needs = needs_all();
    assert_ok(shards_scan(output, &needs, 12, 40, &shards, &err), err); /* does not meet the range */
    assert_int_equal(shards.count, 0);
    shards_done(&shards);
    char *nowhere = xasprintf("%s/nowhere", output);
    assert_ok(shards_scan(nowhere, &needs, 0, 12, &shards, &err), err);
    assert_int_equal(shards.count, 0);
    shards_done(&shards);
    free(nowhere);
    test_folder_remove(output);
}

/* --- the writer ------------------------------------------------------------------------------------ */

static void test_shard_sizes(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    write_ranges(output, (const int[]){0, 3 * SHARD_IMAGES, -1}); /* in batches of five: 256 is met at 260, 520 */
    Err err = {0};
    Shards shards = {0};
    ShardNeeds needs = needs_all();
    assert_ok(shards_scan(output, &needs, 0, 3 * SHARD_IMAGES, &shards, &err), err);
    assert_int_equal(shards.count, 3);
    assert_int_equal(shards.items[1].lo, 260);
    assert_int_equal(shards.items[2].lo, 520);
    assert_int_equal(shards_reach(&shards, 0), 3 * SHARD_IMAGES);
    shards_done(&shards);
    test_folder_remove(output);
}

static void test_pixels_of_the_first_alone(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    ShardNeeds keeps = needs_all();
    keeps.pixels_below = 10;
    Err err = {0};
    Writer *writer = open_writer(output, keeps, &err);
    assert_ok(writer_add(writer, batch_of(8, 4), &err), err);
    assert_ok(writer_add(writer, batch_of(20, 4), &err), err);
    assert_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    char *with = shard_array_path(output, 8, 12, ARRAY_PIXELS),
         *without = shard_array_path(output, 20, 24, ARRAY_PIXELS);
    assert_int_equal(access(with, F_OK), 0);
    assert_int_not_equal(access(without, F_OK), 0);
    Shards shards = {0};
    assert_ok(shards_scan(output, &keeps, 0, 30, &shards, &err), err);
    assert_int_equal(shards.count, 2);
    shards_drop_array(&shards, ARRAY_PIXELS);
    assert_int_not_equal(access(with, F_OK), 0);
    shards_done(&shards);
    free(with);
    free(without);
    test_folder_remove(output);
}

/* Closing without finishing keeps what is safe and leaves no partial shard. */
static void test_dropped(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    Err err = {0};
    Writer *writer = open_writer(output, needs_all(), &err);
    assert_ok(writer_add(writer, batch_of(0, 3), &err), err);
    writer_close(writer);
    writer_close(NULL);
    Shards shards = {0};
    ShardNeeds needs = needs_all();
    assert_ok(shards_scan(output, &needs, 0, 3, &shards, &err), err);
    assert_int_equal(shards.count, 0);
    shards_done(&shards);
    test_folder_remove(output);
}

/* The folder is removed while the writer runs: the first failure is kept, and nothing hangs. */
static void test_failure(void **state)
{
    (void)state;
    char *output = test_folder();
    Err err = {0};
    Writer *writer = open_writer(output, needs_all(), &err); /* neither images/ nor blocks/ */
    bool good = true;
    for (int i = 0; i < 400 && good; i++)
        good = writer_add(writer, batch_of(i * 4, 4), &err);
    good = writer_finish(writer, &err) && good;
    assert_false(good);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.text, output));
    assert_int_equal(writer_safe(writer, -1), -1);
    assert_err(writer_add(writer, batch_of(0, 1), &err), err, output);
    writer_close(writer);
    test_folder_remove(output);
}

static void test_sweep(void **state)
{
    (void)state;
    char *output = test_folder();
    make_folders(output);
    write_ranges(output, (const int[]){0, 12, -1});
    static const struct {
        const char *name;
        bool stays;
    } files[] = {
        {".codes.npy.host-1-1.part", false},
        {"notes.txt", true},
        {"images/.000001.png.host-1-1.part", false},
        {"images/other.png", true},
        {"blocks/000020-000030.features.npy", false},
        {"blocks/000020-000030.json", false},
        {"blocks/junk", false},
        {"blocks/000000-000012.features.npy", true},
    };
    for (size_t i = 0; i < countof(files); i++) {
        char *path = xasprintf("%s/%s", output, files[i].name);
        if (access(path, F_OK) != 0)
            fclose(fopen(path, "w"));
        free(path);
    }
    Err err = {0};
    Shards shards = {0};
    ShardNeeds needs = needs_all();
    assert_ok(shards_scan(output, &needs, 0, 12, &shards, &err), err);
    shards_sweep(&shards);
    for (size_t i = 0; i < countof(files); i++) {
        char *path = xasprintf("%s/%s", output, files[i].name);
        if ((access(path, F_OK) == 0) != files[i].stays)
            fail_msg("%s %s", files[i].name, files[i].stays ? "was swept away" : "is still there");
        free(path);
    }
    shards_done(&shards);
    test_folder_remove(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_other_needs),
        cmocka_unit_test(test_shard_sizes),    cmocka_unit_test(test_pixels_of_the_first_alone),
        cmocka_unit_test(test_dropped),        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
