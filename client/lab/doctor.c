/* ddq doctor: tables of named checks. Each is ok, or a sentence that says what to do, or skipped with the reason.
 * To add a check: a function and its row. What `ddqd --check` checks too stands in spec/conf/conf_files.c (files) and
 * queue/redis_info.c (the server). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/jobs/lost.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "queue/redis_info.h"
#include "spec/conf/conf_files.h"

typedef enum Health { HEALTH_OK, HEALTH_WARN, HEALTH_BAD, HEALTH_SKIPPED } Health; /* WARN: somebody wanted it so */
static const char *const health_names[] = {"ok", "warn", "bad", "skipped"};
static const Color health_colors[] = {COLOR_GREEN, COLOR_YELLOW, COLOR_RED, COLOR_DIM};

typedef struct Doctor {
    Cmd *cmd;
    const Conf *conf; /* NULL: cannot be read */
    bool redis;       /* answers */
    ErrKind redis_error;
    cJSON *check, *hosts; /* answers of ddq_check and ddq_hosts, NULL if there are none */
    char text[1024];      /* what the check found */
    cJSON *list;          /* of results */
    Table *table;
} Doctor;

static Health found(Doctor *doctor, Health health, const char *format, ...) __attribute__((format(printf, 3, 4)));
static Health found(Doctor *doctor, Health health, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(doctor->text, sizeof doctor->text, format, args);
    va_end(args);
    return health;
}

