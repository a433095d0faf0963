/* .npy and .npz: files of numpy are read, in every order and packing; files that are written are read by numpy and
 * here; damaged or inconsistent files are errors. make_files.py makes the files of numpy. */
#include "tests/folder.h"

#include "core/file.h"
#include "worker/arrays/npy_parts.h"
#include "worker/files/map.h"

#define STATS GOLDEN("inception/stats/")

static int setup(void **state)
{
    folder_make(state);
    return folder_script("checkpoints/make_files.py", "npy", "", "");
}

static Npz *open_ok(const char *path)
{
    Err err = {0};
    Npz *npz = npz_open(path, &err);
    if (!npz)
        fail_msg("%s", err.text);
    return npz;
}

static NpyArray read_ok(const Npz *npz, const char *name, const char *shape)
{
    Err err = {0};
    NpyArray array = {0};
    char text[100];
    assert_ok(npz_read(npz, name, SIZE_MAX, &array, &err), err);
    npy_print_shape(&array, text, sizeof text);
    assert_string_equal(text, shape);
    return array;
}

static double number(const NpyArray *a, size_t i)
{
    switch (a->dtype) {
    case DTYPE_F32:
        return (double)((const float *)a->data)[i];
    case DTYPE_F64:
        return ((const double *)a->data)[i];
    case DTYPE_I32:
        return ((const int32_t *)a->data)[i];
    case DTYPE_I64:
        return (double)((const int64_t *)a->data)[i];
    case DTYPE_U8:
        return ((const uint8_t *)a->data)[i];
    default:
        fail_msg("no numbers of type %s here", dtype_name(a->dtype));
        return 0;
    }
}

static void test_npz_members(void **state)
{
    (void)state;
    Npz *npz = open_ok(GOLDEN("llamagen/tiny/expected.npz"));
    Err err = {0};
    NpyArray none;
    assert_true(npz_has(npz, "few.1step.x"));
    assert_false(npz_has(npz, "few.1step.y"));
    assert_err(npz_read(npz, "few.1step.y", SIZE_MAX, &none, &err), err, "expected.npz", "\"few.1step.y\"", "codebook");
    NpyArray x = read_ok(npz, "few.1step.x", "[3,16,8] f32"), label = read_ok(npz, "label", "[3] i32");
    npy_free(&x);
    npy_free(&label);
    npz_close(npz);
}

/* Stored and deflated files of the same arrays have the same bytes. */
static void test_npz_packing(void **state)
{
    (void)state;
    Npz *stored = open_ok(STATS "stats_savez.npz"), *packed = open_ok(STATS "stats_savez_compressed.npz");
    NpyArray a = read_ok(stored, "sigma", "[64,64] f64"), b = read_ok(packed, "sigma", "[64,64] f64");
    assert_memory_equal(a.data, b.data, 64 * 64 * sizeof(double));
    npy_free(&a);
    npy_free(&b);
    npz_close(stored);
    npz_close(packed);
}

/* Every file of make_files.py's `arrays` holds 0, 1, 2, ... in C order, whatever its own order and type. */
static void test_npy_orders(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shape;
        bool owns;
    } rows[] = {
        {"f4.npy", "[2,3,4] f32", false},
        {"f8.npy", "[2,3,4] f64", false},
        {"i4.npy", "[2,3,4] i32", false},
        {"i8.npy", "[2,3,4] i64", false},
        {"u1.npy", "[2,3,4] u8", false},
        {"f8_big.npy", "[2,3,4] f64", true},
        {"i4_big.npy", "[2,3,4] i32", true},
        {"f4_fortran.npy", "[2,3,4] f32", true},
        {"f8_big_fortran.npy", "[2,3,4] f64", true},
        {"f4_row.npy", "[24] f32", false},
        {"f4_version2.npy", "[2,3,4] f32", false},
        {"f4_odd_header.npy", "[2,3,4] f32", true},
        {"f8_scalar.npy", "[] f64", false},
        {"f4_empty.npy", "[0,7] f32", false},
        {"b1.npy", "[2] u8", false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        NpyArray a = {0};
        char text[100];
        assert_ok(npy_open(folder_path(rows[i].name), &a, &err), err);
        npy_print_shape(&a, text, sizeof text);
        assert_string_equal(text, rows[i].shape);
        assert_int_equal(a.owns, rows[i].owns);
        size_t count = 1;
        for (int k = 0; k < a.ndim; k++)
            count *= (size_t)a.shape[k];
        for (size_t k = 0; k < count; k++)
            if (number(&a, k) != (double)k)
                fail_msg("%s[%zu] is %g, wanted %zu", rows[i].name, k, number(&a, k), k);
        npy_free(&a);
    }
}

