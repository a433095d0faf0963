/* The handler may run at any instruction, so the table is fixed and read without a lock: a row's path and size are
 * written before its address appears, and its address goes first. */
#include "worker/files/mapped.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

enum { ROWS = 256 }; /* mappings beyond that are not named */

static struct {
    pthread_mutex_t lock; /* of writers */
    struct {
        _Atomic uintptr_t data; /* 0: free */
        size_t size;
        char path[512];
    } rows[ROWS];
} mapped = {.lock = PTHREAD_MUTEX_INITIALIZER};

void mapped_add(const void *data, size_t size, const char *path)
{
    pthread_mutex_lock(&mapped.lock);
    for (int i = 0; i < ROWS; i++)
        if (!mapped.rows[i].data) {
            mapped.rows[i].size = size;
            snprintf(mapped.rows[i].path, sizeof mapped.rows[i].path, "%s", path);
            atomic_store(&mapped.rows[i].data, (uintptr_t)data);
            break;
        }
    pthread_mutex_unlock(&mapped.lock);
}

void mapped_remove(const void *data)
{
    pthread_mutex_lock(&mapped.lock);
    for (int i = 0; data && i < ROWS; i++)
        if (mapped.rows[i].data == (uintptr_t)data)
            atomic_store(&mapped.rows[i].data, 0);
    pthread_mutex_unlock(&mapped.lock);
}

static void say(const char *text)
{
    ssize_t sent = write(STDERR_FILENO, text, strlen(text));
    (void)sent; /* nothing else can be done */
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < ROWS; i++) {
        uintptr_t data = atomic_load(&mapped.rows[i].data);
        if (!data || at < data || at - data >= mapped.rows[i].size)
            continue;
        say("ddq-worker: ");
        say(mapped.rows[i].path);
        say(" was cut short, or its disk failed, while it was read; a file in use is replaced by rename, not in "
            "place\n");
        _exit(EXIT_ERROR);
    }
    signal(number, SIG_DFL); /* not one of our files: the instruction runs again and the kernel ends the process */
}

void mapped_guard(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
}
