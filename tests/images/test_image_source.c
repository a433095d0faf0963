/* Sources of images: folders in natural order, arrays at any index, sources that hold nothing or change while they are
 * read, and reading ahead. */
#include "tests/golden_arrays.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "worker/images/reader.h"

/* A 2x1 PNG whose first byte is its number. */
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
        assert_ok(image_source_read(source, i, &image, &err), err);
        if (image.rgb[0] != values[i])
            fail_msg("image %d of %s is %d, wanted %d", i, path, image.rgb[0], values[i]);
        image_free(&image);
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
    put_image(folder, "images/seen/grid.png", 10); /* an evaluation that put its output among the images */
    put_text(folder, "images/seen/job.json");
    check_values(folder, (const int[]){7, 8, 10}, 3); /* images/ is what makes it an output */
    put_image(folder, "images/seen/images/1.png", 11);
    check_values(folder, (const int[]){7, 8, 11}, 3);
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
    char *absent = xasprintf("%s/absent", other);
    assert_int_equal(symlink(absent, link), 0);
    assert_err((source = image_source_open(folder, &err)) != NULL, err, link, "No such file");
    free(absent);
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
    put_text(folder, "0001.txt");
    assert_err(image_source_open(folder, &err) != NULL, err, folder, "no image in it or below it", "0001.txt");
    put_text(folder, "x.png");
    ImageSource *source = image_source_open(folder, &err);
    assert_int_equal(image_source_count(source), 1);
    Image image;
    assert_err(image_source_read(source, 0, &image, &err), err, "x.png", "does not begin like one");
    image_source_close(source);
    char *absent = xasprintf("%s/absent", folder);
    assert_err(image_source_open(absent, &err) != NULL, err, absent, "No such file");
    free(absent);
    char *file = xasprintf("%s/x.png", folder);
    assert_err(image_source_open(file, &err) != NULL, err, file, "wanted a folder or a zip of images");
    assert_err(image_source_open(GOLDEN("jpeg/grey.jpg"), &err) != NULL, err, "this is one image", "folder");
    free(file);
    test_folder_remove(folder);
}