static Health check_configuration(Doctor *doctor)
{
    Err err = {0};
    if (!cmd_conf(doctor->cmd, &doctor->conf, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    return found(doctor, HEALTH_OK, "models: %d, references: %d", doctor->conf->model_count,
                 doctor->conf->reference_count);
}

static Health unreachable(Doctor *doctor, const Err *err)
{
    doctor->redis_error = err->kind;
    return found(doctor, HEALTH_BAD, "%s", err->text);
}

static Health check_redis(Doctor *doctor)
{
    Err err = {0};
    double start = mono_seconds();
    if (!doctor->conf && !cmd_value(doctor->cmd, "redis"))
        return found(doctor, HEALTH_SKIPPED, "the configuration, which may have its address, cannot be read");
    if (!cmd_connect(doctor->cmd, &err))
        return unreachable(doctor, &err);
    char *answer;
    const char *const ping[] = {"PING"};
    if (!redis_command(doctor->cmd->redis, ping, 1, &answer, &err))
        return unreachable(doctor, &err);
    free(answer);
    doctor->redis = true;
    return found(doctor, HEALTH_OK, "%s answers in %.1f ms", redis_name(doctor->cmd->redis),
                 (mono_seconds() - start) * 1000);
}

static Health check_library(Doctor *doctor)
{
    Err err = {0};
    if (!cmd_call(doctor->cmd, QUEUE_CHECK, NULL, &doctor->check, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    int version = (int)json_int(doctor->check, "version", 0);
    if (version != QUEUE_VERSION)
        return found(doctor, HEALTH_BAD,
                     "the queue in Redis has schema %d, this program needs %d; install the same ddq everywhere",
                     version, QUEUE_VERSION);
    return found(doctor, HEALTH_OK, "schema %d", version);
}

/* May it be changed? A full server, or one without its disk, still answers questions. A share without a user is a
 * change that changes nothing; where there is no data yet it is not made. */
static Health check_changes(Doctor *doctor)
{
    Err err = {0};
    cJSON *reply = NULL;
    if (!doctor->check)
        return found(doctor, HEALTH_SKIPPED, "the queue does not answer");
    if (json_number(doctor->check, "schema", 0) != json_number(doctor->check, "version", 0))
        return found(doctor, HEALTH_SKIPPED, "the queue has no data of this version yet");
    if (!cmd_call(doctor->cmd, QUEUE_SHARE, NULL, &reply, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    cJSON_Delete(reply);
    return found(doctor, HEALTH_OK, "it takes changes");
}

static Health check_hints(Doctor *doctor)
{
    const cJSON *hints = cJSON_GetObjectItemCaseSensitive(doctor->check, "hints");
    if (!hints)
        return found(doctor, HEALTH_SKIPPED, "the queue does not say");
    if (!cJSON_IsTrue(hints))
        return found(
            doctor, HEALTH_BAD,
            "the ACL of Redis does not permit this user to publish and subscribe: jobs and cancels wait for the "
            "next poll. Add +publish +subscribe &{ddq}:*");
    return found(doctor, HEALTH_OK, "may publish and subscribe");
}

static Health check_clock(Doctor *doctor)
{
    Err err = {0};
    char *answer;
    const char *const words[] = {"TIME"};
    if (!redis_command(doctor->cmd->redis, words, 1, &answer, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    double ahead = (double)wall_ms() / 1000 - strtod(answer, NULL);
    free(answer);
    if (fabs(ahead) > 5)
        return found(doctor, HEALTH_BAD,
                     "this machine's clock is %.0f s %s that of Redis; ages and dates look wrong. Enable NTP",
                     fabs(ahead), ahead > 0 ? "ahead of" : "behind");
    return found(doctor, HEALTH_OK, "within %.1f s of Redis", fmax(fabs(ahead), 0.1));
}

static Health check_daemons(Doctor *doctor)
{
    Err err = {0};
    const cJSON *host, *worker;
    const char *drained = NULL, *why = NULL;
    int workers = 0, gone = 0, idle = 0;
    if (!registry_hosts(doctor->cmd, &doctor->hosts, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    if (!doctor->hosts->child)
        return found(doctor, HEALTH_BAD, "no daemon is alive: jobs wait. Start ddqd, or `ddq run RECIPE`");
    cJSON_ArrayForEach(host, doctor->hosts)
    {
        if (strcmp(json_text(host, "version", ""), DDQ_VERSION) != 0)
            return found(doctor, HEALTH_BAD, "ddqd on %s is version %s, this is %s; install the same everywhere",
                         json_text(host, "host", ""), json_text(host, "version", ""), DDQ_VERSION);
        cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
        {
            const char *drain = registry_drain(host, json_text(worker, "name", ""));
            workers++;
            idle += drain != NULL;
            gone += strcmp(json_text(worker, "state", ""), "gone") == 0 && !drain;
            drained = drain ? json_text(host, "host", "") : drained;
            why = drain ? drain : why;
        }
    }
    if (gone || !workers)
        return found(doctor, HEALTH_BAD, "%d of %d worker%s %s; `ddq gpus` names them, the log of ddqd says why",
                     workers - gone, workers, workers == 1 ? "" : "s", workers == 1 ? "runs" : "run");
    if (idle)
        return found(doctor, HEALTH_WARN,
                     "%d of %d worker%s %s drained and takes no jobs, on %s: %s. End it with: ddq resume %s", idle,
                     workers, workers == 1 ? "" : "s", idle == 1 ? "is" : "are", drained, why, drained);
    return found(doctor, HEALTH_OK, "%d alive, %d worker%s", cJSON_GetArraySize(doctor->hosts), workers,
                 workers == 1 ? "" : "s");
}

/* What the hosts say of the files behind their names. */
static const char *fault_of(const cJSON *rows, const char **ret_name)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows) if (*json_text(row, "fault", ""))
    {
        *ret_name = row->string;
        return json_text(row, "fault", "");
    }
    return NULL;
}

static Health check_offers(Doctor *doctor)
{
    const cJSON *host, *offer;
    const char *name, *fault;
    bool network = false, tells = false;
    if (!doctor->hosts || !doctor->hosts->child)
        return found(doctor, HEALTH_SKIPPED, "no daemon is alive to tell what it offers");
    cJSON_ArrayForEach(host, doctor->hosts)
    {
        if ((fault = fault_of(cJSON_GetObjectItemCaseSensitive(host, "models"), &name)))
            return found(doctor, HEALTH_BAD, "model %s of %s: %s", name, json_text(host, "host", ""), fault);
        if ((fault = fault_of(cJSON_GetObjectItemCaseSensitive(host, "library"), &name)))
            return found(doctor, HEALTH_BAD, "reference %s of %s: %s", name, json_text(host, "host", ""), fault);
        cJSON_ArrayForEach(offer, cJSON_GetObjectItemCaseSensitive(host, "offers"))
        {
            tells = true;
            network |= cJSON_IsString(offer) && strcmp(offer->valuestring, "inception") == 0;
        }
    }
    return found(doctor, HEALTH_OK, "%s",
                 network || !tells ? "models, references and the Inception network can be read"
                                   : "models and references can be read; no host has [inception] weights, so jobs that "
                                     "measure features without a reference are refused");
}

/* The folder for results must be visible from here: `ddq watch` prints paths below it. */
static Health check_output(Doctor *doctor)
{
    const cJSON *host;
    if (!doctor->hosts || !doctor->hosts->child)
        return found(doctor, HEALTH_SKIPPED, "no live daemon reports its folder");
    cJSON_ArrayForEach(host, doctor->hosts) if (access(json_text(host, "root", ""), R_OK | X_OK) != 0) return found(
        doctor, HEALTH_BAD, "%s of %s cannot be read here; mount it, or fetch results on that host",
        json_text(host, "root", ""), json_text(host, "host", ""));
    return found(doctor, HEALTH_OK, "%s", json_text(doctor->hosts->child, "root", ""));
}

static Health check_lost(Doctor *doctor)
{
    const cJSON *host;
    const char *user;
    Err err = {0};
    Wall born = json_int(doctor->check, "born", 0);
    if (!doctor->hosts || !doctor->hosts->child || !cmd_user(doctor->cmd, &user, &err))
        return found(doctor, HEALTH_SKIPPED, "no live daemon reports where jobs are");
    cJSON_ArrayForEach(host, doctor->hosts)
    {
        const char *root = json_text(host, "root", "");
        int lost = lost_jobs(doctor->cmd, root, user, born, &err);
        if (lost < 0)
            return found(doctor, HEALTH_BAD, "%s", err.text);
        if (lost > 0)
            return found(doctor, HEALTH_BAD,
                         "%d job%s of yours below %s %s not in the queue, because Redis was emptied; restore with: ddq "
                         "adopt %s",
                         lost, lost > 1 ? "s" : "", root, lost > 1 ? "are" : "is", root);
    }
    return found(doctor, HEALTH_OK, "all your jobs on disk are in the queue");
}

/* The file is synced always, or once a second: INFO does not tell, and CONFIG only where it is allowed. */
static void add_appendfsync(Doctor *doctor)
{
    char *answer;
    const char *const words[] = {"CONFIG", "GET", "appendfsync"};
    if (!redis_command(doctor->cmd->redis, words, 3, &answer, NULL))
        return;
    const char *value = strchr(answer, '\n');
    size_t used = strlen(doctor->text);
    if (value && value[1])
        snprintf(doctor->text + used, sizeof doctor->text - used, ", appendfsync %.*s%s", (int)strcspn(value + 1, "\n"),
                 value + 1, strncmp(value + 1, "always", 6) == 0 ? "" : " (a power cut may cost its last second)");
    free(answer);
}

/* --- tables ------------------------------------------------------------------------------------------------- */

typedef struct DoctorCheck {
    const char *name;
    bool redis; /* skipped when Redis does not answer */
    Health (*run)(Doctor *doctor);
} DoctorCheck;

static const DoctorCheck first[] = {
    {"configuration", false, check_configuration},
    {"redis", false, check_redis},
};
/* Between them the facts of the server and, at the end, the files. */
static const DoctorCheck rest[] = {
    {"queue library", true, check_library}, {"queue changes", true, check_changes}, {"queue hints", true, check_hints},
    {"clock", true, check_clock},           {"daemons", true, check_daemons},       {"offers", true, check_offers},
    {"output folder", true, check_output},  {"lost jobs", true, check_lost},
};

static void add_result(Doctor *doctor, const char *name, Health health)
{
    Cmd *cmd = doctor->cmd;
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddStringToObject(row, "status", health_names[health]);
    cJSON_AddStringToObject(row, "text", doctor->text);
    cJSON_AddItemToArray(doctor->list, row);
    if (health == HEALTH_BAD)
        cmd->exit_code = EXIT_ERROR;
    if (cmd->quiet && health != HEALTH_BAD)
        return;
    table_cell(doctor->table, COLOR_PLAIN, name);
    table_cell(doctor->table, health_colors[health], health_names[health]);
    table_cell(doctor->table, COLOR_PLAIN, doctor->text);
}

static void run_checks(Doctor *doctor, const DoctorCheck *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Health health = checks[i].redis && !doctor->redis ? found(doctor, HEALTH_SKIPPED, "Redis does not answer")
                                                          : checks[i].run(doctor);
        add_result(doctor, checks[i].name, health);
    }
}

/* INFO by sections: the gate of a host lets users ask for these and no others. Caller frees. */
static bool ask_info(Doctor *doctor, char **ret_info, Err *err)
{
    Buf all = {0};
    for (int i = 0; redis_info_sections[i]; i++) {
        const char *words[] = {"INFO", redis_info_sections[i]};
        char *text;
        if (!redis_command(doctor->cmd->redis, words, 2, &text, err)) {
            buf_free(&all);
            return false;
        }
        buf_printf(&all, "%s\n", text);
        free(text);
    }
    *ret_info = all.data;
    return true;
}

static void run_facts(Doctor *doctor)
{
    const RedisFact *fact;
    char *info = NULL, note[REDIS_NOTE];
    Err err = {0};
    bool told = !doctor->redis || ask_info(doctor, &info, &err);
    for (int i = 0; (fact = redis_fact(i)); i++) {
        Err bad = {0};
        Health health = !told && i == 0 ? found(doctor, HEALTH_BAD, "%s", err.text)
                        : !info
                            ? found(doctor, HEALTH_SKIPPED, "Redis does not %s", doctor->redis ? "show it" : "answer")
                        : fact->judge(info, note, &bad) ? found(doctor, HEALTH_OK, "%s", note)
                                                        : found(doctor, HEALTH_BAD, "%s", bad.text);
        if (health == HEALTH_OK && strcmp(fact->name, "persistence") == 0)
            add_appendfsync(doctor);
        add_result(doctor, fact->name, health);
    }
    free(info);
}

static void run_files(Doctor *doctor)
{
    const ConfCheck *files;
    char note[CONF_NOTE];
    for (int i = 0; (files = conf_check(i)); i++) {
        Err err = {0};
        Health health = !doctor->conf ? found(doctor, HEALTH_SKIPPED, "the configuration cannot be read")
                        : files->run(doctor->conf, note, &err) ? found(doctor, HEALTH_OK, "%s", note)
                                                               : found(doctor, HEALTH_BAD, "%s", err.text);
        add_result(doctor, files->name, health);
    }
}

static bool doctor_run(Cmd *cmd, Err *err)
{
    static const Column columns[] = {{"CHECK", false, 0}, {"", false, 0}, {"FOUND", false, 0}};
    cJSON *object = cJSON_CreateObject();
    Doctor doctor = {
        .cmd = cmd, .table = table_new(columns, countof(columns)), .list = cJSON_AddArrayToObject(object, "checks")};
    (void)err;
    run_checks(&doctor, first, countof(first));
    run_facts(&doctor);
    run_checks(&doctor, rest, countof(rest));
    run_files(&doctor);
    if (doctor.redis_error)
        cmd->exit_code = err_exit_code(doctor.redis_error);
    if (cmd->json)
        cmd_json(object);
    else
        table_print(doctor.table, stdout);
    if (!cmd->json)
        cJSON_Delete(object);
    table_free(doctor.table);
    cJSON_Delete(doctor.check);
    cJSON_Delete(doctor.hosts);
    return true;
}

const Verb verb_doctor = {
    .name = "doctor",
    .args = "",
    .summary = "Check Redis, daemons, files and recipes, and explain each problem",
    .run = doctor_run,
};
