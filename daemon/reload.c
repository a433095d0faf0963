#include "daemon/reload.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/work/claims.h"
#include "daemon/work/heartbeat.h"

/* A setting that only a restart can change; the one in effect moves into the fresh configuration. */
static void keep(const char *name, char **fresh, const char *now)
{
    if (strcmp(*fresh ? *fresh : "", now ? now : "") != 0 && strcmp(name, "redis") == 0)
        log_warning("reload: another address of redis needs a restart");
    else if (strcmp(*fresh ? *fresh : "", now ? now : "") != 0)
        log_warning("reload: %s = %s needs a restart; it stays %s", name, *fresh ? *fresh : "(none)",
                    now ? now : "(none)");
    free(*fresh);
    *fresh = now ? xstrdup(now) : NULL;
}

static void keep_fixed(const Daemon *d, Conf *fresh)
{
    const Conf *now = d->conf;
    if (strcmp(fresh->output_root, d->root_word) == 0) /* its file system may not answer now, so it is not accessed */
        options_override(&fresh->output_root, now->output_root);
    keep("redis", &fresh->redis, now->redis);
    keep("state", &fresh->state, now->state);
    keep("output_root", &fresh->output_root, now->output_root);
    keep("host", &fresh->host, now->host);
    keep("redis_secret", &fresh->redis_secret, now->redis_secret);
    keep("http", &fresh->http, now->http);
    keep("redis_server", &fresh->redis_server, now->redis_server);
    keep("socket", &fresh->socket, now->socket);
    keep("admin_group", &fresh->admin_group, now->admin_group);
    keep("worker_program", &fresh->worker_program, now->worker_program);
}

void reload(Daemon *d)
{
    Conf *fresh = NULL;
    DeviceList devices;
    Err err = {0};
    if (!options_conf(d->options, &fresh, &err) ||
        !devices_parse(fresh->workers, devices_cores(), "/proc", &devices, &err)) {
        log_error("reload refused, the old configuration remains in effect: %s", err.text);
        conf_free(fresh);
        return;
    }
    keep_fixed(d, fresh);
    conf_free(d->conf);
    d->conf = fresh;
    log_info("reload models=%d references=%d workers=%d lease_ms=%d chunk_ms=%d", fresh->model_count,
             fresh->reference_count, devices.count, fresh->lease_ms, fresh->chunk_ms);
    workers_configure(&d->workers, &devices);
    facts_look(&d->facts);
    heartbeat_now(d);
    claims_wake(d);
}
