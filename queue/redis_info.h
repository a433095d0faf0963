/* What INFO must say before ddq works with a server: one table for the handshake of the daemon, `ddqd --check` and
 * `ddq doctor`.
 *
 *     const RedisFact *fact;
 *     for (int i = 0; (fact = redis_fact(i)); i++)
 *         if (!fact->judge(info, note, &err)) ...
 */
#ifndef QUEUE_REDIS_INFO_H
#define QUEUE_REDIS_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum { REDIS_NOTE = 128 };

typedef struct RedisFact {
    const char *name; /* "redis version" */
    bool needed;      /* without it ddqd does not use the server; else jobs go on in part, and checks show it */
    /* False with a sentence that starts with "Redis ..." and says what to do; ERR_BUSY where waiting helps. True: the
     * note says what was found. */
    bool (*judge)(const char *info, char ret_note[REDIS_NOTE], Err *err);
} RedisFact;

/* The sections of INFO that the facts are in, NULL at the end: for a caller who may not ask for all of it. */
extern const char *const redis_info_sections[];

const RedisFact *redis_fact(int index); /* NULL past the end */

/* The value of "name:value" in INFO's text. */
bool redis_info_field(const char *info, const char *name, char *ret_value, size_t size);

#endif
