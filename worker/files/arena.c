#include "worker/files/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { CHUNK = 64 * 1024, ALIGN = 16 };

typedef struct ArenaChunk {
    struct ArenaChunk *next;
    size_t pad; /* keeps data aligned to 16 */
    char data[];
} ArenaChunk;

void *arena_try(Arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (arena->chunk && size <= arena->size - arena->used) {
        void *block = arena->chunk->data + arena->used;
        arena->used += size;
        return block;
    }
    size_t room = size > CHUNK / 4 ? size : CHUNK;
    ArenaChunk *chunk = calloc(1, sizeof *chunk + room);
    if (!chunk)
        return NULL;
    if (room == size && arena->chunk) { /* a chunk of its own, behind the one that still has room */
        chunk->next = arena->chunk->next;
        arena->chunk->next = chunk;
        return chunk->data;
    }
    chunk->next = arena->chunk;
    *arena = (Arena){.chunk = chunk, .used = size, .size = room};
    return chunk->data;
}

void *arena_take(Arena *arena, size_t size)
{
    void *block = arena_try(arena, size);
    return block ? block : xmalloc(SIZE_MAX); /* stops the program as xmalloc does */
}

char *arena_text(Arena *arena, const void *text, size_t len)
{
    char *copy = arena_take(arena, len + 1);
    if (len)
        memcpy(copy, text, len);
    return copy;
}

void arena_free(Arena *arena)
{
    for (ArenaChunk *chunk = arena->chunk, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *arena = (Arena){0};
}
