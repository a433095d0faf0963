/* A hash table of addresses with linear probing; a few hundred entries. Removing an entry moves those behind it, so
 * that there are no tombstones. */
#include "kernels/device_memory.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"

typedef struct Entry {
    const void *memory; /* NULL: free */
    size_t bytes;
} Entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Entry *entries;
static size_t room, count; /* room is a power of two, at least twice count */
static int64_t held, peak;

static size_t place_of(const void *memory)
{
    uint64_t bits = (uint64_t)(uintptr_t)memory >> 6; /* allocations are aligned */
    return (size_t)(bits * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
}

static Entry *find(const void *memory)
{
    size_t i = place_of(memory);
    while (entries[i].memory && entries[i].memory != memory)
        i = (i + 1) & (room - 1);
    return &entries[i];
}

static void grow(void)
{
    Entry *old = entries;
    size_t old_room = room;
    room = room ? 2 * room : 256;
    entries = xcalloc(room, sizeof *entries);
    for (size_t i = 0; i < old_room; i++)
        if (old[i].memory)
            *find(old[i].memory) = old[i];
    free(old);
}

void device_memory_add(const void *memory, size_t bytes)
{
    pthread_mutex_lock(&lock);
    if (2 * (count + 1) > room)
        grow();
    *find(memory) = (Entry){memory, bytes};
    count++;
    held += (int64_t)bytes;
    peak = held > peak ? held : peak;
    pthread_mutex_unlock(&lock);
}

void device_memory_remove(const void *memory)
{
    pthread_mutex_lock(&lock);
    Entry *entry = room ? find(memory) : NULL;
    if (entry && entry->memory) {
        held -= (int64_t)entry->bytes;
        count--;
        *entry = (Entry){0};
        for (size_t i = (size_t)(entry - entries + 1) & (room - 1); entries[i].memory; i = (i + 1) & (room - 1)) {
            Entry moved = entries[i];
            entries[i] = (Entry){0};
            *find(moved.memory) = moved;
        }
    }
    pthread_mutex_unlock(&lock);
}

int64_t device_memory_held(void)
{
    pthread_mutex_lock(&lock);
    int64_t bytes = held;
    pthread_mutex_unlock(&lock);
    return bytes;
}

int64_t device_memory_peak(void)
{
    pthread_mutex_lock(&lock);
    int64_t bytes = peak;
    pthread_mutex_unlock(&lock);
    return bytes;
}

void device_memory_restart(void)
{
    pthread_mutex_lock(&lock);
    peak = held;
    pthread_mutex_unlock(&lock);
}
