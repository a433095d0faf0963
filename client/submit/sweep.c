#include "client/submit/sweep.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"

enum { AXES_MAX = 8, POINTS_MAX = 1000, GROUP_MAX = 48, NAME_MAX_LEN = 64 };

typedef struct Axis {
    char *field;
    char **values;
    int count;
} Axis;

struct Sweep {
    Axis axes[AXES_MAX];
    int count;
};

/* --- reading ------------------------------------------------------------------------------------------------ */

static bool check_field(const Cmd *cmd, const Sweep *sweep, const char *field, Err *err)
{
    static const char *const fixed[] = {"kind", "name", "recipe", "changed", "register"};
    const char *names[128], *name;
    int count = 0;
    for (int i = 0; (name = jobspec_field_name(i)) && count < (int)countof(names); i++)
        names[count++] = name;
    bool known = false;
    for (int i = 0; i < count; i++)
        known |= strcmp(names[i], field) == 0;
    char meant[MEANT_TEXT];
    if (!known)
        return err_set(err, ERR_USAGE, "--sweep: a job has no field '%.40s'%s", field,
                       nearest_meant(nearest_name(field, names, count), meant));
    for (size_t i = 0; i < countof(fixed); i++)
        if (strcmp(field, fixed[i]) == 0)
            return err_set(err, ERR_USAGE, "--sweep: %s cannot vary in a sweep; sweep a field that changes the result",
                           field);
    for (int i = 0; i < sweep->count - 1; i++)
        if (strcmp(sweep->axes[i].field, field) == 0)
            return err_set(err, ERR_USAGE, "--sweep: %s is given twice; give all its values in one --sweep", field);
    for (int i = 0; i < cmd->field_count; i++)
        if (strcmp(cmd->fields[i].name, field) == 0)
            return err_set(err, ERR_USAGE, "--sweep: %s is both swept and given as a flag; remove one of them", field);
    return true;
}

static bool add_values(Axis *axis, const char *text, Err *err)
{
    const char *parting = strchr(text, ';') ? ";" : ",";
    char *copy = xstrdup(text), *rest = copy, *value;
    bool ok = true;
    axis->values = xcalloc(strlen(text) + 1, sizeof *axis->values);
    while (ok && (value = strsep(&rest, parting))) {
        if (!*value)
            continue;
        for (int i = 0; i < axis->count; i++)
            if (strcmp(axis->values[i], value) == 0)
                ok = err_set(err, ERR_USAGE, "--sweep: %s has the value %.40s twice", axis->field, value);
        axis->values[axis->count++] = xstrdup(value);
    }
    free(copy);
    if (ok && !axis->count)
        return err_set(err, ERR_USAGE, "--sweep: %s has no values; wanted %s=A,B,C", axis->field, axis->field);
    return ok;
}

/* "split-t=80,130" */
static bool add_axis(const Cmd *cmd, Sweep *sweep, const char *text, Err *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(err, ERR_USAGE, "--sweep is '%.40s', wanted FIELD=A,B,C such as split_t=80,130,180", text);
    if (sweep->count == AXES_MAX)
        return err_set(err, ERR_USAGE, "--sweep: at most %d fields", AXES_MAX);
    Axis *axis = &sweep->axes[sweep->count++];
    axis->field = xasprintf("%.*s", (int)(equals - text), text);
    for (char *c = axis->field; *c; c++)
        *c = *c == '-' ? '_' : *c;
    return check_field(cmd, sweep, axis->field, err) && add_values(axis, equals + 1, err);
}

bool sweep_read(const Cmd *cmd, Sweep **ret_sweep, Err *err)
{
    Sweep *sweep = xcalloc(1, sizeof *sweep);
    bool ok = true;
    double points = 1;
    for (int i = 0; ok && i < cmd->line.flag_count; i++)
        if (strcmp(cmd->line.flags[i].name, "sweep") == 0) {
            ok = add_axis(cmd, sweep, cmd->line.flags[i].value, err);
            points *= ok ? sweep->axes[sweep->count - 1].count : 1;
        }
    if (ok && points > POINTS_MAX)
        ok = err_set(err, ERR_USAGE, "--sweep: %.0f jobs; a sweep has at most %d", points, POINTS_MAX);
    if (!ok || !sweep->count) {
        sweep_free(sweep);
        sweep = NULL;
    }
    *ret_sweep = sweep;
    return ok;
}

