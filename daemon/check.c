/* A table of named checks. To add one: a function that returns true, or an Err with a sentence, or calls skip(); a row.
 * A check that needs what an earlier one found missing is skipped. */
#include "daemon/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "daemon/base/statedir.h"
#include "daemon/redis/address.h"
#include "daemon/redis/handshake.h"
#include "daemon/redis/standalone.h"
#include "daemon/workers/devices.h"

enum { REDIS_MS = 5000 };

typedef struct Check {
    const Options *options;
    Conf *conf;
    char note[512]; /* printed after "ok" or "skipped" */
    bool skipped;
} Check;

static bool skip(Check *check, const char *why)
{
    snprintf(check->note, sizeof check->note, "%s", why);
    check->skipped = true;
    return true;
}

/* --- the checks ------------------------------------------------------------------------------------- */

static bool check_configuration(Check *check, Err *err)
{
    if (!options_conf(check->options, &check->conf, err))
        return false;
    snprintf(check->note, sizeof check->note, "%d models, %d references", check->conf->model_count,
             check->conf->reference_count);
    return true;
}

static bool check_workers(Check *check, Err *err)
{
    DeviceList devices;
    if (!devices_parse(check->conf->workers, devices_cores(), "/proc", &devices, err))
        return false;
    for (int i = 0; i < devices.count; i++) {
        size_t used = strlen(check->note);
        snprintf(check->note + used, sizeof check->note - used, "%s%s", used ? ", " : "", devices.items[i].name);
    }
    return true;
}

static bool check_program(Check *check, Err *err)
{
    char *program = options_worker_program(check->conf);
    bool ok = access(program, X_OK) == 0 ||
              err_errno(err, "worker program %s (say where it is with --worker-program)", program);
    snprintf(check->note, sizeof check->note, "%.500s", program);
    free(program);
    return ok;
}

/* The folder, or the nearest one above it that exists, can be written. */
static bool writable(const char *what, const char *path, Err *err)
{
    char *copy = xstrdup(path), *slash;
    while (access(copy, F_OK) != 0 && (slash = strrchr(copy, '/')) && slash != copy)
        *slash = 0;
    bool ok = access(copy, W_OK | X_OK) == 0 || err_errno(err, "%s %s cannot be written", what, path);
    free(copy);
    return ok;
}

static bool check_output_root(Check *check, Err *err)
{
    snprintf(check->note, sizeof check->note, "%.500s", check->conf->output_root);
    return writable("output root", check->conf->output_root, err);
}

static bool check_state(Check *check, Err *err)
{
    struct stat st;
    StateDir state;
    if (stat(check->conf->state, &st) != 0)
        return writable("state folder", check->conf->state, err);
    if (!statedir_open(check->conf->state, &state, err))
        return false;
    statedir_close(&state);
    return true;
}

static bool readable(const char *section, const char *name, const char *path, Err *err)
{
    return !path || access(path, R_OK) == 0 || err_errno(err, "[%s%s%s] %s", section, *name ? " " : "", name, path);
}

static bool check_models(Check *check, Err *err)
{
    for (int i = 0; i < check->conf->model_count; i++) {
        const ConfModel *model = &check->conf->models[i];
        for (ModelRole role = 0; role < MODEL_ROLES; role++)
            if (!readable("model", model->name, model->files[role], err))
                return false;
    }
    return check->conf->model_count > 0 ? true : skip(check, "no [model NAME] in the configuration");
}

static bool check_references(Check *check, Err *err)
{
    if (!readable("inception", "", check->conf->inception, err))
        return false;
    for (int i = 0; i < check->conf->reference_count; i++) {
        const ConfReference *reference = &check->conf->references[i];
        if (!readable("reference", reference->name, conf_reference_path(reference), err) ||
            !readable("reference", reference->name, reference->inception, err))
            return false;
    }
    return check->conf->reference_count > 0 ? true : skip(check, "no [reference NAME] in the configuration");
}

