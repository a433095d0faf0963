/* A corpus of image files: every kind of pixel as Pillow reads it, and files that must be refused. tests/golden/png and
 * tests/golden/jpeg have one each, made by their make.py. */
#ifndef TESTS_IMAGES_CORPUS_H
#define TESTS_IMAGES_CORPUS_H

#include "tests/test.h"
#include "worker/images/images.h"

typedef bool (*DecodeFn)(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);

/* NAME.SUFFIX of each name, [height,width,3], against the pixels of expected.rgb in the same order. */
static inline void corpus_check(const char *kind, const char *suffix, const char *const *names, size_t count, int width,
                                int height)
{
    Err err = {0};
    char *pixels = xasprintf(GOLDEN("%s/expected.rgb"), kind);
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *expected = xmalloc(bytes);
    FILE *file = fopen(pixels, "rb");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++) {
        char *path = xasprintf(GOLDEN("%s/%s.%s"), kind, names[i], suffix);
        Image image = {0};
        assert_int_equal(fread(expected, 1, bytes, file), bytes);
        assert_ok(image_read(path, &image, &err), err);
        assert_int_equal(image.width, width);
        assert_int_equal(image.height, height);
        for (size_t k = 0; k < bytes; k++)
            if (image.rgb[k] != expected[k])
                fail_msg("%s: byte %zu is %d, Pillow reads %d", names[i], k, image.rgb[k], expected[k]);
        image_free(&image);
        free(path);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    free(expected);
    free(pixels);
}

typedef struct BadImage {
    const char *name, *says;
} BadImage;

/* Each bad_NAME.SUFFIX is refused with an error that names it. */
static inline void corpus_refused(const char *kind, const char *suffix, const BadImage *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Err err = {0};
        Image image = {0};
        char *path = xasprintf(GOLDEN("%s/bad_%s.%s"), kind, bad[i].name, suffix);
        assert_err(image_read(path, &image, &err), err, path, bad[i].says);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_null(image.rgb);
        free(path);
    }
}

/* Every prefix of a good file is an error, never a crash or a half image. */
static inline void corpus_prefixes(const char *path, DecodeFn decode)
{
    static uint8_t data[1 << 14];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(data, 1, sizeof data, file);
    assert_true(size > 100 && size < sizeof data);
    fclose(file);
    for (size_t n = 0; n < size; n++) {
        Err err = {0};
        Image image = {0};
        uint8_t *part = xmalloc(n + 1);
        memcpy(part, data, n);
        assert_err(decode(part, n, "prefix", &image, &err), err, "prefix");
        free(part);
    }
}

#endif
