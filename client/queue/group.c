#include "client/queue/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"

enum { POINT_FIELDS = 6, TITLE_COLUMNS = 3, FIGURES = 5 };

/* The first of these that any job has is the state of the group. */
static const JobState while_going[] = {JOB_RUNNING, JOB_QUEUED, JOB_HELD, JOB_WAITING};
static const JobState at_the_end[] = {JOB_FAILED, JOB_CANCELLED, JOB_DONE};

static double count_of(const cJSON *group, JobState state)
{
    return json_number(cJSON_GetObjectItemCaseSensitive(group, "states"), job_state_name(state), 0);
}

static JobState state_of(const cJSON *group)
{
    bool ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(group, "ended"));
    const JobState *order = ended ? at_the_end : while_going;
    size_t count = ended ? countof(at_the_end) : countof(while_going);
    for (size_t i = 0; i < count; i++)
        if (count_of(group, order[i]) > 0)
            return order[i];
    return ended ? JOB_DONE : JOB_QUEUED;
}

static bool lacks_images(const cJSON *point)
{
    return job_state(point) == JOB_DONE && json_number(point, "done", 0) < json_number(point, "images", 0);
}

cJSON *group_as_job(cJSON *group)
{
    char *id = xasprintf("%s/%s", json_text(group, "user", ""), json_text(group, "group", ""));
    Buf reason = {0};
    for (int i = 0; i < JOB_STATES; i++)
        if (count_of(group, (JobState)i) > 0)
            buf_printf(&reason, "%s%.0f %s", reason.len ? ", " : "", count_of(group, (JobState)i),
                       job_state_name((JobState)i));
    double bad = 0;
    const cJSON *point;
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(group, "points")) bad += lacks_images(point);
    cJSON_AddStringToObject(group, "id", id);
    cJSON_AddStringToObject(group, "state", job_state_name(state_of(group)));
    cJSON_AddStringToObject(group, "reason", reason.data ? reason.data : "");
    cJSON_AddNumberToObject(group, "bad", bad); /* jobs that lack images */
    cJSON_DeleteItemFromObjectCaseSensitive(group, "status");
    free(id);
    buf_free(&reason);
    return group;
}

int group_exit_code(const cJSON *job)
{
    int highest = EXIT_OK;
    const cJSON *point;
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(job, "points"))
    {
        int code = lacks_images(point) ? EXIT_INCOMPLETE : job_exit_code(point);
        highest = code > highest ? code : highest;
    }
    return highest;
}

/* --- the table of points -------------------------------------------------------------------------------------- */

/* NULL: this point has no such figure (yet). */
static const cJSON *value_of(const cJSON *point, const Figure *figure)
{
    const cJSON *value =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(point, "metrics"), figure->key);
    if (!value && strcmp(figure->key, "fid") == 0) /* workers that report only the FID */
        value = cJSON_GetObjectItemCaseSensitive(point, "fid");
    return cJSON_IsNumber(value) ? value : NULL;
}

/* The first figures that any point has, a column each. */
static int figures_of(const cJSON *points, const Figure **figures)
{
    const Figure *figure;
    int count = 0;
    for (int i = 0; (figure = figure_at(i)) && count < FIGURES; i++) {
        const cJSON *point;
        bool some = false;
        cJSON_ArrayForEach(point, points) some |= value_of(point, figure) != NULL;
        if (some)
            figures[count++] = figure;
    }
    return count;
}

static void add_value(Table *table, const cJSON *point, const char *field)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(point, "point"), field);
    char *text = cJSON_IsString(value) ? xstrdup(value->valuestring) : value ? cJSON_PrintUnformatted(value) : NULL;
    table_cell(table, COLOR_BOLD, text);
    free(text);
}

static void add_point(Table *table, const cJSON *point, const cJSON *axes, const Figure **figures, int figure_count)
{
    char done[TERM_TEXT], images[TERM_TEXT], both[2 * TERM_TEXT], number[FIGURE_TEXT];
    const cJSON *axis;
    cJSON_ArrayForEach(axis, axes) add_value(table, point, axis->string);
    snprintf(both, sizeof both, "%s/%s", term_count(json_number(point, "done", 0), done),
             term_count(json_number(point, "images", 0), images));
    table_cell(table, COLOR_PLAIN, json_text(point, "id", ""));
    table_cell(table, job_color(point), json_text(point, "state", ""));
    table_cell(table, COLOR_PLAIN, both);
    for (int i = 0; i < figure_count; i++) {
        const cJSON *value = value_of(point, figures[i]);
        table_cell(table, COLOR_PLAIN, value ? figure_print(figures[i], value->valuedouble, number) : "");
    }
}

void group_points(const cJSON *job)
{
    const cJSON *points = cJSON_GetObjectItemCaseSensitive(job, "points"), *point, *axis;
    const cJSON *axes = points && points->child ? cJSON_GetObjectItemCaseSensitive(points->child, "point") : NULL;
    const Figure *figures[FIGURES];
    Column columns[POINT_FIELDS + TITLE_COLUMNS + FIGURES];
    int count = 0, figure_count = figures_of(points, figures);
    cJSON *shown = cJSON_CreateObject(); /* at most POINT_FIELDS */
    cJSON_ArrayForEach(axis, axes) if (count < POINT_FIELDS)
    {
        columns[count++] = (Column){axis->string, true, 0};
        cJSON_AddNullToObject(shown, axis->string);
    }
    columns[count++] = (Column){"ID", false, 0};
    columns[count++] = (Column){"STATE", false, 0};
    columns[count++] = (Column){"DONE", true, 1};
    for (int i = 0; i < figure_count; i++)
        columns[count++] = (Column){figures[i]->title, true, i + 2};
    Table *table = table_new(columns, count);
    cJSON_ArrayForEach(point, points) add_point(table, point, shown, figures, figure_count);
    table_print(table, stdout);
    table_free(table);
    cJSON_Delete(shown);
}
