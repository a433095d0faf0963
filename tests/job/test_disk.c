/* Disk faults of a worker: file systems that stall, mapped files that shrink, leftovers of killed workers. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/stall.h"
#include "tests/test.h"
#include "worker/files/map.h"
#include "worker/files/mapped.h"

/* --- stalls --------------------------------------------------------------------------------------- */

static pthread_barrier_t stuck, over;

static void *wait_for_ever(void *path)
{
    stall_enter("/outer");
    stall_enter(path);
    pthread_barrier_wait(&stuck);
    pthread_barrier_wait(&over);
    stall_leave();
    stall_leave();
    return NULL;
}

static void a_stalled_thread_is_found(void **state)
{
    (void)state;
    char path[STALL_TEXT] = "";
    pthread_barrier_init(&stuck, NULL, 2);
    pthread_barrier_init(&over, NULL, 2);
    for (int round = 0; round < 300; round++) { /* more threads than slots, one after the other */
        pthread_t thread;
        pthread_create(&thread, NULL, wait_for_ever, "/nfs/images/000012.png");
        pthread_barrier_wait(&stuck);
        assert_false(stall_found(3, path));
        if (round == 299) {
            usleep(1100000);
            assert_true(stall_found(1, path));
            assert_string_equal(path, "/nfs/images/000012.png");
        }
        pthread_barrier_wait(&over);
        pthread_join(thread, NULL);
    }
    assert_false(stall_found(0, path)); /* no call waits any more */
}

static void each_nested_call_has_its_own_time(void **state)
{
    (void)state;
    char path[STALL_TEXT];
    stall_enter("/a");
    for (int i = 0; i < 12; i++) {
        usleep(100000);
        stall_enter("/a/b"); /* it answers, if slowly */
        stall_leave();
    }
    assert_false(stall_found(1, path));
    stall_leave();
}

/* --- files that shrink ---------------------------------------------------------------------------- */

/* The message and the exit of a child that reads the second page of a truncated file. */
static int look_at_cut_file(const char *path, bool known, char *said, size_t size)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        FileMap map;
        dup2(pipes[1], STDERR_FILENO);
        mapped_guard();
        if (!file_map(path, &map, NULL) || truncate(path, 0) != 0)
            _exit(77);
        if (!known)
            mapped_remove(map.data);
        _exit(map.data[map.size / 2] == 'x' ? 78 : 79);
    }
    close(pipes[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(pipes[0], said + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    said[len] = 0;
    close(pipes[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

static void a_file_that_is_cut_short_is_named(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = xasprintf("%s/student.pt", folder), said[1024];
    char *bytes = xmalloc(1 << 16);
    memset(bytes, 'x', 1 << 16);
    Err err = {0};
    assert_ok(file_write(path, bytes, 1 << 16, &err), err);
    int status = look_at_cut_file(path, true, said, sizeof said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_ERROR);
    assert_non_null(strstr(said, path));
    assert_non_null(strstr(said, "cut short"));
    assert_non_null(strstr(said, "rename"));

    assert_ok(file_write(path, bytes, 1 << 16, &err), err); /* an address outside all mapped files */
    status = look_at_cut_file(path, false, said, sizeof said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    free(bytes);
    free(path);
    free(folder);
}

/* --- leftovers of a killed worker ----------------------------------------------------------------------- */

static void touch(const char *folder, const char *name, int age_s)
{
    char *path = xasprintf("%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    futimens(fd, times);
    close(fd);
    free(path);
}

static bool there(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    bool is = access(path, F_OK) == 0;
    free(path);
    return is;
}

static void what_a_dead_worker_left_is_swept(void **state)
{
    (void)state;
    char *folder = test_folder(), host[65] = "", names[6][160];
    gethostname(host, sizeof host - 1);
    pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    waitpid(dead, NULL, 0);
    snprintf(names[0], sizeof names[0], ".000001-000009.json.%s-%d-3.part", host, dead);
    snprintf(names[1], sizeof names[1], "000012.png.%d.part", dead);
    snprintf(names[2], sizeof names[2], ".report.json.%s-%d-3.part", host, getpid()); /* alive */
    snprintf(names[3], sizeof names[3], ".report.json.another-host-%d-3.part", dead);
    snprintf(names[4], sizeof names[4], "000012.png");
    snprintf(names[5], sizeof names[5], ".%s-%d-3.part", host, dead); /* no name before the host: not written by ddq */
    for (size_t i = 0; i < countof(names); i++)
        touch(folder, names[i], 3600);
    file_sweep(folder);
    static const bool stays[] = {false, false, true, true, true};
    for (size_t i = 0; i < countof(stays); i++)
        assert_int_equal(there(folder, names[i]), stays[i]);
    touch(folder, names[0], 5); /* fresh: perhaps of another container */
    file_sweep(folder);
    assert_true(there(folder, names[0]));
    file_sweep("/nonexistent");
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stalled_thread_is_found),
        cmocka_unit_test(each_nested_call_has_its_own_time),
        cmocka_unit_test(a_file_that_is_cut_short_is_named),
        cmocka_unit_test(what_a_dead_worker_left_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
