/* Arena: many small blocks with one lifetime. Blocks are zeroed and aligned to 16 bytes; nothing is freed before
 * arena_free. An Arena that is all zero is empty and ready. */
#ifndef WORKER_FILES_ARENA_H
#define WORKER_FILES_ARENA_H

#include <stddef.h>

typedef struct Arena {
    struct ArenaChunk *chunk; /* newest first */
    size_t used, size;        /* of the newest */
} Arena;

void *arena_take(Arena *arena, size_t size);
void *arena_try(Arena *arena, size_t size); /* for blocks whose size a file decides: NULL when memory is short */
char *arena_text(Arena *arena, const void *text, size_t len); /* a NUL-terminated copy */
void arena_free(Arena *arena);                                /* leaves an empty Arena */

#endif