/* The same arrays as members of .npz files: stored, deflated, with data descriptors and with zip64 records. */
static void test_npz_containers(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz", "descriptor.npz", "zip64.npz"};
    for (size_t i = 0; i < countof(names); i++) {
        Npz *npz = open_ok(folder_path(names[i]));
        NpyArray a = read_ok(npz, "f8_big_fortran", "[2,3,4] f64"), b = read_ok(npz, "a/b.c", "[1000] i64");
        for (size_t k = 0; k < 24; k++)
            assert_true(number(&a, k) == (double)k);
        for (size_t k = 0; k < 1000; k++)
            assert_true(number(&b, k) == (double)k);
        npy_free(&a);
        npy_free(&b);
        npz_close(npz);
    }
}

static void test_npz_stream(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    for (size_t i = 0; i < countof(names); i++) {
        Npz *npz = open_ok(folder_path(names[i]));
        Err err = {0};
        NpyArray header;
        NpzStream *stream = npz_stream_open(npz, "a/b.c", &header, &err);
        assert_ok(stream, err);
        assert_null(header.data);
        assert_int_equal(header.shape[0], 1000);
        int64_t rows[30], next = 0;
        for (int n = 1; next < 1000; n = n % 29 + 1) { /* rows in parts of 1 to 29 */
            int64_t take = n < 1000 - next ? n : 1000 - next;
            assert_ok(npz_stream_read(stream, rows, (size_t)take * sizeof *rows, &err), err);
            for (int64_t k = 0; k < take; k++)
                assert_int_equal(rows[k], next++);
        }
        assert_err(npz_stream_read(stream, rows, 1, &err), err, names[i], "a/b.c.npy", "1 more");
        npz_stream_close(stream);
        assert_null(npz_stream_open(npz, "f8_big_fortran", &header, &err));
        assert_non_null(strstr(err.text, "big-endian"));
        assert_null(npz_stream_open(npz, "none", &header, &err));
        npz_close(npz);
    }
}

static char *read_file(const char *path, size_t *ret_size)
{
    Err err = {0};
    FileMap map;
    assert_ok(file_map(path, &map, &err), err);
    char *copy = xmalloc(map.size + 1);
    memcpy(copy, map.data, map.size);
    *ret_size = map.size;
    file_unmap(&map);
    return copy;
}

