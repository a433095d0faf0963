/* Lists of workers, GPUs as the driver lists them, and their locks. */
#include "tests/test.h"

#include <sys/stat.h>

#include "daemon/workers/devices.h"

static char *proc; /* used instead of /proc */

static void make_gpu(const char *bus, const char *text)
{
    static const char *const parts[] = {"driver", "driver/nvidia", "driver/nvidia/gpus"};
    for (size_t i = 0; i < countof(parts); i++) {
        char *path = xasprintf("%s/%s", proc, parts[i]);
        mkdir(path, 0755);
        free(path);
    }
    char *folder = xasprintf("%s/driver/nvidia/gpus/%s", proc, bus), *path = xasprintf("%s/information", folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
    free(folder);
}

static void check(const char *text, const char *wanted)
{
    DeviceList list;
    Err err = {0};
    Buf found = {0};
    assert_ok(devices_parse(text, 8, proc, &list, &err), err);
    for (int i = 0; i < list.count; i++)
        buf_printf(&found, "%s%s/%d", i ? " " : "", list.items[i].name, list.items[i].threads);
    assert_string_equal(found.data, wanted);
    buf_free(&found);
}

static void lists(void **state)
{
    (void)state;
    proc = test_folder();
    DeviceList list;
    Err err = {0};
    check(NULL, "cpu:0/8"); /* no GPU here */
    check("cpu", "cpu:0/8");
    check("cpu:3", "cpu:0/2 cpu:1/2 cpu:2/2");
    check("cpu:16", "cpu:0/1 cpu:1/1 cpu:2/1 cpu:3/1 cpu:4/1 cpu:5/1 cpu:6/1 cpu:7/1 cpu:8/1 cpu:9/1 cpu:10/1 cpu:11/1 "
                    "cpu:12/1 cpu:13/1 cpu:14/1 cpu:15/1");
    check("cuda:GPU-11-22, cpu:1", "cuda:GPU-11-22/1 cpu:0/8");
    check("cuda:MIG-11-22", "cuda:MIG-11-22/1");
    assert_err(devices_parse("cuda", 8, proc, &list, &err), err, "no GPU", "driver");
    assert_err(devices_parse("gpu", 8, proc, &list, &err), err, "'gpu'", "cuda:GPU-");
    assert_err(devices_parse("cpu:0", 8, proc, &list, &err), err, "cpu:0", "1 to 64");
    assert_err(devices_parse("cpu:x", 8, proc, &list, &err), err, "cpu:x");
    assert_err(devices_parse("cpu:1,cpu:1", 8, proc, &list, &err), err, "named twice");
    assert_err(devices_parse("cuda:0", 8, proc, &list, &err), err, "cuda:0", "GPU-");
    assert_err(devices_parse("cuda:GPU-../../x", 8, proc, &list, &err), err, "is no GPU");
    assert_err(devices_parse(" , ", 8, proc, &list, &err), err, "names no device");

    make_gpu("0000:17:00.0", "Model: \t\t NVIDIA A\nIRQ: 1\nGPU UUID: \t GPU-aa-01\nBus: x\n");
    make_gpu("0000:65:00.0", "Model: \t\t NVIDIA A\nGPU UUID: \t GPU-bb-02\n");
    make_gpu("0000:99:00.0", "Model: broken\n");
    check(NULL, "cuda:GPU-aa-01/1 cuda:GPU-bb-02/1");
    check("cuda,cpu:2", "cuda:GPU-aa-01/1 cuda:GPU-bb-02/1 cpu:0/4 cpu:1/4");
    assert_err(devices_parse("cuda,cuda:GPU-aa-01", 8, proc, &list, &err), err, "GPU-aa-01", "twice");
    test_folder_remove(proc);
}

static void one_daemon_a_gpu(void **state)
{
    (void)state;
    char *folder = test_folder();
    setenv("DDQ_LOCK_DIR", folder, 1);
    Device gpu = {.name = "cuda:GPU-aa-01", .uuid = "GPU-aa-01"}, cpu = {.name = "cpu:0"};
    Err err = {0};
    int first, second, third;
    assert_ok(device_lock(&gpu, &first, &err), err);
    char *pid = xasprintf("pid %d", (int)getpid());
    assert_err(device_lock(&gpu, &second, &err), err, "GPU-aa-01", pid, "workers");
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_int_equal(second, -1);
    assert_ok(device_lock(&cpu, &third, &err), err);
    assert_int_equal(third, -1);
    close(first);
    assert_ok(device_lock(&gpu, &second, &err), err);
    close(second);
    free(pid);
    test_folder_remove(folder);
}

/* Whatever stands at a lock's path: the call returns at once, follows nothing and changes nothing. */
static void what_stands_at_a_locks_path(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = xasprintf("%s/ddq-GPU-aa-01.lock", folder),
         *other = xasprintf("%s/journal", folder);
    setenv("DDQ_LOCK_DIR", folder, 1);
    Device gpu = {.name = "cuda:GPU-aa-01", .uuid = "GPU-aa-01"};
    Err err = {0};
    int fd;
    assert_int_equal(mkfifo(path, 0444), 0);
    assert_err(device_lock(&gpu, &fd, &err), err, "GPU-aa-01", path, "no file");
    assert_int_equal(unlink(path), 0);

    FILE *out = fopen(other, "w");
    fputs("held leases", out);
    fclose(out);
    assert_int_equal(symlink(other, path), 0);
    assert_err(device_lock(&gpu, &fd, &err), err, "GPU-aa-01", path);
    struct stat st;
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_size, strlen("held leases"));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0755), 0);
    assert_err(device_lock(&gpu, &fd, &err), err, "GPU-aa-01", path);
    assert_int_equal(rmdir(path), 0);

    if (geteuid() == 0) {
        out = fopen(path, "w");
        fclose(out);
        assert_int_equal(chown(path, 61001, 61001), 0);
        assert_err(device_lock(&gpu, &fd, &err), err, "GPU-aa-01", "another user");
        assert_int_equal(unlink(path), 0);
    }
    assert_ok(device_lock(&gpu, &fd, &err), err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
    free(path);
    free(other);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(one_daemon_a_gpu),
                                       cmocka_unit_test(what_stands_at_a_locks_path)};
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