static void test_arrays(void **state)
{
    (void)state;
    Err err = {0};
    NpyArray all;
    Npz *npz = npz_open(INCEPTION_GOLDEN("e2e/set_a_adm.npz"), &err);
    assert_ok(npz_read(npz, "arr_0", SIZE_MAX, &all, &err), err);
    static const char *const paths[] = {INCEPTION_GOLDEN("e2e/set_a_adm.npz"), INCEPTION_GOLDEN("e2e/set_b.npy")};
    NpyArray b = golden_npy(paths[1]);
    const NpyArray *wanted[] = {&all, &b};
    for (int k = 0; k < 2; k++) {
        ImageSource *source = image_source_open(paths[k], &err);
        assert_ok(source != NULL, err);
        assert_int_equal(image_source_count(source), wanted[k]->shape[0]);
        Image image;
        for (int64_t i = 0; i < wanted[k]->shape[0]; i++) {
            assert_ok(image_source_read(source, i, &image, &err), err);
            assert_int_equal(image.width, 32);
            assert_int_equal(image.height, 32);
            assert_memory_equal(image.rgb, (const uint8_t *)wanted[k]->data + i * 3072, 3072);
            image_free(&image);
        }
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

/* --- JPEG, odd names -------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name), data[8192];
    FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
    assert_non_null(in);
    assert_non_null(out);
    fwrite(data, 1, fread(data, 1, sizeof data, in), out);
    fclose(in);
    fclose(out);
    free(path);
}

static void test_images_of_any_format(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder();
    put_image(folder, "1.png", 9);
    copy_file(GOLDEN("jpeg/rgb_420.jpg"), folder, "2.JPG");
    copy_file(GOLDEN("jpeg/grey.jpg"), folder, "3.jpeg");
    copy_file(GOLDEN("jpeg/cmyk.jpg"), folder, "4.png"); /* the first bytes say what it is, not the name */
    copy_file(GOLDEN("formats/lossy.webp"), folder, "5");
    copy_file(GOLDEN("formats/rgb_jpeg.tif"), folder, "6.TIF");
    copy_file(GOLDEN("formats/grey16.png"), folder, "7.npy");
    copy_file(GOLDEN("formats/p6.ppm"), folder, "8.ppm?download=true");
    put_text(folder, "thumbs.db");
    put_text(folder, "a.txt");
    ImageSource *source = image_source_open(folder, &err);
    assert_ok(source != NULL, err);
    static const int widths[] = {2, 37, 37, 37, 37, 37, 37, 37};
    ImageTally tally = {0};
    assert_int_equal(image_source_count(source), countof(widths));
    for (int i = (int)countof(widths); i-- > 0;) { /* in any order */
        Image image;
        assert_ok(image_source_read(source, i, &image, &err), err);
        assert_int_equal(image.width, widths[i]);
        image_tally_add(&tally, image.traits);
        image_free(&image);
    }
    assert_int_equal(image_source_left_out(source), 2);
    char *caveat = image_source_caveat(source);
    assert_string_equal(caveat, "2 files in the folder are no PNG, JPEG, WebP, BMP, TIFF or PPM and were left out: the "
                                "first is a.txt");
    free(caveat);
    caveat = image_tally_caveat(&tally, image_source_count(source));
    assert_string_equal(caveat,
                        "4 of the 8 images are JPEG or lossy WebP files: lossy compression changes the FID; 1 of the 8 "
                        "images are grey with 16 bits: ddq takes the high byte of each pixel, Pillow (and so "
                        "pytorch-fid) clips it at 255, and the FID is another one; convert them to 8 bits");
    free(caveat);
    image_source_close(source);
    test_folder_remove(folder);
}

static void test_names_are_written_out(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder();
    put_text(folder, "a\nb\x1b[2J\\\xff\xc3\xa9.png"); /* a line break, a terminal command, a stray byte, and e acute */
    ImageSource *source = image_source_open(folder, &err);
    assert_ok(source != NULL, err);
    char *name = image_source_name(source, 0), *wanted = xasprintf("%s/a\\nb\\x1b[2J\\\\\\xff\xc3\xa9.png", folder);
    assert_string_equal(name, wanted);
    Image image;
    assert_err(image_source_read(source, 0, &image, &err), err, wanted, "does not begin like one");
    char *path = image_source_path(source, 0); /* what opens, unlike the name */
    assert_int_equal(access(path, R_OK), 0);
    free(path);
    char *caveat = image_source_caveat(source);
    assert_null(caveat);
    free(name);
    free(wanted);
    image_source_close(source);
    test_folder_remove(folder);
}

/* As a user who may not read everything. */
static bool read_as_nobody(ImageSource *source, Image *ret_image, Err *err)
{
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    bool good = image_source_read(source, 0, ret_image, err);
    if (root)
        assert_int_equal(seteuid(0), 0);
    return good;
}

static void test_a_file_that_may_not_be_read(void **state)
{
    (void)state;
    Err err = {0};
    Image image;
    char *folder = test_folder(), *path = xasprintf("%s/1.png", folder);
    put_image(folder, "1.png", 1);
    ImageSource *source = image_source_open(folder, &err);
    assert_ok(source != NULL, err);
    assert_int_equal(chmod(path, 0), 0);
    assert_err(read_as_nobody(source, &image, &err), err, path, "Permission denied");
    assert_int_equal(err.kind, ERR_PERMISSION);
    image_source_close(source);
    free(path);
    test_folder_remove(folder);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    Err err = {0};
    Image image;
    char *folder = test_folder(), *pipe = xasprintf("%s/1.png", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0); /* no writer: opening it would block for ever */
    ImageSource *source = image_source_open(folder, &err);
    assert_ok(source != NULL, err);
    assert_err(image_source_read(source, 0, &image, &err), err, pipe, "not a plain file");
    image_source_close(source);
    assert_err(image_source_open(pipe, &err) != NULL, err, pipe, "device or pipe");
    assert_err(image_source_open("/dev/zero", &err) != NULL, err, "/dev/zero", "device or pipe");
    free(pipe);
    test_folder_remove(folder);
}

/* As EDM's dataset_tool writes one, and with members that are deflated, called anything or no images. */
static void test_a_zip(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/dataset.zip", folder);
    put_image(folder, "00000/img10.png", 10);
    put_image(folder, "00000/img2.png", 2);
    put_image(folder, "a\\b", 7);
    put_text(folder, "dataset.json");
    char *command = xasprintf("cd '%s' && python3 -c 'import zipfile as z\n"
                              "f = z.ZipFile(\"dataset.zip\", \"w\")\n"
                              "[f.write(n, n, t) for n, t in ((\"dataset.json\", 8), (\"00000/img10.png\", 0), "
                              "(\"00000/img2.png\", 8), (\"a\\\\b\", 8))]\nf.close()'",
                              folder);
    assert_int_equal(system(command), 0);
    check_values(path, (int[]){2, 10, 7}, 3);
    ImageSource *source = image_source_open(path, &err);
    assert_ok(source != NULL, err);
    char *name = image_source_name(source, 1), *wanted = xasprintf("%s/00000/img10.png", path),
         *caveat = image_source_caveat(source);
    assert_string_equal(name, wanted);
    assert_string_equal(caveat,
                        "1 file in the zip is no PNG, JPEG, WebP, BMP, TIFF or PPM and was left out: dataset.json");
    assert_true(image_source_fresh(source));
    assert_ok(image_source_same(source, &err), err);
    put_text(folder, "dataset.zip");
    assert_err(image_source_same(source, &err), err, path, "changed");
    free(name);
    free(wanted);
    free(caveat);
    free(command);
    free(path);
    /* the mapping of a file that shrank must not be touched any more */
    image_source_close(source);
    test_folder_remove(folder);
}

/* --- sources that change ---------------------------------------------------------------------------- */

static void test_a_folder_that_changes(void **state)
{
    (void)state;
    Err err = {0};
    Image image;
    char *folder = test_folder(), *path = xasprintf("%s/2.png", folder);
    for (int i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        put_image(folder, name, (uint8_t)i);
    }
    struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0); /* clocks of file systems tick slowly */
    assert_int_equal(utimensat(AT_FDCWD, folder, long_ago, 0), 0);
    ImageSource *source = image_source_open(folder, &err);
    assert_ok(image_source_same(source, &err), err);
    assert_true(image_source_fresh(source));
    put_image(folder, "2a.png", 9);
    assert_false(image_source_fresh(source));
    assert_err(image_source_same(source, &err), err, "2a.png", "added");
    assert_ok(image_source_read(source, 2, &image, &err), err); /* the others are still what they were */
    assert_int_equal(image.rgb[0], 3);
    image_free(&image);
    char *added = xasprintf("%s/2a.png", folder);
    unlink(added);
    assert_ok(image_source_same(source, &err), err);
    unlink(path);
    assert_err(image_source_read(source, 1, &image, &err), err, path, "is gone");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_null(image.rgb);
    assert_err(image_source_same(source, &err), err, path, "is gone");
    put_image(folder, "2.png", 77); /* another image of the same size */
    assert_err(image_source_read(source, 1, &image, &err), err, path, "changed");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(image_source_same(source, &err), err, path, "changed");
    image_source_close(source);
    free(added);
    free(path);
    test_folder_remove(folder);
}

