#include "client/queue/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/sieve.h"
#include "core/json.h"
#include "core/mem.h"

JobState job_state(const cJSON *job)
{
    JobState state = JOB_QUEUED;
    job_state_parse(json_text(job, "state", ""), &state);
    return state;
}

Color job_state_color(JobState state)
{
    static const Color colors[JOB_STATES] = {
        [JOB_RUNNING] = COLOR_BLUE, [JOB_HELD] = COLOR_YELLOW,   [JOB_DONE] = COLOR_GREEN,
        [JOB_FAILED] = COLOR_RED,   [JOB_CANCELLED] = COLOR_DIM,
    };
    return colors[state];
}

Color job_color(const cJSON *job)
{
    return job_state_color(job_state(job));
}

int job_exit_code(const cJSON *job)
{
    JobState state = job_state(job);
    return state == JOB_FAILED              ? EXIT_JOB_FAILED
           : state == JOB_CANCELLED         ? EXIT_CANCELLED
           : json_number(job, "bad", 0) > 0 ? EXIT_INCOMPLETE
                                            : EXIT_OK;
}

const char *job_stage(const cJSON *job)
{
    const cJSON *lease;
    cJSON_ArrayForEach(lease, cJSON_GetObjectItemCaseSensitive(
                                  job, "leases")) if (*json_text(lease, "stage", "")) return json_text(lease, "stage",
                                                                                                       "");
    return "";
}

double job_rate(const cJSON *job)
{
    double rate = 0;
    const cJSON *lease, *leases = cJSON_GetObjectItemCaseSensitive(job, "leases");
    cJSON_ArrayForEach(lease, leases) /* ddq_list has added them up */
        if (strcmp(json_text(lease, "phase", ""), "images") == 0) rate += json_number(lease, "rate", 0);
    return leases && rate > 0 ? rate : json_number(job, "rate", 0);
}

double job_eta(const cJSON *job)
{
    double rate = job_rate(job), left = json_number(job, "images", 0) - json_number(job, "done", 0);
    return job_state(job) == JOB_RUNNING && rate > 0 && left > 0 ? left / rate : 0;
}

/* --- from the queue's answers ------------------------------------------------------------------------------- */

static void time_to_iso(cJSON *job, const char *field)
{
    Wall ms = json_int(job, field, 0);
    char text[25];
    if (ms <= 0)
        return;
    wall_iso(ms, text);
    cJSON_ReplaceItemInObjectCaseSensitive(job, field, cJSON_CreateString(text));
}

void job_tidy(cJSON *job)
{
    static const char *const times[] = {"created", "started", "finished", "at"};
    double started = json_number(job, "started", 0), finished = json_number(job, "finished", (double)wall_ms());
    if (started > 0)
        cJSON_AddNumberToObject(job, "seconds", fmax(0, (finished - started) / 1000)); /* so far, or all in all */
    for (size_t i = 0; i < countof(times); i++)
        time_to_iso(job, times[i]);
}

bool job_show(Cmd *cmd, const char *id, cJSON **ret_job, Err *err)
{
    cJSON *args = cJSON_CreateObject(), *reply;
    cJSON_AddStringToObject(args, "id", id);
    if (!cmd_call(cmd, QUEUE_SHOW, args, &reply, err))
        return false;
    cJSON *job = cJSON_DetachItemFromObjectCaseSensitive(reply, "job");
    cJSON *leases = cJSON_DetachItemFromObjectCaseSensitive(reply, "leases");
    cJSON_Delete(reply);
    if (!job || !leases || !sieve_is_id(json_text(job, "id", ""))) {
        cJSON_Delete(job);
        cJSON_Delete(leases);
        return err_set(err, ERR_PROTOCOL, "the queue's answer about job %s contains no job", id);
    }
    cJSON_AddItemToObject(job, "leases", leases);
    job_tidy(job);
    *ret_job = job;
    return true;
}

bool job_resolve(Cmd *cmd, const char *word, char **ret_id, Err *err)
{
    char *id;
    cJSON *job;
    if (!cmd_id(word, &id, err))
        return false;
    bool ok = job_show(cmd, id, &job, err);
    free(id);
    if (!ok)
        return false;
    *ret_id = xstrdup(json_text(job, "id", ""));
    cJSON_Delete(job);
    return true;
}

static void put_number(cJSON *object, const char *field, double number)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, field);
    cJSON_AddNumberToObject(object, field, number);
}

bool job_tick(cJSON *job, const cJSON *message)
{
    cJSON *lease;
    if (strcmp(json_text(message, "type", ""), "progress") != 0)
        return !*json_text(message, "state", ""); /* a log line does not change a job's state */
    cJSON_ArrayForEach(lease, cJSON_GetObjectItemCaseSensitive(job, "leases"))
    {
        if (strcmp(json_text(lease, "token", ""), json_text(message, "token", "")) != 0)
            continue;
        double more = json_number(message, "upto", 0) - json_number(lease, "upto", 0);
        if (more > 0 && strcmp(json_text(message, "phase", ""), "images") == 0) {
            put_number(job, "done", json_number(job, "done", 0) + more);
            put_number(lease, "upto", json_number(message, "upto", 0));
        }
        put_number(lease, "rate", json_number(message, "rate", 0));
        cJSON_DeleteItemFromObjectCaseSensitive(lease, "stage");
        cJSON_AddStringToObject(lease, "stage", json_text(message, "stage", ""));
        return true;
    }
    return false; /* a lease that the last answer did not contain */
}