/* Written files equal those of numpy byte for byte. */
static void test_npy_write(void **state)
{
    (void)state;
    static const char *const names[] = {
        GOLDEN("inception/frechet/feats_a.npy"), GOLDEN("inception/metrics/kid_subset_idx_fake.npy"),
        GOLDEN("inception/images/image_64.npy"), GOLDEN("inception/metrics/fc_bias_1008.npy"),
        GOLDEN("inception/net/pool3_pt.npy"),
    };
    const char *path = folder_path("written.npy");
    for (size_t i = 0; i < countof(names); i++) {
        Err err = {0};
        NpyArray a;
        size_t size, want;
        assert_ok(npy_open(names[i], &a, &err), err);
        assert_ok(npy_write(path, a.dtype, a.ndim, a.shape, a.data, &err), err);
        npy_free(&a);
        char *found = read_file(path, &size), *wanted = read_file(names[i], &want);
        assert_int_equal(size, want);
        assert_memory_equal(found, wanted, size);
        free(found);
        free(wanted);
    }
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void test_npy_writer_counts(void **state)
{
    (void)state;
    Err err = {0};
    const char *path = folder_path("counted.npy");
    float rows[6] = {0};
    NpyWriter *writer = npy_writer_open(path, DTYPE_F32, 2, (int64_t[]){2, 3}, &err);
    assert_ok(writer, err);
    assert_ok(npy_writer_add(writer, rows, 12, &err), err);
    assert_false(exists(path));
    assert_err(npy_writer_add(writer, rows, 13, &err), err, "counted.npy", "13 bytes", "12 more");
    assert_err(npy_writer_finish(writer, &err), err, "counted.npy", "12 bytes", "missing");
    assert_false(exists(path));
    writer = npy_writer_open(path, DTYPE_F32, 1, (int64_t[]){0}, &err);
    assert_ok(writer && npy_writer_finish(writer, &err), err);
    assert_true(exists(path));
    npy_writer_abort(npy_writer_open(folder_path("aborted.npy"), DTYPE_U8, 1, (int64_t[]){5}, &err));
    assert_false(exists(folder_path("aborted.npy")));
    assert_null(npy_writer_open(folder_path("no/such/x.npy"), DTYPE_U8, 1, (int64_t[]){5}, &err));
    assert_int_equal(err.kind, ERR_IO); /* no folder of that name to write to */
    assert_null(npy_writer_open(path, DTYPE_U8, 2, (int64_t[]){5, -1}, &err));
    assert_null(npy_writer_open(path, DTYPE_BF16, 1, (int64_t[]){5}, &err));
    assert_null(npy_writer_open(path, DTYPE_F64, 3, (int64_t[]){INT64_MAX, 2, 2}, &err));
}

static void write_npz(const char *path)
{
    Err err = {0};
    NpzWriter *writer = npz_writer_open(path, &err);
    assert_ok(writer, err);
    double sigma[9];
    for (int i = 0; i < 9; i++)
        sigma[i] = i;
    assert_ok(npz_writer_begin(writer, "sigma", DTYPE_F64, 2, (int64_t[]){3, 3}, &err), err);
    for (int i = 0; i < 9; i += 3)
        assert_ok(npz_writer_add(writer, sigma + i, 24, &err), err);
    assert_ok(npz_writer_begin(writer, "num_images", DTYPE_I64, 0, NULL, &err), err);
    assert_ok(npz_writer_add(writer, &(int64_t){50000}, 8, &err), err);
    assert_ok(npz_writer_begin(writer, "none", DTYPE_U8, 1, (int64_t[]){0}, &err), err);
    assert_ok(npz_writer_finish(writer, &err), err);
}

/* Written files are read by numpy and here, also when every size and offset is in zip64 fields. */
static void test_npz_write(void **state)
{
    (void)state;
    static const uint64_t limits[] = {UINT32_MAX, 200, 0};
    const char *path = folder_path("written.npz");
    for (size_t i = 0; i < countof(limits); i++) {
        npz_zip64_from = limits[i];
        write_npz(path);
        npz_zip64_from = UINT32_MAX;
        Npz *npz = open_ok(path);
        NpyArray sigma = read_ok(npz, "sigma", "[3,3] f64"), count = read_ok(npz, "num_images", "[] i64"),
                 none = read_ok(npz, "none", "[0] u8");
        for (size_t k = 0; k < 9; k++)
            assert_true(number(&sigma, k) == (double)k);
        assert_true(number(&count, 0) == 50000);
        npy_free(&sigma);
        npy_free(&count);
        npy_free(&none);
        npz_close(npz);
        char *command = xasprintf("/usr/bin/python3 %s/checkpoints/make_files.py check_npz %s", TESTS_DIR, path);
        assert_int_equal(system(command), 0);
        free(command);
    }
    Err err = {0};
    NpzWriter *writer = npz_writer_open(path, &err);
    assert_err(npz_writer_add(writer, "x", 1, &err), err, "written.npz");
    assert_ok(npz_writer_begin(writer, "x", DTYPE_U8, 1, (int64_t[]){5}, &err), err);
    assert_err(npz_writer_begin(writer, "y", DTYPE_U8, 1, (int64_t[]){5}, &err), err, "5 bytes of x.npy are missing");
    assert_err(npz_writer_finish(writer, &err), err, "5 bytes of x.npy are missing");
    npz_close(open_ok(path)); /* the earlier file is still whole */
}

/* Without the fsync of file_write: the loops below write thousands of files. */
static void write_plain(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Writes header text as a .npy of version 1 followed by `bytes` zero bytes. */
static const char *npy_with(const char *header, size_t bytes)
{
    Buf file = {0};
    const char *path = folder_path("bad.npy");
    size_t len = strlen(header);
    buf_add(&file, (uint8_t[]){0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)len, (uint8_t)(len >> 8)}, 10);
    buf_add(&file, header, len);
    for (size_t i = 0; i < bytes; i++)
        buf_add(&file, "", 1);
    write_plain(path, file.data, file.len);
    buf_free(&file);
    return path;
}

static void test_npy_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t bytes;
        const char *word;
    } rows[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 11, "wants 12 bytes of numbers, the file has 11"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 13, "wants 12 bytes of numbers, the file has 13"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,4611686018427387904)}", 0, "beyond 64 bits"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0,4611686018427387904)}", 0, "beyond 64 bits"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 0, "not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", 12, "not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}", 48, "not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,", 12, "not a tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 3}", 12, "no shape in parentheses"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, "more than 8 axes"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (3,)}", 12, "not a dict of"},
        {"{'descr': '<f4', 'fortran_order': False}", 12, "not a dict of"},
        {"{'fortran_order': False, 'shape': (3,)}", 12, "not a dict of"},
        {"{'descr': '<f4', 'evil': __import__('os'), 'shape': (3,)}", 12, "not a dict of"},
        {"", 12, "not a dict of"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", 12, "numbers of type '|O'"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (3,)}", 12, "numbers of type '<U5'"},
        {"{'descr': '\n\x01', 'fortran_order': False, 'shape': (3,)}", 12, "numbers of type '?\?'"},
        {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}", 12, "records or objects"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        NpyArray a;
        const char *path = npy_with(rows[i].header, rows[i].bytes);
        assert_err(npy_open(path, &a, &err), err, path, rows[i].word);
        assert_int_equal(err.kind, ERR_FORMAT);
    }
}

