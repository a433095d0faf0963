/* Order of the start: configuration, state folder (lock), journal, loop and signals, private Redis, connection,
 * workers, tick. Serving begins when Redis is ready, the queue's register has this host and a worker has sent hello.
 * shutdown.h has the order of the stop.
 *
 * One tick does all that is due; everything else is an event (events.h). */
#include "daemon/daemon.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/file.h"
#include "core/mem.h"
#include "daemon/dump.h"
#include "daemon/events.h"
#include "daemon/metrics.h"
#include "daemon/redis/address.h"
#include "daemon/reload.h"
#include "daemon/shutdown.h"
#include "daemon/work/claims.h"
#include "daemon/work/heartbeat.h"
#include "daemon/work/leases.h"
#include "daemon/work/progress.h"
#include "daemon/work/ready.h"
#include "daemon/work/reports.h"
#include "daemon/work/state.h"

enum {
    TICK_MS = 100,
    SUSPENDED_S = 2, /* of the loop: after which it was suspended, not its workers silent */
    STATUS_MS = 5000
};

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
        events_check_trouble(d, now);
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
    events_check_first_connection(d, now);
    shutdown_tick(d, now);
}

/* --- signals ------------------------------------------------------------------------------------------ */

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
    start_signals(d);
    err_set(&d->redis_why, ERR_UNREACHABLE, "redis %s does not answer", d->url);
    uv_timer_init(&d->loop, &d->tick);
    d->tick.data = d;
    uv_timer_start(&d->tick, on_tick, 0, TICK_MS);

    char *program = options_worker_program(d->conf), *name = xasprintf("ddqd-%s", d->conf->host);
    for (char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '_'; /* CLIENT SETNAME accepts no other characters */
    workers_init(&d->workers, &d->loop, program, &events_workers, d);
    d->workers.cache = xasprintf("%s/cache", d->state.path);
    d->workers.limits.stall_s = d->options->stall_s;
    d->workers.limits.alive_ms = d->options->silence_s * 1000;
    facts_init(&d->facts, &d->loop, program, &events_facts, d);
    registry_init(&d->registry, &d->loop, d->conf->output_root, events_references, d);
    d->registry.looked = events_registry_looked;
    registry_look(&d->registry);
    resolving_init(&d->resolving, &d->loop, d->options->stall_s, &events_resolving, d);
    d->on_host_refused = events_host_refused;
    if (d->alone)
        standalone_open(&d->standalone, &d->loop, d->conf->redis_server, d->state.path, url->path, &events_standalone,
                        d);
    d->store = store_open(&d->loop, url, name, &events_store, d);
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
