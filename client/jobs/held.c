#include "client/jobs/held.h"

#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/queue/target.h"
#include "core/json.h"
#include "core/mem.h"

enum { DEEPEST = 16 }; /* length of a chain of waiting jobs */

static bool is_held(const cJSON *job)
{
    return job_state(job) == JOB_HELD && !cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(job, "leases"));
}

/* "is held: the disk is full; ddq release k3f9x2m7qa continues it" */
static char *held_text(const cJSON *job)
{
    const char *id = json_text(job, "id", "");
    return xasprintf("is held: %s; ddq release %s continues it", json_text(job, "reason", "no reason given"), id);
}

/* Of a waiting job: a parent that is held, or that waits for one in its turn. */
static char *parent_sentence(Cmd *cmd, const cJSON *job, int depth)
{
    const cJSON *id;
    char *text = NULL;
    cJSON_ArrayForEach(id, cJSON_GetObjectItemCaseSensitive(job, "after"))
    {
        cJSON *parent;
        Err unread = {0};
        if (text || depth == DEEPEST || !cJSON_IsString(id) || !job_show(cmd, id->valuestring, &parent, &unread))
            continue;
        char *held = is_held(parent) ? held_text(parent) : NULL;
        if (held)
            text = xasprintf("waits for job %s, which %s", json_text(parent, "id", ""), held);
        else if (job_state(parent) == JOB_WAITING && (held = parent_sentence(cmd, parent, depth + 1)))
            text = xasprintf("waits for job %s, which %s", json_text(parent, "id", ""), held);
        free(held);
        cJSON_Delete(parent);
    }
    return text;
}

static char *job_sentence(Cmd *cmd, const cJSON *job)
{
    char *text = is_held(job) ? held_text(job) : job_state(job) == JOB_WAITING ? parent_sentence(cmd, job, 0) : NULL;
    char *whole = text ? xasprintf("job %s %s", json_text(job, "id", ""), text) : NULL;
    free(text);
    return whole;
}

/* The first job of a sweep that is held or waits; a sweep is in this state only when none runs or is queued. */
static char *group_sentence(Cmd *cmd, const cJSON *group)
{
    const cJSON *point;
    char *text = NULL;
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(group, "points"))
    {
        cJSON *job;
        Err unread = {0};
        if (text || job_state(point) != job_state(group) || !job_show(cmd, json_text(point, "id", ""), &job, &unread))
            continue;
        char *one = job_sentence(cmd, job);
        cJSON_Delete(job);
        if (!one)
            return NULL; /* it continues */
        text = xasprintf("sweep %s: %s: %s", json_text(group, "id", ""), json_text(group, "reason", ""), one);
        free(one);
    }
    return text;
}

char *held_sentence(Cmd *cmd, const cJSON *job)
{
    if (job_state(job) != JOB_HELD && job_state(job) != JOB_WAITING)
        return NULL;
    return target_is_group(json_text(job, "id", "")) ? group_sentence(cmd, job) : job_sentence(cmd, job);
}
