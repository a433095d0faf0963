#include "daemon/work/redis_identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "daemon/work/state.h"

static Wall remembered(const char *path)
{
    char *text = NULL;
    if (!file_read_text("state file", path, 64, &text, NULL))
        return 0;
    Wall born = strtoll(text, NULL, 10);
    free(text);
    return born;
}

static bool remember(const char *path, Wall born)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%" PRId64 "\n", born);
    return file_write(path, text, (size_t)len, NULL);
}

static void on_checked(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)tag;
    Daemon *d = owner;
    Wall born = json_int(reply, "born", 0);
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "hints")))
        log_warning(
            "redis=%s its ACL does not permit this user to publish and subscribe: jobs and cancels wait for the "
            "next poll; add +publish +subscribe &{ddq}:*",
            d->url);
    if (err || !born)
        return;
    char *path = xasprintf("%s/queue", d->state.path), then[25], now[25];
    Wall known = remembered(path);
    if (known && known != born) {
        wall_iso(known, then);
        wall_iso(born, now);
        log_error(
            "redis=%s came back without its jobs: its queue began at %s, the one this host knows at %s. What they "
            "made is on disk; bring them back with: ddq adopt %s",
            d->url, now, then, d->conf->output_root);
    }
    if (known != born && !remember(path, born))
        log_warning("state file %s cannot be written; a Redis that comes back empty will not be noticed", path);
    free(path);
}

void redis_identity_check(Daemon *d)
{
    store_call(d->store, QUEUE_CHECK, NULL, on_checked, d, 0);
}
