/* Whole files: complete or absent, no leftovers, hashes of the present content. */
#include "tests/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/file.h"
#include "worker/files/map.h"

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static void assert_content(const char *path, const char *content)
{
    Err err = {0};
    FileMap map;
    assert_ok(file_map(path, &map, &err), err);
    assert_int_equal(map.size, strlen(content));
    if (map.size)
        assert_memory_equal(map.data, content, map.size);
    file_unmap(&map);
}

static void test_whole_or_not(void **state)
{
    (void)state;
    Err err = {0};
    char *path = xasprintf("%s/a.txt", folder);
    FileOut *one = file_create(path, &err), *two = file_create(path, &err); /* two workers on one range */
    assert_ok(one && two, err);
    assert_ok(file_add(one, "1111", 4, &err) && file_add(two, "22", 2, &err), err);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_ok(file_commit(one, &err), err);
    assert_content(path, "1111");
    assert_ok(file_add(two, "33", 2, &err) && file_patch(two, 1, "x", 1, &err), err);
    assert_err(file_patch(two, 3, "xy", 2, &err), err, "a.txt", "beyond the end");
    assert_int_equal(file_added(two), 4);
    assert_ok(file_commit(two, &err), err);
    assert_content(path, "2x33");
    FileOut *three = file_create(path, &err);
    assert_ok(three && file_add(three, "4", 1, &err), err);
    file_abort(three);
    assert_content(path, "2x33");
    assert_ok(file_write(path, "", 0, &err), err);
    assert_content(path, "");
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void test_refused(void **state)
{
    (void)state;
    Err err = {0};
    FileMap map;
    char *missing = xasprintf("%s/none/a.txt", folder), *slash = xasprintf("%s/", folder),
         *pipe = xasprintf("%s/pipe", folder);
    assert_err(file_write(missing, "x", 1, &err), err, missing, "No such file");
    assert_int_equal(err.kind, ERR_IO);
    assert_err(file_write(slash, "x", 1, &err), err, "does not end in a file name");
    assert_err(file_write(folder, "x", 1, &err), err, folder); /* a folder has that name */
    assert_err(file_map(folder, &map, &err), err, "is a folder");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_err(file_map(pipe, &map, &err), err, "device or pipe"); /* and does not wait for a writer */
    assert_int_equal(unlink(pipe), 0);
    assert_int_equal(files_in_folder(), 0);
    free(missing);
    free(slash);
    free(pipe);
}

/* A write that fails half way leaves the earlier file and nothing else. */
static void test_failed_write(void **state)
{
    (void)state;
    Err err = {0};
    char *path = xasprintf("%s/big", folder), *data = xcalloc(1, 1 << 20);
    assert_ok(file_write(path, "old", 3, &err), err);
    struct rlimit was, small = {4096, 4096};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_max = was.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool whole = file_write(path, data, 1 << 20, &err);
    Err late = {0};
    FileOut *out = file_create(path, &late); /* small enough for the buffer: fails when it is flushed */
    bool commits = out && file_add(out, data, 4000, &late) && file_add(out, data, 96, &late) &&
                   file_add(out, data, 1, &late) && file_commit(out, &late);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_false(whole);
    assert_false(commits);
    assert_non_null(strstr(err.text, "cannot be written: File too large"));
    assert_non_null(strstr(late.text, "cannot be written: File too large"));
    assert_content(path, "old");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(files_in_folder(), 0);
    free(path);
    free(data);
}

static void test_sha256(void **state)
{
    (void)state;
    static const struct {
        const char *content, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    Err err = {0};
    char *path = xasprintf("%s/hashed", folder), hex[65], again[65];
    for (size_t i = 0; i < countof(rows); i++) {
        assert_ok(file_write(path, rows[i].content, strlen(rows[i].content), &err), err);
        assert_ok(file_sha256(path, hex, &err), err);
        assert_string_equal(hex, rows[i].hex);
    }
    /* Changed in place with its size kept, then with its time of writing set back, as cp -p and rsync do: the time of
     * change tells. */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "abd", 3, 0), 3);
    struct timespec later[2] = {{0, UTIME_OMIT}, {st.st_mtim.tv_sec + 1, 0}}, same[2] = {{0, UTIME_OMIT}, st.st_mtim};
    assert_int_equal(futimens(fd, later), 0);
    assert_ok(file_sha256(path, again, &err), err);
    assert_string_not_equal(again, hex);
    assert_ok(file_sha256(path, hex, &err), err);
    assert_string_equal(again, hex);
    assert_int_equal(pwrite(fd, "abe", 3, 0), 3);
    assert_int_equal(futimens(fd, same), 0);
    assert_ok(file_sha256(path, again, &err), err);
    assert_string_not_equal(again, hex);
    close(fd);
    assert_int_equal(unlink(path), 0);
    assert_err(file_sha256(path, hex, &err), err, path, "No such file");
    assert_err(file_sha256(folder, hex, &err), err, "is a folder");
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_or_not),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_failed_write),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
