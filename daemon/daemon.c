/* Order of the start: configuration, state folder (lock), journal, loop and signals, private Redis, connection,
 * workers, tick. Serving begins when Redis is ready, the queue's register has this host and a worker has sent hello.
 * shutdown.h has the order of the stop.
 *
 * One tick does all that is due; everything else is an event with a handler in this file, which calls the module of
 * work/. */
#include "daemon/daemon.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "daemon/dump.h"
#include "daemon/metrics.h"
#include "daemon/redis/address.h"
#include "daemon/shutdown.h"
#include "daemon/work/claims.h"
#include "daemon/work/heartbeat.h"
#include "daemon/work/leases.h"
#include "daemon/work/progress.h"
#include "daemon/work/ready.h"
#include "daemon/work/redis_identity.h"
#include "daemon/work/reports.h"
#include "daemon/work/state.h"

enum {
    TICK_MS = 100,
    FIRST_CONNECT_MS = 5000, /* to a Redis that this daemon did not start */
    FIRST_DEATHS = 3,        /* failed starts of a worker before any has sent hello: a permanent fault */
    SUSPENDED_S = 2,         /* of the loop: after which it was suspended, not its workers silent */
    TROUBLE_MS = 60000,
    STATUS_MS = 5000
};

/* --- Redis ------------------------------------------------------------------------------------------ */

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
static void check_first_connection(Daemon *d, Mono now)
{
    if (!d->connected && !d->alone && d->stage == STAGE_SERVING && d->redis_why.kind != ERR_BUSY &&
        now - d->started > FIRST_CONNECT_MS)
        shutdown_fail(d, err_exit_code(d->redis_why.kind), &d->redis_why);
}

/* The connection stands, but the server does not carry out calls. */
static void check_trouble(Daemon *d, Mono now)
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

static void on_registry_looked(void *owner)
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

static void on_references(void *owner)
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

static void on_host_refused(Daemon *d, const Err *why)
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

/* --- workers ---------------------------------------------------------------------------------------- */

static void on_hello(void *owner, Worker *worker)
{
    (void)worker;
    Daemon *d = owner;
    heartbeat_now(d);
    ready_check(d);
    claims_run(d);
}

static void on_message(void *owner, Worker *worker, ProtoType type, const cJSON *message)
{
    Daemon *d = owner;
    LogLevel level = LOG_INFO;
    if (type == PROTO_LOG) {
        log_level_parse(json_text(message, "level", "info"), &level);
        progress_line(d, worker, level, json_text(message, "text", ""));
    } else if (type == PROTO_LOADED) {
        log_info("job=%s worker=%s loaded seconds=%.2f", json_text(message, "job", ""), worker->device.name,
                 json_number(message, "seconds", 0));
    } else if (leases_message(d, worker, type, message)) {
        claims_run(d);
    }
}

static void on_stderr(void *owner, Worker *worker, const char *line)
{
    progress_line(owner, worker, LOG_INFO, line);
}

static void on_gone(void *owner, Worker *worker, const Err *why)
{
    Daemon *d = owner;
    log_line(worker->stop == STOP_ASKED ? LOG_INFO : LOG_WARNING, "worker=%s gone: %s", worker->device.name, why->text);
    d->counts.workers_ended++;
    leases_gone(d, worker, why);
    if (worker->drained[0] && d->store)
        heartbeat_now(d); /* another process may wait for its device */
    if (!d->ready && !ready_any_worker(d) && worker->failures >= FIRST_DEATHS && d->stage == STAGE_SERVING)
        shutdown_fail(d, EXIT_ERROR, why);
}

static void on_stuck(void *owner, Worker *worker)
{
    leases_stuck(owner, worker);
}

/* Another worker may still start: it has not failed yet. */
static bool others_may_come(const Daemon *d, const Worker *worker)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (&d->workers.rows[i] != worker && d->workers.rows[i].used && d->workers.rows[i].failures == 0)
            return true;
    return false;
}

/* It costs this worker, which is tried again. Before any worker has started, and when no other can, it is an error in
 * the set-up, and waiting would hide it. */
static void on_unfit(void *owner, Worker *worker, const Err *why)
{
    Daemon *d = owner;
    if (d->ready || ready_any_worker(d) || others_may_come(d, worker) || d->stage != STAGE_SERVING)
        log_error("worker=%s %s", worker->device.name, why->text);
    else
        shutdown_fail(d, err_exit_code(why->kind) == EXIT_REFUSED ? EXIT_REFUSED : EXIT_ERROR, why);
}

static void on_resolved(void *owner, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why)
{
    claims_resolved(owner, tag, exec, reply, why);
}

/* --- the tick --------------------------------------------------------------------------------------- */

static int count_state(const Daemon *d, WorkerState state)
{
    int count = 0;
    for (int i = 0; i < WORKERS_MAX; i++)
        count += d->workers.rows[i].used && d->workers.rows[i].state == state;
    return count;
}

/* The watchdog is notified from the tick, so a stalled loop is detected; and only while the connection's state machine
 * advances, so that a stuck one is detected as well. */
