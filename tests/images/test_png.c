/* PNG in and out: round trips, every kind of pixel against Pillow, and files that are not what they should be. */
#include "tests/images/corpus.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *const corpus[] = {
    "grey1",
    "grey2",
    "grey4",
    "grey8",
    "grey16",
    "grey_alpha8",
    "grey_alpha16",
    "grey_clear",
    "rgb8",
    "rgb16",
    "rgb_clear",
    "rgba8",
    "rgba16",
    "palette1",
    "palette2",
    "palette4",
    "palette8",
    "palette_alpha",
    "interlaced_grey1",
    "interlaced_rgb8",
    "interlaced_palette4",
    "gamma_text",
};

typedef enum Fill { FILL_NOISE, FILL_GRADIENT, FILL_FLAT } Fill;

static uint8_t *make_pixels(int width, int height, Fill fill)
{
    uint8_t *rgb = xmalloc((size_t)width * (size_t)height * 3);
    uint32_t state = 1;
    for (int y = 0, i = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++, i++) {
                state = state * 1664525 + 1013904223;
                rgb[i] = (uint8_t)(fill == FILL_NOISE      ? (int)(state >> 24)
                                   : fill == FILL_GRADIENT ? x + 2 * y + 80 * c
                                                           : 255);
            }
    return rgb;
}

static void check_round_trip(int width, int height, Fill fill)
{
    Err err = {0};
    uint8_t *rgb = make_pixels(width, height, fill), *data = NULL;
    size_t size = 0, raw = (size_t)width * (size_t)height * 3;
    assert_ok(image_encode_png(rgb, width, height, &data, &size, &err), err);
    Image image = {0};
    assert_ok(image_decode_png(data, size, "round trip", &image, &err), err);
    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    assert_memory_equal(image.rgb, rgb, raw);
    assert_true(size < raw + raw / 100 + (size_t)height + 400); /* noise costs next to nothing more than itself */
    image_free(&image);
    assert_null(image.rgb);
    free(data);
    free(rgb);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1},     {1, 7},    {7, 1},    {13, 9},    {64, 64},
                                   {256, 256}, {2000, 3}, {5, 3001}, {1031, 517}};
    for (size_t i = 0; i < countof(sizes); i++)
        for (int fill = FILL_NOISE; fill <= FILL_FLAT; fill++)
            check_round_trip(sizes[i][0], sizes[i][1], (Fill)fill);
}

static void test_encode_is_small(void **state)
{
    (void)state;
    Err err = {0};
    uint8_t *rgb = make_pixels(256, 256, FILL_GRADIENT), *data;
    size_t size;
    assert_ok(image_encode_png(rgb, 256, 256, &data, &size, &err), err);
    assert_true(size < 4000); /* a gradient is all but constant after Sub, Up or Paeth */
    free(data);
    free(rgb);
}

static void test_encode_refuses(void **state)
{
    (void)state;
    Err err = {0};
    uint8_t pixel[3] = {0}, *data;
    size_t size;
    assert_err(image_encode_png(pixel, 0, 5, &data, &size, &err), err, "0x5", "16384");
    assert_err(image_encode_png(pixel, 16385, 1, &data, &size, &err), err, "16385x1");
    assert_err(image_encode_png(pixel, 16384, 16384, &data, &size, &err), err, "area");
}

static void test_corpus(void **state)
{
    (void)state;
    corpus_check("png", "png", corpus, countof(corpus), 13, 9);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const BadImage bad[] = {
        {"empty", "empty"},           {"text", "does not begin like one"},
        {"jpeg", "this JPEG"},        {"half", "ends too early"},
        {"no_end", "ends too early"}, {"checksum", "damaged"},
        {"huge", "65000x65000"},      {"hollow", "cannot hold"},
        {"short_rows", "damaged"},    {"palette_missing", "damaged"},
    };
    corpus_refused("png", "png", bad, countof(bad));
    Err err = {0};
    Image image = {0};
    assert_err(image_read("/nonexistent/a.png", &image, &err), err, "/nonexistent/a.png", "No such file");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(image_read("/tmp", &image, &err), err, "not a plain file");
}

static void test_every_prefix(void **state)
{
    (void)state;
    corpus_prefixes(GOLDEN("png/interlaced_palette4.png"), image_decode_png);
}

static int count_files(const char *folder)
{
    char *command = xasprintf("ls -A %s | wc -l", folder);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    free(command);
    return count;
}

static void test_write(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/000001.png", folder);
    uint8_t *rgb = make_pixels(64, 48, FILL_NOISE);
    assert_ok(image_write_png(path, rgb, 64, 48, true, &err), err);
    assert_ok(image_write_png(path, rgb, 64, 48, false, &err), err); /* over an older one */
    assert_int_equal(count_files(folder), 1);
    Image image;
    assert_ok(image_read(path, &image, &err), err);
    assert_memory_equal(image.rgb, rgb, 64 * 48 * 3);
    image_free(&image);

    char *nowhere = xasprintf("%s/none/a.png", folder);
    assert_err(image_write_png(nowhere, rgb, 64, 48, true, &err), err, nowhere, "No such file");
    free(nowhere);
    free(rgb);
    free(path);
    test_folder_remove(folder);
}

/* A write that the system refuses half way leaves the older file whole and nothing beside it. */
static void test_write_refused(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/a.png", folder);
    uint8_t *small = make_pixels(8, 8, FILL_NOISE), *large = make_pixels(256, 256, FILL_NOISE);
    assert_ok(image_write_png(path, small, 8, 8, true, &err), err);
    struct rlimit old, tight;
    getrlimit(RLIMIT_FSIZE, &old);
    tight = (struct rlimit){10000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    bool ok = image_write_png(path, large, 256, 256, true, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(ok);
    assert_non_null(strstr(err.text, "File too large"));
    assert_int_equal(count_files(folder), 1);
    Image image;
    assert_ok(image_read(path, &image, &err), err);
    assert_int_equal(image.width, 8);
    image_free(&image);
    free(small);
    free(large);
    free(path);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_encode_is_small),
        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_bad_files),      cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_write),          cmocka_unit_test(test_write_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
