/* The registered references as of this host's last scan (spec/references.h): scanned in the thread pool, because the
 * output root may be a network folder, and kept in memory for heartbeats, claims and jobs.
 *
 *     registry_init(&registry, loop, output_root, on_changed, owner);
 *     registry_look(&registry);              at every heartbeat
 *     registry_done(&registry);              after the loop has ended */
#ifndef DAEMON_SPECS_REGISTRY_H
#define DAEMON_SPECS_REGISTRY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <time.h>
#include <uv.h>

#include "core/err.h"

typedef struct Registry {
    uv_loop_t *loop;
    uv_work_t work;
    bool busy, again; /* again: asked for while a scan was under way */
    char *folder;
    cJSON *entries; /* {NAME: entry}; never NULL */
    void (*changed)(void *owner), (*looked)(void *owner);
    void *owner;
    char logged[768]; /* the last fault that was logged */
    /* of the scan under way */
    struct timespec seen; /* the folder's time of change, {0}: scan again */
    cJSON *fresh;         /* NULL: it had not changed */
    Err bad;
} Registry;

void registry_init(Registry *registry, uv_loop_t *loop, const char *output_root, void (*changed)(void *owner),
                   void *owner);
/* `looked` (may be NULL, set it after registry_init) is called when a scan that began after this call has ended, and
 * after `changed`. */
void registry_look(Registry *registry);
void registry_done(Registry *registry);

#endif