static void notify_systemd(Daemon *d, Mono now)
{
    if (d->notify.watchdog_ms && now >= d->next_watchdog && (!d->store || store_healthy(d->store, now))) {
        d->next_watchdog = now + d->notify.watchdog_ms;
        notify_send(&d->notify, "WATCHDOG=1");
    }
    if (now < d->next_status)
        return;
    d->next_status = now + STATUS_MS;
    if (!d->ready && d->redis_why.kind == ERR_BUSY)
        notify_send(&d->notify, "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=%.200s", d->redis_why.text);
    else if (d->stage == STAGE_SERVING)
        notify_send(&d->notify, "STATUS=%d busy, %d idle, %d starting; redis %s", count_state(d, WORKER_BUSY),
                    count_state(d, WORKER_IDLE) + count_state(d, WORKER_CLAIMING), count_state(d, WORKER_STARTING),
                    store_state_name(d->store));
    else
        notify_send(&d->notify, "EXTEND_TIMEOUT_USEC=60000000");
}

/* The daemon was suspended and has not read what workers sent meanwhile: that time does not count as silence. */
static void reset_silence_timers(Daemon *d)
{
    Mono now = mono_ms();
    for (int i = 0; i < WORKERS_MAX; i++)
        d->workers.rows[i].last_message = d->leases[i].last_message = now;
    log_warning("host=%s this daemon was suspended; the silence timers of its workers are reset", d->conf->host);
}

static void measure_lag(Daemon *d)
{
    uint64_t now = uv_hrtime();
    double late = d->lag.due_ns && now > d->lag.due_ns ? (double)(now - d->lag.due_ns) / 1e9 : 0;
    d->lag.due_ns = now + TICK_MS * 1000000ull;
    if (late > d->lag.worst_s)
        d->lag.worst_s = late;
    if (late > SUSPENDED_S)
        reset_silence_timers(d);
}

static void on_tick(uv_timer_t *timer)
{
    Daemon *d = timer->data;
    Mono now = mono_ms();
    measure_lag(d);
    if (d->alone)
        standalone_tick(&d->standalone, now);
    if (d->store) {
        store_tick(d->store, now);
        check_trouble(d, now);
        reports_tick(d, now);
        workers_tick(&d->workers, now);
        resolving_tick(&d->resolving, now);
        leases_tick(d, now);
        claims_run(d);
        progress_flush_all(d, now);
        heartbeat_tick(d, now);
    }
    gate_tick(d->gate, now);
    facts_tick(&d->facts, now);
    journal_expire(d->journal, now);
    notify_systemd(d, now);
    http_tick(&d->http, now);
    check_first_connection(d, now);
    shutdown_tick(d, now);
}

/* --- configuration and signals ---------------------------------------------------------------------- */

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

/* What can change at run time: models, references, workers, roots for inputs, times. */
static void reload(Daemon *d)
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

static void on_signal(uv_signal_t *handle, int number)
{
    Daemon *d = handle->data;
    log_info("signal=%s", strsignal(number));
    if (number == SIGUSR1) {
        dump_tables(d);
    } else if (number == SIGHUP) {
        if (d->stage == STAGE_SERVING)
            reload(d);
    } else if (d->stage == STAGE_SERVING) {
        shutdown_drain(d);
    } else {
        shutdown_kill(d);
    }
}

/* --- start ------------------------------------------------------------------------------------------ */

static bool open_output_root(Daemon *d, Err *err)
{
    Conf *conf = d->conf;
    if (!file_make_folders(conf->output_root, 0755, 0755, err))
        return err_wrap(err, "output root");
    char *real = realpath(conf->output_root, NULL);
    d->root_word = xstrdup(conf->output_root);
    bool ok = real && access(real, W_OK | X_OK) == 0;
    if (!ok)
        err_errno(err, "output root %s", conf->output_root);
    options_override(&conf->output_root, real);
    free(real);
    return ok;
}

/* Sockets that are too long for the state folder stand in a folder of this user's (conf_temporary_folder). */
static bool make_socket_folder(const char *path, Err *err)
{
    char *folder = conf_temporary_folder();
    size_t len = strlen(folder);
    bool ok = strncmp(path, folder, len) != 0 || path[len] != '/' || conf_temporary_folder_make(err);
    free(folder);
    return ok;
}

static bool choose_redis(Daemon *d, RedisUrl *ret_url, Err *err)
{
    d->alone = d->options->standalone || !d->conf->redis;
    bool ok = address_find(d->conf, d->alone, ret_url, err) && (!d->alone || make_socket_folder(ret_url->path, err));
    if (ok)
        d->url = redis_url_name(ret_url);
    return ok;
}