void sweep_free(Sweep *sweep)
{
    for (int i = 0; sweep && i < sweep->count; i++) {
        for (int v = 0; v < sweep->axes[i].count; v++)
            free(sweep->axes[i].values[v]);
        free(sweep->axes[i].values);
        free(sweep->axes[i].field);
    }
    free(sweep);
}

/* --- points -------------------------------------------------------------------------------------------------- */

int sweep_points(const Sweep *sweep)
{
    int points = 1;
    for (int i = 0; sweep && i < sweep->count; i++)
        points *= sweep->axes[i].count;
    return points;
}

const char *sweep_field(const Sweep *sweep, int i)
{
    return sweep && i < sweep->count ? sweep->axes[i].field : NULL;
}

/* The value of an axis at a point; the last axis varies fastest. */
static const char *value_at(const Sweep *sweep, int axis, int point)
{
    for (int i = sweep->count - 1; i > axis; i--)
        point /= sweep->axes[i].count;
    return sweep->axes[axis].values[point % sweep->axes[axis].count];
}

bool sweep_apply(const Sweep *sweep, int point, cJSON *job, Err *err)
{
    bool ok = true;
    for (int i = 0; ok && sweep && i < sweep->count; i++)
        ok = jobspec_set_text(job, sweep->axes[i].field, value_at(sweep, i, point), err) || err_wrap(err, "--sweep");
    return ok;
}

cJSON *sweep_point(const Sweep *sweep, const cJSON *job)
{
    cJSON *point = cJSON_CreateObject();
    for (int i = 0; i < sweep->count; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(job, sweep->axes[i].field);
        if (value)
            cJSON_AddItemToObject(point, sweep->axes[i].field, cJSON_Duplicate(value, true));
    }
    return point;
}

/* --- names --------------------------------------------------------------------------------------------------- */

/* Makes a text a valid folder name. */
static void make_safe(char *text)
{
    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '_';
    if (*text == '.' || *text == '-')
        *text = '_';
}

/* FNV-1a; four characters of it distinguish the sweeps of one user. */
static uint32_t hash_of(const cJSON *jobs)
{
    uint32_t hash = 2166136261u;
    char *text = cJSON_PrintUnformatted(jobs);
    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    cJSON_free(text);
    return hash ^ hash >> 16;
}

static char *group_name(const Sweep *sweep, const cJSON *jobs, bool fresh)
{
    const cJSON *job = jobs->child;
    if (*json_text(job, "name", ""))
        return xstrdup(json_text(job, "name", ""));
    const char *base = *json_text(job, "recipe", "")  ? json_text(job, "recipe", "")
                       : *json_text(job, "model", "") ? json_text(job, "model", "")
                                                      : json_text(job, "kind", "");
    Buf name = {0};
    char tail[11];
    queue_new_id(tail);
    buf_printf(&name, "%s", base);
    for (int i = 0; i < sweep->count; i++)
        buf_printf(&name, "-%s", sweep->axes[i].field);
    char *whole = fresh ? xasprintf("%.*s-%.4s", GROUP_MAX - 5, name.data, tail + 6)
                        : xasprintf("%.*s-%04x", GROUP_MAX - 5, name.data, (unsigned)(hash_of(jobs) & 0xffff));
    buf_free(&name);
    make_safe(whole);
    return whole;
}

/* GROUP.split_t-80.seed-1, or GROUP.7 if that is too long. */
static char *point_name(const Sweep *sweep, const char *group, int point)
{
    Buf name = {0};
    buf_printf(&name, "%s", group);
    for (int i = 0; i < sweep->count; i++)
        buf_printf(&name, ".%s-%s", sweep->axes[i].field, value_at(sweep, i, point));
    char *text = name.len <= NAME_MAX_LEN ? xstrdup(name.data) : xasprintf("%.58s.%d", group, point + 1);
    buf_free(&name);
    make_safe(text);
    return text;
}

char *sweep_name(const Sweep *sweep, cJSON *jobs, bool fresh)
{
    char *group = group_name(sweep, jobs, fresh);
    int point = 0;
    for (cJSON *job = jobs->child; job; job = job->next) {
        char *name = point_name(sweep, group, point++);
        cJSON_DeleteItemFromObjectCaseSensitive(job, "name");
        cJSON_AddStringToObject(job, "name", name);
        free(name);
    }
    return group;
}
