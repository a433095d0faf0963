#include "client/queue/rows.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"

/* The columns that a table shows, with their places in a row. */
typedef struct CellPlace {
    const char *column;
    size_t offset;
    bool is_text;
} CellPlace;

static const CellPlace places[] = {
    {"id", offsetof(JobRow, id), true},
    {"user", offsetof(JobRow, user), true},
    {"model", offsetof(JobRow, model), true},
    {"name", offsetof(JobRow, name), true},
    {"reason", offsetof(JobRow, reason), true},
    {"kind", offsetof(JobRow, kind), true},
    {"recipe", offsetof(JobRow, recipe), true},
    {"fid", offsetof(JobRow, fid), false},
    {"done", offsetof(JobRow, done), false},
    {"images", offsetof(JobRow, images), false},
    {"rate", offsetof(JobRow, rate), false},
    {"created", offsetof(JobRow, created), false},
    {"state", offsetof(JobRow, state_word), true},
};

static const CellPlace *place_of(const cJSON *column)
{
    const char *name = cJSON_GetStringValue(column);
    for (size_t i = 0; name && i < countof(places); i++)
        if (strcmp(places[i].column, name) == 0)
            return &places[i];
    return NULL;
}

/* False: the row has a cell that is neither a text nor a number, or none at all. */
static bool read_row(const cJSON *cells, const cJSON *columns, JobRow *row)
{
    *row = (JobRow){.id = "",
                    .user = "",
                    .model = "",
                    .name = "",
                    .reason = "",
                    .kind = "",
                    .recipe = "",
                    .state_word = "",
                    .fid = -1};
    const cJSON *cell, *column = columns->child;
    if (!cJSON_IsArray(cells) || !cells->child)
        return false;
    cJSON_ArrayForEach(cell, cells)
    {
        const CellPlace *place = column ? place_of(column) : NULL;
        column = column ? column->next : NULL;
        if (!cJSON_IsString(cell) && !cJSON_IsNumber(cell))
            return false;
        if (place && place->is_text && cJSON_IsString(cell))
            *(const char **)((char *)row + place->offset) = cell->valuestring;
        else if (place && !place->is_text && cJSON_IsNumber(cell))
            *(double *)((char *)row + place->offset) = cell->valuedouble;
    }
    job_state_parse(row->state_word, &row->state);
    return true;
}

bool rows_read(cJSON *reply, Rows *ret_rows, Err *err)
{
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(reply, "columns");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "rows"), *cells;
    *ret_rows = (Rows){.reply = reply};
    if (!cJSON_IsArray(columns) || !cJSON_IsArray(list))
        return err_set(err, ERR_PROTOCOL,
                       "ddq_list returned no rows; does Redis hold another version of ddq's library?");
    ret_rows->items = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *ret_rows->items);
    cJSON_ArrayForEach(cells, list)
    {
        if (!read_row(cells, columns, &ret_rows->items[ret_rows->count]))
            return err_set(err, ERR_PROTOCOL, "row %d of ddq_list is not a list of texts and numbers",
                           ret_rows->count + 1);
        ret_rows->count++;
    }
    return true;
}

void rows_free(Rows *rows)
{
    free(rows->items);
    cJSON_Delete(rows->reply);
    *rows = (Rows){0};
}

JobRow row_of_job(const cJSON *job)
{
    return (JobRow){.id = json_text(job, "id", ""),
                    .user = json_text(job, "user", ""),
                    .model = json_text(job, "model", ""),
                    .name = json_text(job, "name", ""),
                    .reason = json_text(job, "reason", ""),
                    .kind = json_text(job, "kind", ""),
                    .recipe = json_text(job, "recipe", ""),
                    .fid = json_number(job, "fid", -1),
                    .state_word = json_text(job, "state", ""),
                    .state = job_state(job),
                    .done = json_number(job, "done", 0),
                    .images = json_number(job, "images", 0),
                    .rate = job_rate(job),
                    .created = json_number(job, "created", 0)};
}

double row_eta(const JobRow *row)
{
    double left = row->images - row->done;
    return row->state == JOB_RUNNING && row->rate > 0 && left > 0 ? left / row->rate : 0;
}
