/* One slot a thread, found through a key whose destructor gives it back when the thread ends. */
#include "core/stall.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "core/clock.h"

enum { SLOTS = 256 }; /* more threads than that are not watched */

typedef struct Slot {
    bool used;
    int depth;
    Mono since;
    char path[STALL_TEXT];
} Slot;

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    pthread_key_t key;
    Slot slots[SLOTS];
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void give_back(void *slot)
{
    pthread_mutex_lock(&watch.lock);
    ((Slot *)slot)->used = false;
    pthread_mutex_unlock(&watch.lock);
}

static void make_key(void)
{
    pthread_key_create(&watch.key, give_back);
}

/* Under the lock. NULL: too many threads. */
static Slot *own_slot(void)
{
    Slot *slot = pthread_getspecific(watch.key);
    for (int i = 0; i < SLOTS && !slot; i++)
        if (!watch.slots[i].used) {
            slot = &watch.slots[i];
            *slot = (Slot){.used = true};
            pthread_setspecific(watch.key, slot);
        }
    return slot;
}

static void step(const char *path, int change)
{
    int number = errno;
    pthread_once(&watch.once, make_key);
    pthread_mutex_lock(&watch.lock);
    Slot *slot = own_slot();
    if (slot) {
        slot->depth += change;
        slot->since = mono_ms();
        if (path)
            snprintf(slot->path, sizeof slot->path, "%s", path);
    }
    pthread_mutex_unlock(&watch.lock);
    errno = number;
}

void stall_enter(const char *path)
{
    step(path, 1);
}

void stall_leave(void)
{
    step(NULL, -1);
}

bool stall_found(int seconds, char ret_path[STALL_TEXT])
{
    Mono now = mono_ms();
    bool found = false;
    pthread_mutex_lock(&watch.lock);
    for (int i = 0; i < SLOTS && !found; i++) {
        const Slot *slot = &watch.slots[i];
        found = slot->used && slot->depth > 0 && now - slot->since > (Mono)seconds * 1000;
        if (found)
            snprintf(ret_path, STALL_TEXT, "%s", slot->path);
    }
    pthread_mutex_unlock(&watch.lock);
    return found;
}
