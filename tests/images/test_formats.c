/* WebP, BMP, TIFF and PPM in: every kind of pixel against Pillow, to the last bit (tests/golden/formats), and files
 * that are not what they should be. */
#include "tests/test.h"

#include <dirent.h>

#include "worker/images/images.h"

#define FORMATS GOLDEN("formats")

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static void compare(const char *path)
{
    Err err = {0};
    Image image = {0}, wanted = {0};
    char *png = xasprintf("%s.png", path);
    if (!image_read(path, &image, &err))
        fail_msg("%s", err.text);
    assert_ok(image_read(png, &wanted, &err), err);
    if (image.width != wanted.width || image.height != wanted.height)
        fail_msg("%s: %dx%d, Pillow reads %dx%d", path, image.width, image.height, wanted.width, wanted.height);
    for (int i = 0; i < image.width * image.height * 3; i++)
        if (image.rgb[i] != wanted.rgb[i])
            fail_msg("%s: byte %d is %d, Pillow reads %d", path, i, image.rgb[i], wanted.rgb[i]);
    assert_int_equal((image.traits & IMAGE_GREY16) != 0, strstr(path, "grey16") != NULL);
    assert_int_equal((image.traits & IMAGE_LOSSY_WEBP) != 0,
                     ends_in(path, "lossy.webp") || ends_in(path, "lossy_alpha.webp") || ends_in(path, "exif.webp") ||
                         strstr(path, "animated") != NULL);
    image_free(&image);
    image_free(&wanted);
    free(png);
}

/* Each NAME that has a NAME.png beside it. */
static void test_corpus(void **state)
{
    (void)state;
    int count = 0;
    DIR *dir = opendir(FORMATS);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, "bad_", 4) == 0 || strchr(entry->d_name, '.') == strrchr(entry->d_name, '.') ||
            !ends_in(entry->d_name, ".png"))
            continue;
        char *path = xasprintf(FORMATS "/%.*s", (int)strlen(entry->d_name) - 4, entry->d_name);
        compare(path);
        free(path);
        count++;
    }
    closedir(dir);
    assert_true(count >= 70);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
    } bad[] = {
        {"half.bmp", "ends too early"},
        {"huge.bmp", "60000x60000"},
        {"hollow.bmp", "ends too early"},
        {"masks.bmp", "masks 3ff, ffc00, 3ff00000"},
        {"rle4.bmp", "4 bits with compression 2"},
        {"runs_end.bmp", "run lengths end after"},
        {"colour.bmp", "the palette has 100"},
        {"header.bmp", "a header of 41 bytes"},
        {"half.tif", "damaged TIFF"},
        {"cut.tif", "damaged TIFF"},
        {"float.tif", "1 samples of 32 bits (float)"},
        {"twelve.tif", "1 samples of 12 bits"},
        {"ycbcr.tif", "photometric 6"},
        {"lab.tif", "photometric 8"},
        {"huge.tif", "60000x60000"},
        {"hollow.tif", "damaged TIFF"},
        {"no_palette.tif", "damaged TIFF"},
        {"damaged.tif", "damaged TIFF"},
        {"half.webp", "damaged WebP"},
        {"header.webp", "damaged WebP"},
        {"half_animated.webp", "damaged WebP"},
        {"wave.webp", "does not begin like one"},
        {"half.ppm", "ends too early"},
        {"huge.ppm", "60000x60000"},
        {"hollow.ppm", "ends too early"},
        {"most.ppm", "largest value"},
        {"word.ppm", "a number was wanted"},
        {"above.ppm", "above the largest"},
        {"bit.pbm", "neither 0 nor 1"},
        {"long.ppm", "too long"},
    };
    for (size_t i = 0; i < countof(bad); i++) {
        Err err = {0};
        char *path = xasprintf(FORMATS "/bad_%s", bad[i].name);
        Image image = {0};
        assert_err(image_read(path, &image, &err), err, path, bad[i].says);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_null(image.rgb);
        free(path);
    }
}

/* Whatever is cut off, nothing is made up. A TIFF's pages may lie before its end, and a WebP has bytes of padding. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.bmp", "runs.bmp", "p6.ppm", "p3.ppm", "lossless.webp", "rgb_tiff_lzw.tif"};
    for (size_t k = 0; k < countof(names); k++) {
        static uint8_t whole[65536];
        char *path = xasprintf(FORMATS "/%s", names[k]);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t size = fread(whole, 1, sizeof whole, file);
        fclose(file);
        Image wanted = {0};
        Err err = {0};
        assert_ok(image_decode(whole, size, "whole", &wanted, &err), err);
        for (size_t n = 1; n < size; n += n < 200 ? 1 : 37) {
            uint8_t *part = xmalloc(n);
            memcpy(part, whole, n);
            Image image = {0};
            if (image_decode(part, n, "part", &image, &err) &&
                (image.width != wanted.width || image.height != wanted.height ||
                 memcmp(image.rgb, wanted.rgb, (size_t)image.width * (size_t)image.height * 3) != 0))
                fail_msg("%s: %zu of %zu bytes give another image", names[k], n, size);
            image_free(&image);
            free(part);
        }
        image_free(&wanted);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