static bool check_server(Check *check, Err *err)
{
    if (!check->options->standalone && check->conf->redis)
        return skip(check, "a Redis address is configured");
    return standalone_version(check->conf->redis_server, check->note, sizeof check->note, err);
}

/* --- a connection, greeted but without loading anything --------------------------------------------- */

typedef struct Probe {
    RedisLink *link;
    const RedisUrl *url;
    int sent;
    bool over, ok;
    Err *err;
} Probe;

static void on_probe_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    Probe *probe = owner;
    bool unfit;
    if (redis_reply_error(reply) && !probe->over) {
        probe->over = true;
        err_set(probe->err, ERR_UNREACHABLE, "Redis answers: %s", redis_reply_error(reply));
    } else if (tag == 1 && reply && !probe->over) {
        probe->over = true;
        probe->ok = handshake_check_info(redis_reply_text(reply) ? redis_reply_text(reply) : "", &unfit, probe->err);
    }
}

static void on_probe_up(void *owner)
{
    Probe *probe = owner;
    if (probe->url->password[0])
        redis_link_send(probe->link, 2, (const char *[]){"AUTH", probe->url->password}, NULL, on_probe_reply, 0);
    redis_link_send(probe->link, 1, (const char *[]){"INFO"}, NULL, on_probe_reply, 1);
}

static void on_probe_down(void *owner, const Err *why)
{
    Probe *probe = owner;
    probe->link = NULL;
    if (!probe->over)
        *probe->err = *why;
    probe->over = true;
}

static void on_probe_timer(uv_timer_t *timer)
{
    Probe *probe = timer->data;
    redis_link_tick(probe->link, mono_ms());
    if (!probe->over)
        return;
    redis_link_close(probe->link);
    uv_close((uv_handle_t *)timer, NULL);
}

static bool check_redis(Check *check, Err *err)
{
    static const RedisLinkHooks hooks = {on_probe_up, on_probe_down, NULL};
    bool alone = check->options->standalone || !check->conf->redis;
    RedisUrl url;
    bool ok = address_find(check->conf, alone, &url, err);
    char *name = ok ? redis_url_name(&url) : xstrdup("address");
    snprintf(check->note, sizeof check->note, "%.500s", name);
    if (ok && alone && standalone_find(url.path) <= 0) {
        skip(check, "the private server runs only while ddqd does");
    } else if (ok) {
        uv_loop_t loop;
        uv_timer_t timer = {.data = NULL};
        Probe probe = {.url = &url, .err = err};
        uv_loop_init(&loop);
        uv_timer_init(&loop, &timer);
        timer.data = &probe;
        uv_timer_start(&timer, on_probe_timer, 0, 50);
        probe.link = redis_link_open(&loop, &url, &hooks, &probe);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
        ok = probe.ok || err_wrap(err, "redis %s", name);
    }
    free(name);
    return ok;
}

/* --- the table -------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(Check *check, Err *err);
} checks[] = {
    {"configuration", check_configuration}, {"workers", check_workers},     {"worker program", check_program},
    {"output root", check_output_root},     {"state folder", check_state},  {"models", check_models},
    {"references", check_references},       {"redis-server", check_server}, {"redis", check_redis},
};

int check_all(const Options *options)
{
    Check check = {.options = options};
    int code = EXIT_OK;
    for (size_t i = 0; i < countof(checks); i++) {
        Err err = {0};
        check.note[0] = 0;
        check.skipped = false;
        bool ok = checks[i].run(&check, &err);
        printf("%-15s %s%s%s\n", checks[i].name,
               !ok             ? "FAILED  "
               : check.skipped ? "skipped"
                               : "ok",
               ok && check.note[0] ? "  " : "", ok ? check.note : err.text);
        if (!ok && code == EXIT_OK)
            code = err_exit_code(err.kind);
        if (!check.conf)
            break; /* the other checks read it */
    }
    conf_free(check.conf);
    return code;
}