/* A good file cut after any of its bytes is an error with the file's name; so is a file of another format. */
static void test_truncated(void **state)
{
    (void)state;
    static const char *const names[] = {"i4_big.npy", "deflated.npz", "zip64.npz"};
    const char *path = folder_path("cut");
    for (size_t i = 0; i < countof(names); i++) {
        size_t size;
        char *bytes = read_file(folder_path(names[i]), &size);
        for (size_t cut = 0; cut<size; cut += size> 2000 ? 37 : 1) {
            Err err = {0};
            NpyArray a;
            write_plain(path, bytes, cut);
            if (i == 0)
                assert_err(npy_open(path, &a, &err), err, path);
            else
                assert_err(npz_open(path, &err), err, path);
        }
        free(bytes);
    }
    Err err = {0};
    NpyArray a;
    assert_err(npy_open(folder, &a, &err), err, folder, "folder");
    assert_err(npy_open(folder_path("missing.npy"), &a, &err), err, "missing.npy");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(npy_open(GOLDEN("inception/stats/stats.json"), &a, &err), err, "NUMPY");
    assert_err(npz_open(GOLDEN("inception/stats/stats.json"), &err), err, "does not begin as a zip");
    assert_err(npz_open("/dev/null", &err), err, "device");
}

/* One flipped byte anywhere in the packed data is noticed. */
static void test_damaged_member(void **state)
{
    (void)state;
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    const char *path = folder_path("flipped.npz");
    for (size_t i = 0; i < countof(names); i++) {
        size_t size;
        char *bytes = read_file(folder_path(names[i]), &size);
        char *at = memmem(bytes, size, "a/b.c.npy", 9);
        assert_non_null(at);
        for (size_t offset = 200; offset < 1200; offset += 100) {
            Err err = {0};
            NpyArray a;
            at[offset] ^= 0x10;
            write_plain(path, bytes, size);
            at[offset] ^= 0x10;
            Npz *npz = open_ok(path);
            assert_err(npz_read(npz, "a/b.c", SIZE_MAX, &a, &err), err, path, "a/b.c");
            npz_close(npz);
        }
        free(bytes);
    }
}

/* A member is not unpacked when its header asks for more than the caller has a use for. */
static void test_limit(void **state)
{
    (void)state;
    Err err = {0};
    char *own = test_folder(), *path = xasprintf("%s/a.npz", own);
    const double numbers[6] = {1, 2, 3, 4, 5, 6};
    NpzWriter *writer = npz_writer_open(path, &err);
    assert_ok(npz_writer_begin(writer, "a", DTYPE_F64, 2, (int64_t[]){2, 3}, &err) &&
                  npz_writer_add(writer, numbers, sizeof numbers, &err) && npz_writer_finish(writer, &err),
              err);
    Npz *npz = npz_open(path, &err);
    NpyArray array;
    assert_ok(npz_header(npz, "a", &array, &err), err);
    assert_true(array.ndim == 2 && array.shape[0] == 2 && array.shape[1] == 3 && array.dtype == DTYPE_F64 &&
                !array.data);
    assert_err(npz_header(npz, "b", &array, &err), err, path, "no array \"b\"; it has a");
    assert_err(npz_read(npz, "a", 47, &array, &err), err, path, "48 bytes", "at most 47");
    assert_ok(npz_read(npz, "a", 48, &array, &err), err);
    assert_memory_equal(array.data, numbers, sizeof numbers);
    npy_free(&array);
    npz_close(npz);
    assert_int_equal(array_file(path), ARRAY_FILE_NPZ);
    assert_int_equal(array_file(own), ARRAY_FILE_OTHER);
    assert_int_equal(array_file(GOLDEN("inception/stats/statistic_f64.pth")), ARRAY_FILE_OTHER);
    assert_int_equal(array_file(GOLDEN("inception/e2e/set_b.npy")), ARRAY_FILE_NPY);
    free(path);
    test_folder_remove(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),          cmocka_unit_test(test_npz_members),
        cmocka_unit_test(test_npz_packing),    cmocka_unit_test(test_npy_orders),
        cmocka_unit_test(test_npz_containers), cmocka_unit_test(test_npz_stream),
        cmocka_unit_test(test_npy_write),      cmocka_unit_test(test_npy_writer_counts),
        cmocka_unit_test(test_npz_write),      cmocka_unit_test(test_npy_bad_headers),
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_damaged_member),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
