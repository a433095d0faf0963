/* The thread uses `seen`, `fresh` and `bad` alone, and only while `busy`; the loop uses the rest. A folder that changed
 * just now may change again within the same tick of its clock, so its time is used only when it is SETTLED_S old. */
#include "daemon/specs/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "spec/references.h"

enum { SETTLED_S = 2 };

static void look(uv_work_t *work)
{
    Registry *registry = work->data;
    struct stat st;
    struct timespec now, seen = {0};
    if (stat(registry->folder, &st) == 0)
        seen = st.st_mtim;
    if (seen.tv_sec && seen.tv_sec == registry->seen.tv_sec && seen.tv_nsec == registry->seen.tv_nsec)
        return;
    if (access(registry->folder, R_OK | X_OK) != 0 && errno != ENOENT) { /* unreadable is not empty: the old ones stay */
        err_errno(&registry->bad, "references %s", registry->folder);
        registry->seen = (struct timespec){0};
        return;
    }
    registry->fresh = references_scan(registry->folder, &registry->bad);
    clock_gettime(CLOCK_REALTIME, &now);
    registry->seen = seen.tv_sec < now.tv_sec - SETTLED_S ? seen : (struct timespec){0};
}

/* Logs each fault once, until it changes or is gone. */
static void log_fault(Registry *registry)
{
    if (registry->bad.kind && strcmp(registry->logged, registry->bad.text) != 0)
        log_warning("%s; what cannot be read is not offered anew", registry->bad.text);
    memcpy(registry->logged, registry->bad.kind ? registry->bad.text : "",
           registry->bad.kind ? sizeof registry->logged : 1);
}

static void take_fresh(Registry *registry, cJSON *fresh)
{
    if (cJSON_Compare(fresh, registry->entries, true)) {
        cJSON_Delete(fresh);
        return;
    }
    cJSON_Delete(registry->entries);
    registry->entries = fresh;
    registry->changed(registry->owner);
}

static void on_looked(uv_work_t *work, int status)
{
    Registry *registry = work->data;
    cJSON *fresh = registry->fresh;
    registry->busy = false;
    registry->fresh = NULL;
    if (status == 0 && (fresh || registry->bad.kind))
        log_fault(registry);
    if (status == 0 && fresh)
        take_fresh(registry, fresh);
    else
        cJSON_Delete(fresh);
    if (registry->again)
        registry_look(registry);
    else if (registry->looked)
        registry->looked(registry->owner);
}

void registry_init(Registry *registry, uv_loop_t *loop, const char *output_root, void (*changed)(void *owner),
                   void *owner)
{
    *registry = (Registry){.loop = loop, .changed = changed, .owner = owner};
    registry->folder = references_folder(output_root);
    registry->entries = cJSON_CreateObject();
    registry->work.data = registry;
}

void registry_look(Registry *registry)
{
    registry->again = registry->busy;
    if (registry->busy)
        return;
    registry->bad = (Err){0};
    registry->busy = uv_queue_work(registry->loop, &registry->work, look, on_looked) == 0;
}

void registry_done(Registry *registry)
{
    cJSON_Delete(registry->entries);
    cJSON_Delete(registry->fresh);
    free(registry->folder);
    *registry = (Registry){0};
}
