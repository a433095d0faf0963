/* Contact sheets: layout, enlargement, order, and what they do with odd input. */
#include "tests/test.h"

#include "worker/images/grid.h"

static Image flat(int width, int height, uint8_t value)
{
    Image image = {width, height, xmalloc((size_t)width * (size_t)height * 3), 0};
    memset(image.rgb, value, (size_t)width * (size_t)height * 3);
    return image;
}

static int pixel(const Image *page, int x, int y)
{
    return page->rgb[((size_t)y * (size_t)page->width + (size_t)x) * 3];
}

static Image make_sheet(int count, int width, int height)
{
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/grid.png", folder);
    Image *images = xcalloc((size_t)count, sizeof *images);
    for (int i = 0; i < count; i++)
        images[i] = flat(width, height, (uint8_t)i);
    assert_ok(grid_write(path, images, count, &err), err);
    Image page;
    assert_ok(image_read(path, &page, &err), err);
    for (int i = 0; i < count; i++)
        image_free(&images[i]);
    free(images);
    free(path);
    test_folder_remove(folder);
    return page;
}

/* 64 pictures of 32x32: enlarged to 64, eight by eight, gaps of 4. */
static void test_digits(void **state)
{
    (void)state;
    Image page = make_sheet(64, 32, 32);
    assert_int_equal(page.width, 8 * 68 + 4);
    assert_int_equal(page.height, 8 * 68 + 4);
    for (int i = 0; i < 64; i++) {
        int x = 4 + i % 8 * 68, y = 4 + i / 8 * 68;
        assert_int_equal(pixel(&page, x, y), i);
        assert_int_equal(pixel(&page, x + 63, y + 63), i);
        assert_int_equal(pixel(&page, x + 64, y), 255);
        assert_int_equal(pixel(&page, x, y - 1), 255);
    }
    image_free(&page);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct {
        int count, columns, rows;
    } cases[] = {{1, 1, 1}, {2, 2, 1}, {5, 3, 2}, {10, 4, 3}, {64, 8, 8}, {100, 8, 8}};
    for (size_t i = 0; i < countof(cases); i++) {
        Image page = make_sheet(cases[i].count, 64, 64);
        assert_int_equal(page.width, 4 + cases[i].columns * 68);
        assert_int_equal(page.height, 4 + cases[i].rows * 68);
        image_free(&page);
    }
}

/* Sixteen pictures of 8000x1000 would make a page beyond what is written: fewer are shown. */
static void test_too_large(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/grid.png", folder);
    Image one = flat(8000, 1000, 7), images[16];
    for (int i = 0; i < 16; i++)
        images[i] = one;
    assert_ok(grid_write(path, images, 16, &err), err);
    Image page;
    assert_ok(image_read(path, &page, &err), err);
    assert_int_equal(page.width, 252 + 8000 + 252); /* two of them, one above the other, no longer fit either way */
    assert_int_equal(page.height, 252 + 1000 + 252);
    assert_int_equal(pixel(&page, 252, 252), 7);
    image_free(&page);
    image_free(&one);
    free(path);
    test_folder_remove(folder);
}

static void test_files(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/grid.png", folder);
    const char *const files[] = {GOLDEN("png/rgb8.png"), GOLDEN("png/grey8.png"), GOLDEN("png/palette8.png")};
    assert_ok(grid_write_files(path, files, 3, &err), err);
    Image page, first;
    assert_ok(image_read(path, &page, &err), err);
    assert_ok(image_read(files[0], &first, &err), err);
    assert_int_equal(page.width, 3 * 3 + 2 * 13 * 4); /* enlarged by 4, two columns, gaps of 3 */
    assert_memory_equal(page.rgb + ((size_t)3 * (size_t)page.width + 3) * 3, first.rgb, 3);
    image_free(&page);
    image_free(&first);
    const char *const missing[] = {"/nonexistent/1.png"};
    assert_err(grid_write_files(path, missing, 1, &err), err, "/nonexistent/1.png");
    assert_err(grid_write(path, NULL, 0, &err), err, "no images");
    free(path);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
