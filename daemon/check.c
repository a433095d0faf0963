/* Tables of named checks. To add one: a function that returns true, or an Err with a sentence, or calls skip(); a row.
 * What `ddq doctor` checks too stands in spec/conf/conf_files.c (files) and queue/redis_info.c (the server). */
#include "daemon/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "daemon/base/socket.h"
#include "daemon/base/statedir.h"
#include "daemon/redis/address.h"
#include "daemon/redis/link.h"
#include "daemon/redis/standalone.h"
#include "daemon/workers/devices.h"
#include "queue/queue.h"
#include "queue/redis_error.h"
#include "queue/redis_info.h"
#include "spec/conf/conf_files.h"

typedef struct Check {
    const Options *options;
    Conf *conf;
    char note[512]; /* printed after "ok" or "skipped" */
    bool skipped;
    int code;
    char *info;      /* of Redis; NULL: it did not answer */
    char queue[128]; /* what was found of the queue in it; "": nothing was asked */
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

static bool check_output_root(Check *check, Err *err)
{
    snprintf(check->note, sizeof check->note, "%.500s", check->conf->output_root);
    return file_folders_possible(check->conf->output_root) ||
           err_errno(err, "output root %s cannot be written", check->conf->output_root);
}

/* On a host where ddqd runs the folder is in use, as it should be. */
static bool check_state(Check *check, Err *err)
{
    int pid;
    if (!statedir_look(check->conf->state, &pid, err))
        return false;
    if (pid > 0)
        snprintf(check->note, sizeof check->note, "%.400s, used by the ddqd that runs (pid %d)", check->conf->state,
                 pid);
    else
        snprintf(check->note, sizeof check->note, "%.400s%s", check->conf->state,
                 pid ? ", used by a ddqd that runs" : "");
    return true;
}

static bool check_server(Check *check, Err *err)
{
    if (!check->options->standalone && check->conf->redis)
        return skip(check, "a Redis address is configured");
    return standalone_version(check->conf->redis_server, check->note, sizeof check->note, err);
}

/* --- a connection that asks and changes nothing ------------------------------------------------------- */

typedef enum Question { ASK_AUTH, ASK_SELECT, ASK_INFO, ASK_QUEUE, ASK_WRITE } Question;

typedef struct Probe {
    Check *check;
    RedisLink *link;
    const RedisUrl *url;
    bool over, ok;
    Err *err;
} Probe;

static void on_probe_reply(void *owner, uint64_t tag, const RedisReply *reply);

static void probe_end(Probe *probe, bool ok)
{
    probe->ok = ok;
    probe->over = true;
}

static void ask(Probe *probe, Question question, int argc, const char *const *argv)
{
    if (!redis_link_send(probe->link, argc, argv, NULL, on_probe_reply, question))
        probe_end(probe, err_set(probe->err, ERR_UNREACHABLE, "the connection ended"));
}

#define ASK(probe, question, ...)                                                                                      \
    ask(probe, question, (int)countof(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

/* Data that exists is asked to take a change, which is none: a share without a user. A full Redis refuses it. */
static void on_queue(Probe *probe, const RedisReply *reply)
{
    cJSON *answer = NULL;
    const char *text = redis_reply_text(reply);
    if (!queue_reply_parse(text ? text : "", &answer, probe->err)) {
        probe_end(probe, false);
    } else if (json_number(answer, "schema", 0) != json_number(answer, "version", 0)) { /* a change would make it so */
        snprintf(probe->check->queue, sizeof probe->check->queue,
                 json_number(answer, "schema", 0) > 0 ? "data of an older version, which ddqd converts"
                                                      : "no data yet");
        probe_end(probe, true);
    } else {
        snprintf(probe->check->queue, sizeof probe->check->queue, "schema %d, takes changes",
                 (int)json_number(answer, "version", 0));
        ASK(probe, ASK_WRITE, "FCALL", queue_fn_name(QUEUE_SHARE), "1", QUEUE_TAG, "{}");
    }
    cJSON_Delete(answer);
}

static bool usable(const char *info)
{
    const RedisFact *fact;
    char note[REDIS_NOTE];
    for (int i = 0; (fact = redis_fact(i)); i++)
        if (fact->needed && !fact->judge(info, note, NULL))
            return false;
    return true;
}

static void on_probe_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    Probe *probe = owner;
    const char *error = redis_reply_error(reply);
    if (probe->over || !reply)
        return;
    if (error && tag == ASK_QUEUE && strstr(error, "Function not found")) {
        snprintf(probe->check->queue, sizeof probe->check->queue, "the library is not there yet; ddqd loads it");
        probe_end(probe, true);
    } else if (error) {
        probe_end(probe, tag == ASK_AUTH ? redis_error_auth(NULL, error, probe->err)
                                         : redis_error_set(NULL, error, probe->err));
    } else if (tag == ASK_INFO) {
        const char *text = redis_reply_text(reply);
        probe->check->info = xstrdup(text ? text : "");
        if (!usable(probe->check->info))
            probe_end(probe, true); /* its line says why */
        else
            ASK(probe, ASK_QUEUE, "FCALL", queue_fn_name(QUEUE_CHECK), "1", QUEUE_TAG, "{}");
    } else if (tag == ASK_QUEUE) {
        on_queue(probe, reply);
    } else if (tag == ASK_WRITE) {
        probe_end(probe, true);
    }
}

static void on_probe_up(void *owner)
{
    Probe *probe = owner;
    char db[16];
    snprintf(db, sizeof db, "%d", probe->url->db);
    if (probe->url->password[0])
        ASK(probe, ASK_AUTH, "AUTH", probe->url->password);
    if (probe->url->db)
        ASK(probe, ASK_SELECT, "SELECT", db);
    ASK(probe, ASK_INFO, "INFO");
}

static void on_probe_down(void *owner, const Err *why)
{
    Probe *probe = owner;
    probe->link = NULL;
    if (!probe->over && redis_error_find(why->text)->kind != ERR_INTERNAL)
        redis_error_set(NULL, why->text, probe->err);
    else if (!probe->over)
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

static bool probe(Check *check, const RedisUrl *url, Err *err)
{
    static const RedisLinkHooks hooks = {on_probe_up, on_probe_down, NULL};
    uv_loop_t loop;
    uv_timer_t timer;
    Probe probe = {.check = check, .url = url, .err = err};
    signal(SIGPIPE, SIG_IGN); /* a server that closes the connection is an error of its own */
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    timer.data = &probe;
    uv_timer_start(&timer, on_probe_timer, 0, 50);
    probe.link = redis_link_open(&loop, url, &hooks, &probe);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return probe.ok;
}

static bool check_redis(Check *check, Err *err)
{
    bool alone = check->options->standalone || !check->conf->redis;
    RedisUrl url;
    bool ok = address_find(check->conf, alone, &url, err);
    char *name = ok ? redis_url_name(&url) : NULL;
    if (!ok)
        return false;
    snprintf(check->note, sizeof check->note, "%.500s", name);
    if (alone && socket_server(url.path) <= 0)
        skip(check, "the private server runs only while ddqd does");
    else
        ok = probe(check, &url, err) || err_wrap(err, "redis %s", name);
    free(name);
    return ok;
}

static bool check_queue(Check *check, Err *err)
{
    (void)err;
    snprintf(check->note, sizeof check->note, "%s", check->queue);
    return check->queue[0] || skip(check, "Redis was not asked");
}

/* --- the table -------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(Check *check, Err *err);
} host_checks[] = {
    {"configuration", check_configuration}, {"workers", check_workers},    {"worker program", check_program},
    {"output root", check_output_root},     {"state folder", check_state},
};
static const struct {
    const char *name;
    bool (*run)(Check *check, Err *err);
} redis_checks[] = {
    {"redis-server", check_server},
    {"redis", check_redis},
    {"queue", check_queue},
};

/* A line for one check; the exit status is that of the first failure. */
static void print(Check *check, const char *name, bool ok, const Err *err)
{
    const char *text = ok ? check->note : err->text;
    printf("%-15s %s%s%s\n", name, !ok ? "FAILED " : check->skipped ? "skipped" : "ok", *text ? "  " : "", text);
    if (!ok && check->code == EXIT_OK)
        check->code = err_exit_code(err->kind);
    check->note[0] = 0;
    check->skipped = false;
}

static void print_files(Check *check)
{
    const ConfCheck *files;
    char note[CONF_NOTE];
    for (int i = 0; (files = conf_check(i)); i++) {
        Err err = {0};
        bool ok = files->run(check->conf, note, &err);
        snprintf(check->note, sizeof check->note, "%s", ok ? note : "");
        print(check, files->name, ok, &err);
    }
}

static void print_facts(Check *check)
{
    const RedisFact *fact;
    char note[REDIS_NOTE];
    for (int i = 0; check->info && (fact = redis_fact(i)); i++) {
        Err err = {0};
        bool ok = fact->judge(check->info, note, &err);
        snprintf(check->note, sizeof check->note, "%s", ok ? note : "");
        print(check, fact->name, ok, &err);
    }
}

int check_all(const Options *options)
{
    Check check = {.options = options, .code = EXIT_OK};
    for (size_t i = 0; i < countof(host_checks) && (i == 0 || check.conf); i++) {
        Err err = {0};
        bool ok = host_checks[i].run(&check, &err);
        print(&check, host_checks[i].name, ok, &err);
    }
    if (check.conf)
        print_files(&check);
    for (size_t i = 0; i < countof(redis_checks) && check.conf; i++) {
        Err err = {0};
        bool ok = redis_checks[i].run(&check, &err);
        print(&check, redis_checks[i].name, ok, &err);
    }
    print_facts(&check);
    free(check.info);
    conf_free(check.conf);
    return check.code;
}
