/* ddq doctor: a table of named checks. Each is ok, bad with a sentence about what to do, or skipped with the reason.
 * To add a check: a function and its row. */
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
#include "spec/recipe.h"

typedef enum Health { HEALTH_OK, HEALTH_BAD, HEALTH_SKIPPED } Health;
static const char *const health_names[] = {"ok", "bad", "skipped"};

typedef struct Doctor {
    Cmd *cmd;
    const Conf *conf; /* NULL: cannot be read */
    bool redis;       /* answers */
    ErrKind redis_error;
    cJSON *check, *hosts; /* answers of ddq_check and ddq_hosts, NULL if there are none */
    char text[1024];      /* what the check found */
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

static Health check_version(Doctor *doctor)
{
    Err err = {0};
    char *info;
    const char *const words[] = {"INFO", "server"};
    if (!redis_command(doctor->cmd->redis, words, 2, &info, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    char *line = strstr(info, "redis_version:"), version[32] = "";
    if (line)
        sscanf(line, "redis_version:%31[^\r\n]", version);
    free(info);
    if (atoi(version) < 7)
        return found(doctor, HEALTH_BAD, "it is Redis '%s'; ddq needs 7.0 or newer", version);
    return found(doctor, HEALTH_OK, "Redis %s", version);
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

/* The value of one CONFIG parameter; false if the server forbids CONFIG, as managed ones do. */
static bool parameter(Doctor *doctor, const char *name, char value[64])
{
    char *answer;
    const char *const words[] = {"CONFIG", "GET", name};
    if (!redis_command(doctor->cmd->redis, words, 3, &answer, NULL))
        return false;
    const char *second = strchr(answer, '\n');
    snprintf(value, 64, "%s", second ? second + 1 : "");
    value[strcspn(value, "\n")] = 0;
    free(answer);
    return value[0] != 0;
}

static Health check_persistence(Doctor *doctor)
{
    char value[64];
    if (!parameter(doctor, "appendonly", value))
        return found(doctor, HEALTH_SKIPPED, "the server does not allow CONFIG GET");
    if (strcmp(value, "yes") != 0)
        return found(doctor, HEALTH_BAD,
                     "appendonly is '%s': a restart of Redis loses jobs. Set appendonly yes, appendfsync always",
                     value);
    bool known = parameter(doctor, "appendfsync", value);
    return found(doctor, HEALTH_OK, "appendonly yes%s%s%s", known ? ", appendfsync " : "", known ? value : "",
                 known && strcmp(value, "always") != 0 ? " (a power cut may lose the last second)" : "");
}

static Health check_eviction(Doctor *doctor)
{
    char value[64];
    if (!parameter(doctor, "maxmemory-policy", value))
        return found(doctor, HEALTH_SKIPPED, "the server does not allow CONFIG GET");
    if (strcmp(value, "noeviction") != 0)
        return found(doctor, HEALTH_BAD,
                     "maxmemory-policy is '%s': a full Redis would delete jobs. Set it to noeviction", value);
    return found(doctor, HEALTH_OK, "noeviction");
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
    int workers = 0, gone = 0;
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
            workers++;
            gone += strcmp(json_text(worker, "state", ""), "gone") == 0 &&
                    !registry_drain(host, json_text(worker, "name", ""));
        }
    }
    if (gone || !workers)
        return found(doctor, HEALTH_BAD, "%d of %d workers run; `ddq gpus` lists them, the log of ddqd has the reason",
                     workers - gone, workers);
    return found(doctor, HEALTH_OK, "%d alive, %d workers", cJSON_GetArraySize(doctor->hosts), workers);
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

static bool file_missing(Doctor *doctor, const char *section, const char *name, const char *path)
{
    if (!path || access(path, R_OK) == 0)
        return false;
    found(doctor, HEALTH_BAD, "[%s%s%s]: %s cannot be read on this machine; download it or correct ddq.conf", section,
          *name ? " " : "", name, path);
    return true;
}

static Health check_files(Doctor *doctor)
{
    const Conf *conf = doctor->conf;
    if (!conf)
        return found(doctor, HEALTH_SKIPPED, "the configuration cannot be read");
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        for (ModelRole role = 0; role < MODEL_ROLES; role++)
            if (file_missing(doctor, "model", model->name, model->files[role]))
                return HEALTH_BAD;
    }
    for (int i = 0; i < conf->reference_count; i++) {
        const ConfReference *reference = &conf->references[i];
        if (file_missing(doctor, "reference", reference->name, conf_reference_path(reference)) ||
            file_missing(doctor, "reference", reference->name, reference->inception))
            return HEALTH_BAD;
        if (!reference->inception && !conf->inception)
            return found(doctor, HEALTH_BAD,
                         "[reference %s] has no network: set weights in [inception], or inception there",
                         reference->name);
    }
    if (file_missing(doctor, "inception", "", conf->inception))
        return HEALTH_BAD;
    return found(doctor, HEALTH_OK, "models: %d, references: %d, all files are there", conf->model_count,
                 conf->reference_count);
}

static Health check_recipes(Doctor *doctor)
{
    RecipeList list;
    Err err = {0};
    if (!doctor->conf)
        return found(doctor, HEALTH_SKIPPED, "the configuration cannot be read");
    if (!recipes_load(doctor->conf->recipes, &list, &err))
        return found(doctor, HEALTH_BAD, "%s", err.text);
    found(doctor, HEALTH_OK, "%d recipes", list.count);
    recipes_free(&list);
    return HEALTH_OK;
}

static const struct {
    const char *name;
    bool redis; /* skipped when Redis does not answer */
    Health (*run)(Doctor *doctor);
} checks[] = {
    {"configuration", false, check_configuration},
    {"redis", false, check_redis},
    {"redis version", true, check_version},
    {"queue library", true, check_library},
    {"persistence", true, check_persistence},
    {"eviction", true, check_eviction},
    {"clock", true, check_clock},
    {"daemons", true, check_daemons},
    {"offers", true, check_offers},
    {"output folder", true, check_output},
    {"lost jobs", true, check_lost},
    {"model files", false, check_files},
    {"recipes", false, check_recipes},
};

static void add_result(const Cmd *cmd, cJSON *list, Table *table, const char *name, Health health, const char *text)
{
    static const Color colors[] = {COLOR_GREEN, COLOR_RED, COLOR_DIM};
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddStringToObject(row, "status", health_names[health]);
    cJSON_AddStringToObject(row, "text", text);
    cJSON_AddItemToArray(list, row);
    if (cmd->quiet && health != HEALTH_BAD)
        return;
    table_cell(table, COLOR_PLAIN, name);
    table_cell(table, colors[health], health_names[health]);
    table_cell(table, COLOR_PLAIN, text);
}

static bool doctor_run(Cmd *cmd, Err *err)
{
    static const Column columns[] = {{"CHECK", false, 0}, {"", false, 0}, {"FOUND", false, 0}};
    Doctor doctor = {.cmd = cmd};
    Table *table = table_new(columns, countof(columns));
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "checks");
    (void)err;
    for (size_t i = 0; i < countof(checks); i++) {
        Health health = checks[i].redis && !doctor.redis ? found(&doctor, HEALTH_SKIPPED, "Redis does not answer")
                                                         : checks[i].run(&doctor);
        add_result(cmd, list, table, checks[i].name, health, doctor.text);
        if (health == HEALTH_BAD)
            cmd->exit_code = EXIT_ERROR;
    }
    if (doctor.redis_error)
        cmd->exit_code = err_exit_code(doctor.redis_error);
    if (cmd->json)
        cmd_json(object);
    else
        table_print(table, stdout);
    if (!cmd->json)
        cJSON_Delete(object);
    table_free(table);
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
