/* What Redis, its hints and the files of this host report. */
#include <string.h>

#include "core/json.h"
#include "daemon/events.h"
#include "daemon/shutdown.h"
#include "daemon/work/claims.h"
#include "daemon/work/heartbeat.h"
#include "daemon/work/leases.h"
#include "daemon/work/redis_identity.h"
#include "daemon/work/reports.h"

enum {
    FIRST_CONNECT_MS = 5000, /* to a Redis that this daemon did not start */
    TROUBLE_MS = 60000       /* between two lines about the same trouble */
};

/* Connected, for the first time or again: send a heartbeat, pending reports and renewals, then claim.
 * Commands keep their order on the connection, so no claim overtakes a renewal. */
static void on_ready(void *owner)
{
    Daemon *d = owner;
    log_info("redis=%s connected", d->url);
    d->connected = true;
    if (d->alone)
        standalone_served(&d->standalone);
    gate_redis_up(d->gate);
    journal_resend(d->journal);
    heartbeat_now(d);
    redis_identity_check(d);
    reports_send(d);
    d->renewing = false;
    leases_renew(d);
    d->next_reap = 0;
    d->may_claim = d->stage == STAGE_SERVING;
    claims_wake(d);
}

static void on_lost(void *owner, const Err *why)
{
    Daemon *d = owner;
    d->may_claim = false;
    d->counts.redis_lost++;
    gate_redis_down(d->gate, why->text);
    log_warning("redis=%s lost, workers continue: %s", d->url, why->text);
}

/* Once, and again every minute while it lasts. */
static void log_trouble(Daemon *d, const Err *why, Mono now)
{
    if (strcmp(d->trouble.text, why->text) == 0 && now < d->next_trouble)
        return;
    d->trouble = *why;
    d->next_trouble = now + TROUBLE_MS;
    log_line(why->kind == ERR_BUSY ? LOG_WARNING : LOG_ERROR, "%s%s", why->text,
             why->kind == ERR_BUSY ? "; it is asked again" : "");
}

static void on_refused(void *owner, const Err *why, bool unfit)
{
    Daemon *d = owner;
    d->redis_why = *why;
    err_wrap(&d->redis_why, "redis %s", d->url);
    gate_redis_down(d->gate, d->redis_why.text);
    if (unfit && !d->connected && d->stage == STAGE_SERVING)
        shutdown_fail(d, err_exit_code(d->redis_why.kind), &d->redis_why);
    else if (unfit || why->kind == ERR_BUSY)
        log_trouble(d, &d->redis_why, mono_ms());
    else
        log_trace("redis=%s not reached: %s", d->url, why->text);
}

/* At the start a wrong address is more likely than an outage, so give up; later, retry without limit. A server that
 * answers that it is busy is no wrong address. */
void events_check_first_connection(Daemon *d, Mono now)
{
    if (!d->connected && !d->alone && d->stage == STAGE_SERVING && d->redis_why.kind != ERR_BUSY &&
        now - d->started > FIRST_CONNECT_MS)
        shutdown_fail(d, err_exit_code(d->redis_why.kind), &d->redis_why);
}

/* The connection stands, but the server does not carry out calls. */
void events_check_trouble(Daemon *d, Mono now)
{
    const Err *trouble = store_trouble(d->store);
    if (trouble) {
        Err why = *trouble;
        err_wrap(&why, "redis %s", d->url);
        log_trouble(d, &why, now);
    } else if (d->trouble.kind != ERR_NONE && store_ready(d->store)) {
        err_clear(&d->trouble);
        log_info("redis=%s serves again", d->url);
    }
}

static void on_wake(void *owner)
{
    claims_wake(owner);
}

/* First at the registered references, which are among the files to look at; then at the files. */
static void look(Daemon *d, const cJSON *paths)
{
    facts_add_paths(&d->facts, paths);
    d->look_asked = true;
    registry_look(&d->registry);
}

void events_registry_looked(void *owner)
{
    Daemon *d = owner;
    if (d->look_asked)
        facts_look(&d->facts);
    d->look_asked = false;
}

/* A hint says that leases or hosts changed, and the queue's state has what changed; or that a client wants to know what
 * files are now. */
static void on_ctl(void *owner, const char *text)
{
    Daemon *d = owner;
    log_trace("ctl %s", text);
    cJSON *hint = cJSON_Parse(text);
    if (strcmp(json_text(hint, "op", ""), "look") == 0)
        look(d, cJSON_GetObjectItemCaseSensitive(hint, "paths"));
    else if (cJSON_HasObjectItem(hint, "host")) /* a drain, or its end */
        heartbeat_now(d);
    else
        leases_renew(d);
    cJSON_Delete(hint);
}

static void on_facts(void *owner)
{
    Daemon *d = owner;
    if (d->stage == STAGE_SERVING && d->store && store_ready(d->store))
        heartbeat_now(d);
}

void events_references(void *owner)
{
    Daemon *d = owner;
    facts_look(&d->facts);
    if (d->stage != STAGE_SERVING || !d->store || !store_ready(d->store))
        return; /* the next heartbeat reports it */
    heartbeat_now(d);
    claims_wake(d);
}

static cJSON *on_look(void *owner)
{
    const Offers offers = daemon_offers(owner);
    return offers_request(&offers);
}

void events_host_refused(Daemon *d, const Err *why)
{
    shutdown_fail(d, EXIT_REFUSED, why);
}

static void on_server_started(void *owner)
{
    Daemon *d = owner;
    if (d->store)
        store_retry_now(d->store);
}

static void on_server_ended(void *owner, const Err *why, bool never_served)
{
    Daemon *d = owner;
    if (never_served && d->stage == STAGE_SERVING)
        shutdown_fail(d, EXIT_UNREACHABLE, why);
    else
        log_warning("%s; it is started again", why->text);
}

const StoreHooks events_store = {on_ready, on_lost, on_refused, on_wake, on_ctl};
const StandaloneHooks events_standalone = {on_server_started, on_server_ended};
const FactsHooks events_facts = {on_look, on_facts};