static void test_an_array_that_changes(void **state)
{
    (void)state;
    Err err = {0};
    Image image;
    char *folder = test_folder(), *path = xasprintf("%s/a.npy", folder);
    uint8_t pixels[4 * 12] = {0};
    assert_ok(npy_write(path, DTYPE_U8, 4, (int64_t[]){4, 2, 2, 3}, pixels, &err), err);
    ImageSource *source = image_source_open(path, &err);
    assert_ok(image_source_same(source, &err), err);
    assert_int_equal(truncate(path, 140), 0); /* where a mapped file would end the process */
    assert_err(image_source_read(source, 3, &image, &err), err, path, "the file ends before");
    assert_err(image_source_read(source, 0, &image, &err), err, path, "changed");
    assert_err(image_source_same(source, &err), err, path, "changed");
    image_source_close(source);
    free(path);
    test_folder_remove(folder);
}

/* --- arrays at any index, reading ahead ------------------------------------------------------------- */

static void write_npz(const char *path, const uint8_t *pixels, int64_t n)
{
    Err err = {0};
    NpzWriter *writer = npz_writer_open(path, &err);
    int64_t shape[] = {n, 2, 2, 3};
    assert_ok(npz_writer_begin(writer, "arr_0", DTYPE_U8, 4, shape, &err), err);
    assert_ok(npz_writer_add(writer, pixels, (size_t)n * 12, &err), err);
    assert_ok(npz_writer_finish(writer, &err), err);
}

