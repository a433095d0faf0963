#include "client/queue/rows.h"

#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"
#include "queue/queue.h"

enum { COLUMNS_MAX = 32 };
#define ROWS_FIELD "\"rows\":["

/* Which of a row's cells is what. */
typedef enum Cell {
    CELL_OTHER,
    CELL_ID,
    CELL_STATE,
    CELL_USER,
    CELL_MODEL,
    CELL_NAME,
    CELL_REASON,
    CELL_KIND,
    CELL_DONE,
    CELL_IMAGES,
    CELL_RATE,
    CELL_CREATED,
    CELLS
} Cell;

static const char *const cell_names[CELLS] = {
    [CELL_OTHER] = "",      [CELL_ID] = "id",         [CELL_STATE] = "state",   [CELL_USER] = "user",
    [CELL_MODEL] = "model", [CELL_NAME] = "name",     [CELL_REASON] = "reason", [CELL_KIND] = "kind",
    [CELL_DONE] = "done",   [CELL_IMAGES] = "images", [CELL_RATE] = "rate",     [CELL_CREATED] = "created",
};

/* --- JSON, in place ------------------------------------------------------------------------------------------ */

static char *skip_spaces(char *c)
{
    return c + strspn(c, " \t\r\n");
}

/* Four hexadecimal digits as UTF-8; what is no character of its own (half of a pair) becomes '?'. */
static char *put_escaped(const char *digits, char *to)
{
    char hex[5] = {0};
    memcpy(hex, digits, 4);
    unsigned code = (unsigned)strtoul(hex, NULL, 16);
    if (code < 0x80) {
        *to++ = code ? (char)code : '?';
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code >= 0xd800 && code < 0xe000) {
        *to++ = '?';
    } else {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* A text that begins behind *c's quote, unescaped where it stands. Moves *c behind it; NULL: it does not end. */
static const char *take_text(char **c)
{
    char *from = *c, *start = from, *to = from + strcspn(from, "\"\\");
    for (from = to; *from && *from != '"'; from++) {
        static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
        const char *known;
        if (*from != '\\') {
            *to++ = *from;
        } else if (*++from == 'u' && strspn(from + 1, "0123456789abcdefABCDEF") >= 4) {
            to = put_escaped(from + 1, to);
            from += 4;
        } else if (!*from) {
            return NULL;
        } else {
            known = strchr(letters, *from);
            *to++ = known ? meant[known - letters] : *from;
        }
    }
    if (*from != '"')
        return NULL;
    *to = 0;
    *c = from + 1;
    return start;
}

/* --- rows ------------------------------------------------------------------------------------------------------ */

static void set_text(JobRow *row, Cell cell, const char *text)
{
    switch (cell) {
    case CELL_ID:
        row->id = text;
        break;
    case CELL_USER:
        row->user = text;
        break;
    case CELL_MODEL:
        row->model = text;
        break;
    case CELL_NAME:
        row->name = text;
        break;
    case CELL_REASON:
        row->reason = text;
        break;
    case CELL_KIND:
        row->kind = text;
        break;
    case CELL_STATE:
        job_state_parse(text, &row->state);
        break;
    default:
        break;
    }
}

static void set_number(JobRow *row, Cell cell, double number)
{
    switch (cell) {
    case CELL_DONE:
        row->done = number;
        break;
    case CELL_IMAGES:
        row->images = number;
        break;
    case CELL_RATE:
        row->rate = number;
        break;
    case CELL_CREATED:
        row->created = number;
        break;
    default:
        break;
    }
}

/* Whole numbers, which most are, without strtod. */
static double take_number(char **c)
{
    char *end = *c;
    double number = 0;
    for (; *end >= '0' && *end <= '9'; end++)
        number = number * 10 + (*end - '0');
    if (end == *c || strchr(".eE", *end))
        number = strtod(*c, &end);
    *c = end;
    return number;
}

/* One row behind its bracket; false: it is none. */
static bool take_row(char **c, const Cell *cells, int count, JobRow *row)
{
    *row = (JobRow){.id = "", .user = "", .model = "", .name = "", .reason = "", .kind = ""};
    for (int i = 0;; i++) {
        Cell cell = i < count ? cells[i] : CELL_OTHER;
        *c = skip_spaces(*c);
        char *before = *c;
        if (**c == '"') {
            ++*c;
            const char *text = take_text(c);
            if (!text)
                return false;
            set_text(row, cell, text);
        } else {
            set_number(row, cell, take_number(c));
        }
        char *after = *c;
        *c = skip_spaces(after);
        if (after == before || (**c != ',' && **c != ']'))
            return false;
        if (*(*c)++ == ']')
            return true;
    }
}

static bool take_rows(char **c, const Cell *cells, int count, Rows *rows)
{
    int room = 0;
    for (*c = skip_spaces(*c); **c == '['; *c = skip_spaces(*c)) {
        if (rows->count == room) {
            room = room ? room * 2 : 256;
            rows->items = xrealloc(rows->items, (size_t)room * sizeof *rows->items);
        }
        ++*c;
        if (!take_row(c, cells, count, &rows->items[rows->count]))
            return false;
        rows->count++;
        *c = skip_spaces(*c);
        if (**c == ',')
            ++*c;
    }
    return *(*c)++ == ']';
}

/* What the columns of an answer without its rows are; their number. */
static int columns_of(const cJSON *reply, Cell *cells)
{
    int count = 0;
    const cJSON *column;
    cJSON_ArrayForEach(column, cJSON_GetObjectItemCaseSensitive(reply, "columns"))
    {
        if (count == COLUMNS_MAX)
            break;
        cells[count] = CELL_OTHER;
        for (int cell = 1; cell < CELLS; cell++)
            if (cJSON_IsString(column) && strcmp(column->valuestring, cell_names[cell]) == 0)
                cells[count] = (Cell)cell;
        count++;
    }
    return count;
}

/* The end of the list whose first bracket was passed: texts are skipped, brackets counted. NULL: it has none. */
static char *end_of_list(char *c)
{
    for (int depth = 1; *(c += strcspn(c, "[]\"")); c++) {
        if (*c == '"') {
            for (c++; *c && *c != '"'; c++)
                c += *c == '\\' && c[1];
            if (!*c)
                return NULL;
            continue;
        }
        depth += *c == '[' ? 1 : -1;
        if (depth == 0)
            return c;
    }
    return NULL;
}

bool rows_read(char *text, Rows *ret_rows, Err *err)
{
    *ret_rows = (Rows){.text = text};
    char *start = strstr(text, ROWS_FIELD), *end = start ? end_of_list(start + strlen(ROWS_FIELD)) : NULL;
    Cell cells[COLUMNS_MAX];
    cJSON *reply;
    if (!end) {
        bool other = queue_reply_parse(text, &reply, err);
        if (!other)
            return false;
        cJSON_Delete(reply);
        return err_set(err, ERR_PROTOCOL, "ddq_list answered no rows; is its library of another version?");
    }
    char *rest = xasprintf("%.*s\"rows\":[%s", (int)(start - text), text, end); /* all but the rows: a short text */
    bool ok = queue_reply_parse(rest, &reply, err);
    free(rest);
    if (!ok)
        return false;
    int count = columns_of(reply, cells);
    cJSON_Delete(reply);
    char *c = start + strlen(ROWS_FIELD);
    return take_rows(&c, cells, count, ret_rows) ||
           err_set(err, ERR_PROTOCOL, "ddq_list's row %d is no list of texts and numbers", ret_rows->count + 1);
}

void rows_free(Rows *rows)
{
    free(rows->items);
    free(rows->text);
    *rows = (Rows){0};
}

JobRow row_of_job(const cJSON *job)
{
    return (JobRow){json_text(job, "id", ""),
                    json_text(job, "user", ""),
                    json_text(job, "model", ""),
                    json_text(job, "name", ""),
                    json_text(job, "reason", ""),
                    json_text(job, "kind", ""),
                    job_state(job),
                    json_number(job, "done", 0),
                    json_number(job, "images", 0),
                    job_rate(job),
                    json_number(job, "created", 0)};
}

double row_eta(const JobRow *row)
{
    double left = row->images - row->done;
    return row->state == JOB_RUNNING && row->rate > 0 && left > 0 ? left / row->rate : 0;
}
