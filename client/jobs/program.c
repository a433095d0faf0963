#include "client/jobs/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"

enum { WORDS_MAX = 64, ANSWER_MAX = 1 << 20 };

char *program_beside(const char *name)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = 0;
        *strrchr(self, '/') = 0;
        char *beside = xasprintf("%s/%s", self, name);
        if (access(beside, X_OK) == 0)
            return beside;
        free(beside);
    }
    return xstrdup(name);
}

/* Does not return when it succeeds. */
static void become(const char *program, const char *const *words)
{
    const char *argv[WORDS_MAX + 2] = {program};
    for (int i = 0; i < WORDS_MAX && words[i]; i++)
        argv[i + 1] = words[i];
    execvp(program, (char *const *)argv);
}

bool program_become_worker(const char *const *words, Err *err)
{
    char *program = program_beside("ddq-worker");
    fflush(stdout);
    become(program, words);
    err_errno(err, "cannot run %s", program);
    free(program);
    return false;
}

/* --- asking ----------------------------------------------------------------------------------------- */

static pid_t start(const char *const *words, int *ret_out, Err *err)
{
    int out[2];
    if (pipe(out) != 0) {
        err_errno(err, "pipe");
        return -1;
    }
    char *program = program_beside("ddq-worker");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        become(program, words);
        dprintf(STDERR_FILENO, "ddq: cannot run %s: %s\n", program, strerror(errno));
        _exit(127);
    }
    free(program);
    close(out[1]);
    if (pid < 0) {
        close(out[0]);
        err_errno(err, "fork");
    }
    *ret_out = out[0];
    return pid;
}

static void read_all(int fd, Buf *text)
{
    char chunk[4096];
    ssize_t got;
    buf_add(text, "", 0);
    while (text->len < ANSWER_MAX && ((got = read(fd, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0)
            buf_add(text, chunk, (size_t)got);
    close(fd);
}

bool program_ask_worker(const char *const *words, cJSON **ret_answer, int *ret_status, Err *err)
{
    Buf text = {0};
    int out = -1, status = 0;
    pid_t pid = start(words, &out, err);
    if (pid < 0)
        return false;
    read_all(out, &text);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    bool good = WIFEXITED(status);
    if (!good)
        err_set(err, ERR_INTERNAL, "ddq-worker %s ended with signal %d", words[0], WTERMSIG(status));
    else
        *ret_status = WEXITSTATUS(status);
    cJSON *answer = good && *ret_status == EXIT_OK ? cJSON_Parse(text.data) : NULL;
    if (good && *ret_status == EXIT_OK && !answer)
        good = err_set(err, ERR_PROTOCOL, "ddq-worker %s did not print JSON: %.200s", words[0], text.data);
    buf_free(&text);
    *ret_answer = answer;
    return good;
}
