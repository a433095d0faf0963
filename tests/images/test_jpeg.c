/* JPEG in: every kind of pixel against Pillow, to the last bit, and files that are not what they should be. */
#include "tests/test.h"

#include "worker/images/images.h"

enum { CORPUS_W = 37, CORPUS_H = 29, CORPUS_BYTES = CORPUS_W * CORPUS_H * 3 };

static const char *const corpus[] = {"rgb_444",
                                     "rgb_422",
                                     "rgb_420",
                                     "rgb_420_fine",
                                     "rgb_progressive",
                                     "rgb_optimised",
                                     "rgb_untransformed",
                                     "rgb_turned",
                                     "rgb_gamma",
                                     "grey",
                                     "grey_progressive",
                                     "cmyk",
                                     "cmyk_without_adobe",
                                     "ycck",
                                     "junk_before_marker"};

static void test_corpus(void **state)
{
    (void)state;
    Err err = {0};
    FILE *file = fopen(GOLDEN("jpeg/expected.rgb"), "rb");
    assert_non_null(file);
    for (size_t i = 0; i < countof(corpus); i++) {
        uint8_t expected[CORPUS_BYTES];
        assert_int_equal(fread(expected, 1, sizeof expected, file), sizeof expected);
        char *path = xasprintf(GOLDEN("jpeg/%s.jpg"), corpus[i]);
        Image image = {0};
        assert_ok(image_read(path, &image, &err), err);
        assert_int_equal(image.width, CORPUS_W);
        assert_int_equal(image.height, CORPUS_H);
        for (int k = 0; k < CORPUS_BYTES; k++)
            if (image.rgb[k] != expected[k])
                fail_msg("%s: byte %d is %d, Pillow reads %d", corpus[i], k, image.rgb[k], expected[k]);
        image_free(&image);
        free(path);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
    } bad[] = {
        {"empty", "empty"},
        {"text", "does not begin like one"},
        {"half", "remature end"},
        {"no_end", "remature end"},
        {"header_alone", "cannot read this JPEG"},
        {"huge", "65000x65000"},
        {"hollow", "cannot hold"},
        {"no_height", "cannot read this JPEG"},
        {"damaged_scan", "cannot read this JPEG: Corrupt"},
        {"two_components", "2 components"},
        {"twelve_bits", "cannot read this JPEG: Unsupported JPEG data precision 12"},
        {"lossless", "cannot read this JPEG: Unsupported JPEG process"},
        {"many_scans", "more than 200 scans"},
    };
    for (size_t i = 0; i < countof(bad); i++) {
        Err err = {0};
        char *path = xasprintf(GOLDEN("jpeg/bad_%s.jpg"), bad[i].name);
        Image image = {0};
        assert_err(image_read(path, &image, &err), err, path, bad[i].says);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_null(image.rgb);
        free(path);
    }
}

/* Every prefix of a good file is an error, never a crash or a half image. */
static void test_every_prefix(void **state)
{
    (void)state;
    static const char *const paths[] = {GOLDEN("jpeg/rgb_420.jpg"), GOLDEN("jpeg/grey_progressive.jpg"),
                                        GOLDEN("jpeg/cmyk.jpg")};
    for (size_t i = 0; i < countof(paths); i++) {
        FILE *file = fopen(paths[i], "rb");
        uint8_t data[8192];
        size_t size = fread(data, 1, sizeof data, file);
        assert_true(size > 100 && size < sizeof data);
        fclose(file);
        for (size_t n = 0; n < size; n++) {
            Err err = {0};
            Image image = {0};
            uint8_t *part = xmalloc(n + 1);
            memcpy(part, data, n);
            assert_err(image_decode(part, n, "prefix", &image, &err), err, "prefix");
            free(part);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