static void check_any_index(const char *path, bool in_order)
{
    static const int order[] = {3, 0, 1, 7, 7, 2};
    Err err = {0};
    ImageSource *source = image_source_open(path, &err);
    assert_ok(source != NULL, err);
    assert_int_equal(image_source_in_order(source), in_order);
    NpyArray all;
    Npz *npz = npz_open(path, &err);
    assert_ok(npz_read(npz, "arr_0", SIZE_MAX, &all, &err), err);
    size_t bytes = (size_t)(all.shape[1] * all.shape[2] * 3);
    for (size_t i = 0; i < countof(order); i++) {
        Image image;
        assert_ok(image_source_read(source, order[i], &image, &err), err);
        assert_memory_equal(image.rgb, (const uint8_t *)all.data + (size_t)order[i] * bytes, bytes);
        image_free(&image);
    }
    assert_ok(image_source_same(source, &err), err);
    npy_free(&all);
    npz_close(npz);
    image_source_close(source);
}

static void test_arrays_at_any_index(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = xasprintf("%s/a.npz", folder);
    uint8_t pixels[8 * 12];
    for (int i = 0; i < (int)sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    write_npz(path, pixels, 8);
    check_any_index(path, false);
    Err err = {0};
    ImageSource *source = image_source_open(path, &err);
    assert_ok(image_source_check(source, &err), err);
    image_source_close(source);
    FILE *file = fopen(path, "r+b");
    fseek(file, 200, SEEK_SET);
    fputc(99, file);
    fclose(file);
    source = image_source_open(path, &err);
    assert_err(image_source_check(source, &err), err, path, "checksum");
    image_source_close(source);
    check_any_index(INCEPTION_GOLDEN("e2e/set_a_adm.npz"), true); /* deflated */
    free(path);
    test_folder_remove(folder);
}

static void check_reader(ImageSource *source, int64_t lo, int64_t hi, int bad)
{
    Err err = {0};
    ImageReader *reader = image_reader_open(source, lo, hi, &err);
    assert_ok(reader != NULL, err);
    for (int64_t i = lo; i < hi; i++) {
        Image image;
        uint8_t hash[IMAGE_HASH], wanted[IMAGE_HASH];
        if (i == bad) {
            char *name = image_source_name(source, i);
            assert_err(image_reader_next(reader, &image, hash, &err), err, name);
            free(name);
            continue;
        }
        assert_ok(image_reader_next(reader, &image, hash, &err), err);
        assert_int_equal(image.rgb[0], (uint8_t)i);
        image_hash(&image, wanted);
        assert_memory_equal(hash, wanted, IMAGE_HASH);
        image_free(&image);
    }
    image_reader_close(reader);
}

static void test_reading_ahead(void **state)
{
    (void)state;
    enum { COUNT = 3 * IMAGE_AHEAD, BAD = 100 };
    Err err = {0};
    char *folder = test_folder();
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        if (i == BAD)
            put_text(folder, name);
        else
            put_image(folder, name, (uint8_t)i);
    }
    ImageSource *source = image_source_open(folder, &err);
    check_reader(source, 0, COUNT, BAD);
    check_reader(source, 90, 101, BAD);
    check_reader(source, COUNT, COUNT, -1);
    ImageReader *reader = image_reader_open(source, 0, COUNT, &err); /* closed with a full ring */
    Image image;
    uint8_t hash[IMAGE_HASH];
    assert_ok(image_reader_next(reader, &image, hash, &err), err);
    image_free(&image);
    image_reader_close(reader);
    image_source_close(source);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural_order),
        cmocka_unit_test(test_output_folder),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_bad_arrays),
        cmocka_unit_test(test_a_zip),
        cmocka_unit_test(test_images_of_any_format),
        cmocka_unit_test(test_names_are_written_out),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_a_file_that_may_not_be_read),
        cmocka_unit_test(test_a_folder_that_changes),
        cmocka_unit_test(test_an_array_that_changes),
        cmocka_unit_test(test_arrays_at_any_index),
        cmocka_unit_test(test_reading_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
