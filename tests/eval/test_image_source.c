/* Sources of images: folders in natural order, arrays streamed, and sources that hold nothing. */
#include "tests/eval/golden.h"

#include <sys/stat.h>

#include "worker/images.h"

/* A 2x1 PNG whose first byte tells which it is. */
static void put_image(const char *folder, const char *name, uint8_t value)
{
    Err err = {0};
    char *path = xasprintf("%s/%s", folder, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    uint8_t rgb[6] = {value, 1, 2, 3, 4, 5};
    assert_ok(image_write_png(path, rgb, 2, 1, false, &err), err);
    free(path);
}

static void put_text(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    fputs("hello\n", file);
    fclose(file);
    free(path);
}

static void check_values(const char *path, const int *values, int count)
{
    Err err = {0};
    ImageSource *source = image_source_open(path, &err);
    assert_ok(source != NULL, err);
    assert_int_equal(image_source_count(source), count);
    Image image;
    for (int i = 0; i < count; i++) {
        assert_ok(image_source_next(source, &image, &err), err);
        if (image.rgb[0] != values[i])
            fail_msg("image %d of %s is %d, wanted %d", i, path, image.rgb[0], values[i]);
        image_free(&image);
    }
    for (int i = 0; i < 2; i++) { /* the end stays the end */
        assert_ok(image_source_next(source, &image, &err), err);
        assert_null(image.rgb);
    }
    image_source_close(source);
}

static void test_natural_order(void **state)
{
    (void)state;
    static const char *const names[] = {"1.png",    "2.png",     "02.png",      "10.png",     "a/1.png",    "a/b/3.png",
                                        "a2/9.png", "a10/1.png", "img9x10.png", "img9x9.PNG", "img10x1.png"};
    /* 02 and 2 are equal as numbers, so the bytes decide; a folder's files stay together, before names that go on. */
    static const int order[] = {0, 2, 1, 3, 4, 5, 6, 7, 9, 8, 10};
    char *folder = test_folder();
    for (size_t i = countof(names); i-- > 0;)
        put_image(folder, names[i], (uint8_t)i);
    put_text(folder, "notes.txt");
    put_text(folder, ".hidden.png");
    check_values(folder, order, countof(names));
    char *slashed = xasprintf("%s/", folder);
    check_values(slashed, order, countof(names));
    free(slashed);
    Err err = {0};
    ImageSource *source = image_source_open(folder, &err);
    char *name = image_source_name(source, 5), *wanted = xasprintf("%s/a/b/3.png", folder);
    assert_string_equal(name, wanted);
    free(name);
    free(wanted);
    image_source_close(source);
    test_folder_remove(folder);
}

/* In a job's output folder the contact sheet is no sample. */
static void test_output_folder(void **state)
{
    (void)state;
    char *folder = test_folder();
    put_image(folder, "images/000000.png", 7);
    put_image(folder, "images/000001.png", 8);
    put_image(folder, "grid.png", 9);
    check_values(folder, (const int[]){9, 7, 8}, 3); /* an ordinary folder so far */
    put_text(folder, "job.json");
    check_values(folder, (const int[]){7, 8}, 2);
    test_folder_remove(folder);
}

static void test_links(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *other = test_folder(), *link = xasprintf("%s/class", folder);
    put_image(other, "0.png", 3);
    assert_int_equal(symlink(other, link), 0);
    check_values(folder, (const int[]){3}, 1);
    unlink(link);
    assert_int_equal(symlink(folder, link), 0);
    ImageSource *source = NULL;
    assert_err((source = image_source_open(folder, &err)) != NULL, err, link, "leads back");
    unlink(link);
    assert_int_equal(symlink("/nonexistent", link), 0);
    assert_err((source = image_source_open(folder, &err)) != NULL, err, link, "No such file");
    free(link);
    test_folder_remove(folder);
    test_folder_remove(other);
}

static void test_nothing(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder();
    assert_err(image_source_open(folder, &err) != NULL, err, folder, "no images");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    put_text(folder, "0001.jpg");
    assert_err(image_source_open(folder, &err) != NULL, err, folder, "no .png", "0001.jpg");
    put_text(folder, "x.png");
    ImageSource *source = image_source_open(folder, &err);
    assert_int_equal(image_source_count(source), 1);
    Image image;
    assert_err(image_source_next(source, &image, &err), err, "x.png", "not a PNG");
    assert_err(image_source_next(source, &image, &err), err, "x.png"); /* it is not stepped over */
    image_source_close(source);
    assert_err(image_source_open("/nonexistent", &err) != NULL, err, "/nonexistent", "No such file");
    char *file = xasprintf("%s/x.png", folder);
    assert_err(image_source_open(file, &err) != NULL, err, file, "folder of PNG files");
    free(file);
    test_folder_remove(folder);
}

static void test_arrays(void **state)
{
    (void)state;
    Err err = {0};
    NpyArray all;
    Npz *npz = npz_open(INCEPTION_GOLDEN("e2e/set_a_adm.npz"), &err);
    assert_ok(npz_read(npz, "arr_0", &all, &err), err);
    static const char *const paths[] = {INCEPTION_GOLDEN("e2e/set_a_adm.npz"), INCEPTION_GOLDEN("e2e/set_b.npy")};
    NpyArray b = golden_npy(paths[1]);
    const NpyArray *wanted[] = {&all, &b};
    for (int k = 0; k < 2; k++) {
        ImageSource *source = image_source_open(paths[k], &err);
        assert_ok(source != NULL, err);
        assert_int_equal(image_source_count(source), wanted[k]->shape[0]);
        Image image;
        for (int64_t i = 0; i < wanted[k]->shape[0]; i++) {
            assert_ok(image_source_next(source, &image, &err), err);
            assert_int_equal(image.width, 32);
            assert_int_equal(image.height, 32);
            assert_memory_equal(image.rgb, (const uint8_t *)wanted[k]->data + i * 3072, 3072);
            image_free(&image);
        }
        assert_ok(image_source_next(source, &image, &err), err);
        assert_null(image.rgb);
        image_source_close(source);
    }
    npy_free(&all);
    npy_free(&b);
    npz_close(npz);
}

static void test_bad_arrays(void **state)
{
    (void)state;
    Err err = {0};
    assert_err(image_source_open(INCEPTION_GOLDEN("e2e/pool3_a_pt.npy"), &err) != NULL, err, "[192,128] f32",
               "[n,height,width,3]");
    assert_err(image_source_open(INCEPTION_GOLDEN("stats/stats_savez.npz"), &err) != NULL, err, "arr_0");
    char *folder = test_folder(), *path = xasprintf("%s/none.npy", folder);
    assert_ok(npy_write(path, DTYPE_U8, 4, (int64_t[]){0, 8, 8, 3}, "", &err), err);
    assert_err(image_source_open(path, &err) != NULL, err, path, "no images");
    uint8_t grey[64] = {0};
    assert_ok(npy_write(path, DTYPE_U8, 4, (int64_t[]){1, 8, 8, 1}, grey, &err), err);
    assert_err(image_source_open(path, &err) != NULL, err, "[1,8,8,1] u8");
    free(path);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural_order), cmocka_unit_test(test_output_folder), cmocka_unit_test(test_links),
        cmocka_unit_test(test_nothing),       cmocka_unit_test(test_arrays),        cmocka_unit_test(test_bad_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
