#include "daemon/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "daemon/daemon.h"

static Wall remembered(const char *path)
{
    FILE *file = fopen(path, "re");
    Wall born = 0;
    if (!file)
        return 0;
    if (fscanf(file, "%" SCNd64, &born) != 1)
        born = 0;
    fclose(file);
    return born;
}

static bool remember(const char *path, Wall born)
{
    char *part = xasprintf("%s.part", path);
    FILE *file = fopen(part, "we");
    bool ok = file && fprintf(file, "%" PRId64 "\n", born) > 0;
    ok = file && fclose(file) == 0 && ok && rename(part, path) == 0;
    free(part);
    return ok;
}

static void on_checked(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)tag;
    Daemon *d = owner;
    Wall born = (Wall)json_number(reply, "born", 0);
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

void origin_check(Daemon *d)
{
    store_call(d->store, QUEUE_CHECK, NULL, on_checked, d, 0);
}