static bool open_journal(Daemon *d, Err *err)
{
    JournalForeign foreign;
    Err found = {0};
    if (!journal_open(d->state.path, &d->journal, &foreign, err))
        return false;
    if (foreign.lines) {
        err_set(&found, ERR_FORMAT,
                "journal %s/journal: line %d is no record (%s; %d such line%s), so another program has written into "
                "it. All records were read; a copy of the file is kept as %s",
                d->state.path, foreign.first, foreign.text, foreign.lines, foreign.lines > 1 ? "s" : "", foreign.path);
        log_warning("%s", found.text);
    }
    free(foreign.path);
    return true;
}

static void start_signals(Daemon *d)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    static_assert(countof(numbers) == countof(((Daemon *)0)->signals), "a handle for each signal");
    for (size_t i = 0; i < countof(numbers); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN); /* writes to a dead worker or reader come back as errors */
}

static bool start_http(Daemon *d, Err *err)
{
    return !d->conf->http || http_open(&d->http, &d->loop, d->conf->http, metrics_answer, d, err);
}

static bool start_gate(Daemon *d, const RedisUrl *url, Err *err)
{
    char *path = conf_socket(d->conf);
    bool ok = make_socket_folder(path, err) &&
              gate_open(&d->loop, path, url, d->conf->admin_group ? d->conf->admin_group : "ddq-admin", &d->gate, err);
    if (ok)
        log_info("socket=%s open", path);
    free(path);
    return ok;
}

static void start_all(Daemon *d, const RedisUrl *url, const DeviceList *devices)
{
    static const ResolvingHooks resolving_hooks = {on_resolved, on_wake};
    static const StandaloneHooks standalone_hooks = {on_server_started, on_server_ended};
    static const StoreHooks store_hooks = {on_ready, on_lost, on_refused, on_wake, on_ctl};
    static const WorkersHooks workers_hooks = {on_hello, on_message, on_stderr, on_gone, on_unfit, on_stuck};
    static const FactsHooks facts_hooks = {on_look, on_facts};
    start_signals(d);
    err_set(&d->redis_why, ERR_UNREACHABLE, "redis %s does not answer", d->url);
    uv_timer_init(&d->loop, &d->tick);
    d->tick.data = d;
    uv_timer_start(&d->tick, on_tick, 0, TICK_MS);

    char *program = options_worker_program(d->conf), *name = xasprintf("ddqd-%s", d->conf->host);
    for (char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '_'; /* CLIENT SETNAME accepts no other characters */
    workers_init(&d->workers, &d->loop, program, &workers_hooks, d);
    d->workers.cache = xasprintf("%s/cache", d->state.path);
    d->workers.limits.stall_s = d->options->stall_s;
    d->workers.limits.alive_ms = d->options->silence_s * 1000;
    facts_init(&d->facts, &d->loop, program, &facts_hooks, d);
    registry_init(&d->registry, &d->loop, d->conf->output_root, on_references, d);
    d->registry.looked = on_registry_looked;
    registry_look(&d->registry);
    resolving_init(&d->resolving, &d->loop, d->options->stall_s, &resolving_hooks, d);
    d->on_host_refused = on_host_refused;
    if (d->alone)
        standalone_open(&d->standalone, &d->loop, d->conf->redis_server, d->state.path, url->path, &standalone_hooks,
                        d);
    d->store = store_open(&d->loop, url, name, &store_hooks, d);
    workers_configure(&d->workers, devices);
    leases_orphans(d);
    free(program);
    free(name);
}

static void stop_all(Daemon *d)
{
    workers_done(&d->workers);
    registry_done(&d->registry);
    facts_done(&d->facts);
    if (d->alone)
        standalone_done(&d->standalone);
}

static void seed_chance(void)
{
    long seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (long)mono_ms() ^ getpid();
    srand48(seed);
}

int daemon_run(const Options *options)
{
    Daemon *d = xcalloc(1, sizeof *d);
    Err err = {0};
    RedisUrl url;
    DeviceList devices;
    d->options = options;
    d->started = mono_ms();
    d->state.lock = -1;
    notify_open(&d->notify);
    seed_chance();
    resolving_size_pool();
    bool ok = options_conf(options, &d->conf, &err) &&
              devices_parse(d->conf->workers, devices_cores(), "/proc", &devices, &err) && open_output_root(d, &err) &&
              statedir_open(d->conf->state, &d->state, &err) && choose_redis(d, &url, &err) && open_journal(d, &err);
    uv_loop_init(&d->loop);
    if (ok && start_http(d, &err) && start_gate(d, &url, &err)) {
        start_all(d, &url, &devices);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        stop_all(d);
    } else {
        log_error("%s", err.text);
        d->exit_code = err_exit_code(err.kind);
        http_close(&d->http);
        gate_close(d->gate);
        uv_run(&d->loop, UV_RUN_DEFAULT); /* what was opened before closes */
    }
    int left = uv_loop_close(&d->loop);
    assert(left == 0);
    (void)left;
    int code = d->exit_code;
    log_info("ended status=%d", code);
    journal_close(d->journal);
    statedir_close(&d->state);
    gate_free(d->gate);
    notify_close(&d->notify);
    conf_free(d->conf);
    free(d->url);
    free(d->root_word);
    free(d);
    return code;
}
