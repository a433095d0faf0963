/* One JSON object a line, only ever appended to; the file is written anew, by rename, when it has grown:
 *
 *     {"hold":TOKEN,"upto":N}                      a lease, or its progress
 *     {"drop":TOKEN}                               a lease that is no longer held
 *     {"report":ID,"fn":"ddq_finish","args":{}}    a lease that ended; args.token says which; synced to disk
 *     {"answer":ID}                                Redis has acknowledged it
 *
 * Reading is replaying these lines. To add a record: a row in `records`, and its line in rewrite(). */
#include "daemon/base/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"

enum {
    REWRITE_BYTES = 1 << 16,
    REMEMBER_MS = 3000 /* an answered report, against a server that syncs once a second */
};

struct Journal {
    char *folder, *path;
    int fd;
    size_t bytes;
    uint64_t last_id;
    JournalReport *reports; /* by id */
    int report_count;
    JournalOrphan *held;
    int held_count;
};

/* --- the tables in memory --------------------------------------------------------------------------- */

static void hold_set(Journal *journal, const char *token, int64_t upto)
{
    for (int i = 0; i < journal->held_count; i++)
        if (strcmp(journal->held[i].token, token) == 0) {
            journal->held[i].upto = upto;
            return;
        }
    journal->held = xrealloc(journal->held, (size_t)(journal->held_count + 1) * sizeof *journal->held);
    journal->held[journal->held_count++] = (JournalOrphan){xstrdup(token), upto};
}

static void hold_remove(Journal *journal, const char *token)
{
    for (int i = 0; token && i < journal->held_count; i++)
        if (strcmp(journal->held[i].token, token) == 0) {
            free(journal->held[i].token);
            journal->held[i] = journal->held[--journal->held_count];
            return;
        }
}

static JournalReport *report_add(Journal *journal, uint64_t id, QueueFn fn, cJSON *args)
{
    hold_remove(journal, json_text(args, "token", NULL));
    journal->reports = xrealloc(journal->reports, (size_t)(journal->report_count + 1) * sizeof *journal->reports);
    JournalReport *report = &journal->reports[journal->report_count++];
    *report = (JournalReport){.id = id, .fn = fn, .args = args};
    if (id > journal->last_id)
        journal->last_id = id;
    return report;
}

static void report_remove(Journal *journal, int i)
{
    cJSON_Delete(journal->reports[i].args);
    journal->report_count--;
    memmove(&journal->reports[i], &journal->reports[i + 1],
            (size_t)(journal->report_count - i) * sizeof *journal->reports);
}

JournalReport *journal_find(Journal *journal, uint64_t id)
{
    for (int i = 0; i < journal->report_count; i++)
        if (journal->reports[i].id == id)
            return &journal->reports[i];
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------------- */

static bool replay_hold(Journal *journal, const cJSON *line, const cJSON *value)
{
    const cJSON *upto = cJSON_GetObjectItemCaseSensitive(line, "upto");
    if (!cJSON_IsString(value) || !cJSON_IsNumber(upto))
        return false;
    hold_set(journal, value->valuestring, (int64_t)upto->valuedouble);
    return true;
}

static bool replay_drop(Journal *journal, const cJSON *line, const cJSON *value)
{
    (void)line;
    hold_remove(journal, cJSON_IsString(value) ? value->valuestring : NULL);
    return cJSON_IsString(value);
}

static bool replay_report(Journal *journal, const cJSON *line, const cJSON *value)
{
    static const QueueFn fns[] = {QUEUE_FINISH, QUEUE_GIVEBACK, QUEUE_FAIL};
    const char *name = json_text(line, "fn", NULL);
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(line, "args");
    if (!name || !cJSON_IsNumber(value) || !json_text(args, "token", NULL))
        return false;
    for (size_t i = 0; i < countof(fns); i++)
        if (strcmp(queue_fn_name(fns[i]), name) == 0) {
            report_add(journal, (uint64_t)value->valuedouble, fns[i], cJSON_Duplicate(args, true));
            return true;
        }
    return false;
}

static bool replay_answer(Journal *journal, const cJSON *line, const cJSON *value)
{
    (void)line;
    if (!cJSON_IsNumber(value))
        return false;
    for (int i = 0; i < journal->report_count; i++)
        if (journal->reports[i].id == (uint64_t)value->valuedouble) {
            report_remove(journal, i);
            break;
        }
    return true;
}

static const struct {
    const char *key;
    bool (*replay)(Journal *journal, const cJSON *line, const cJSON *value);
} records[] = {
    {"hold", replay_hold},
    {"drop", replay_drop},
    {"report", replay_report},
    {"answer", replay_answer},
};

static bool replay_line(Journal *journal, const char *text)
{
    cJSON *line = cJSON_ParseWithOpts(text, NULL, true);
    bool known = false;
    for (size_t i = 0; i < countof(records) && !known; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(line, records[i].key);
        known = value && records[i].replay(journal, line, value);
    }
    cJSON_Delete(line);
    return known;
}

/* A record that another program's text stands in front of: `stray words{"hold":...}`. Its last part that is a record
 * counts, since records are written whole and end with the line. */
static bool replay_end(Journal *journal, const char *text)
{
    const char *brace = strchr(text, '{');
    while (brace && !replay_line(journal, brace))
        brace = strchr(brace + 1, '{');
    return brace != NULL;
}

/* Counts a line of len bytes that is no record, and uses the record at its end if there is one. */
static void replay_foreign(Journal *journal, char *line, size_t len, int number, JournalForeign *foreign)
{
    for (size_t i = 0; i < len; i++)
        if (!line[i])
            line[i] = '?';
    if (foreign->lines++ == 0) {
        foreign->first = number;
        snprintf(foreign->text, sizeof foreign->text, "%s", line);
    }
    replay_end(journal, line);
}

/* *ret_whole: all bytes of the file, for keep_aside. */
static bool replay(Journal *journal, Buf *ret_whole, JournalForeign *foreign, Err *err)
{
    FILE *file = fopen(journal->path, "re");
    if (!file)
        return errno == ENOENT || err_errno(err, "journal %s", journal->path);
    char *line = NULL;
    size_t room = 0;
    ssize_t got;
    for (int number = 1; (got = getline(&line, &room, file)) > 0; number++) {
        size_t len = (size_t)got;
        buf_add(ret_whole, line, len);
        bool ended = line[len - 1] == '\n';
        if (ended)
            line[--len] = 0;
        if (!ended && line[0] == '{')
            break; /* torn by a crash: it was never synced, so nothing relied on it */
        if (memchr(line, 0, len) || !replay_line(journal, line))
            replay_foreign(journal, line, len, number, foreign);
    }
    bool ok = !ferror(file) || err_errno(err, "journal %s", journal->path);
    free(line);
    fclose(file);
    return ok;
}

/* The file as it was found stays beside the new one, for people: all records in it are in the tables. */
static bool keep_aside(const Journal *journal, const Buf *whole, char **ret_path, Err *err)
{
    char *path = NULL;
    int number = 0;
    do {
        free(path);
        path = xasprintf("%s.foreign-%d", journal->path, ++number);
    } while (access(path, F_OK) == 0);
    if (file_write(path, whole->data, whole->len, err)) {
        *ret_path = path;
        return true;
    }
    free(path);
    return err_wrap(err, "journal %s has lines that are no records, and it cannot be kept aside", journal->path);
}

/* --- writing ---------------------------------------------------------------------------------------- */

static cJSON *hold_line(const JournalOrphan *held)
{
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "hold", held->token);
    cJSON_AddNumberToObject(line, "upto", (double)held->upto);
    return line;
}

static cJSON *report_line(const JournalReport *report)
{
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "report", (double)report->id);
    cJSON_AddStringToObject(line, "fn", queue_fn_name(report->fn));
    cJSON_AddItemToObject(line, "args", cJSON_Duplicate(report->args, true));
    return line;
}

static void add_line(Buf *text, cJSON *line)
{
    char *json = cJSON_PrintUnformatted(line);
    buf_printf(text, "%s\n", json);
    cJSON_free(json);
    cJSON_Delete(line);
}

/* The present state as a fresh file, swapped in by rename. */
static bool rewrite(Journal *journal, Err *err)
{
    Buf text = {0};
    for (int i = 0; i < journal->held_count; i++)
        add_line(&text, hold_line(&journal->held[i]));
    for (int i = 0; i < journal->report_count; i++)
        if (!journal->reports[i].answered)
            add_line(&text, report_line(&journal->reports[i]));
    char *part = xasprintf("%s.part", journal->path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    bool ok =
        fd >= 0 && file_write_fd(fd, text.data, text.len) && fdatasync(fd) == 0 && rename(part, journal->path) == 0;
    if (ok) {
        if (journal->fd >= 0)
            close(journal->fd);
        journal->fd = fd;
        journal->bytes = text.len;
    } else {
        err_errno(err, "journal %s", part);
        if (fd >= 0)
            close(fd);
    }
    buf_free(&text);
    free(part);
    return ok;
}

/* Appends one line, consumed. After a failure the next line starts with a whole rewrite, so that there is never half a
 * line in the middle. */
static bool append(Journal *journal, cJSON *line, bool sync, Err *err)
{
    if (journal->fd < 0 || journal->bytes > REWRITE_BYTES) {
        cJSON_Delete(line); /* its content is in the tables already */
        return rewrite(journal, err);
    }
    Buf text = {0};
    add_line(&text, line);
    bool ok = file_write_fd(journal->fd, text.data, text.len) && (!sync || fdatasync(journal->fd) == 0);
    if (ok) {
        journal->bytes += text.len;
    } else {
        err_errno(err, "journal %s", journal->path);
        close(journal->fd);
        journal->fd = -1;
    }
    buf_free(&text);
    return ok;
}

/* --- from outside ----------------------------------------------------------------------------------- */

bool journal_open(const char *folder, Journal **ret_journal, JournalForeign *ret_foreign, Err *err)
{
    Journal *journal = xcalloc(1, sizeof *journal);
    JournalForeign foreign = {0};
    Buf whole = {0};
    journal->folder = xstrdup(folder);
    journal->path = xasprintf("%s/journal", folder);
    journal->fd = -1;
    bool ok = replay(journal, &whole, &foreign, err) &&
              (!foreign.lines || keep_aside(journal, &whole, &foreign.path, err)) && rewrite(journal, err);
    buf_free(&whole);
    if (ok) {
        *ret_journal = journal;
        *ret_foreign = foreign;
    } else {
        free(foreign.path);
        journal_close(journal);
    }
    return ok;
}

void journal_close(Journal *journal)
{
    if (!journal)
        return;
    while (journal->report_count)
        report_remove(journal, journal->report_count - 1);
    for (int i = 0; i < journal->held_count; i++)
        free(journal->held[i].token);
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->reports);
    free(journal->held);
    free(journal->folder);
    free(journal->path);
    free(journal);
}

bool journal_hold(Journal *journal, const char *token, int64_t upto, Err *err)
{
    hold_set(journal, token, upto);
    JournalOrphan held = {(char *)token, upto};
    return append(journal, hold_line(&held), false, err);
}

bool journal_drop(Journal *journal, const char *token, Err *err)
{
    hold_remove(journal, token);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "drop", token);
    return append(journal, line, false, err);
}

bool journal_report(Journal *journal, QueueFn fn, cJSON *args, Err *err)
{
    JournalReport *report = report_add(journal, journal->last_id + 1, fn, args);
    return append(journal, report_line(report), true, err);
}

bool journal_acknowledged(Journal *journal, uint64_t id, Mono now, Err *err)
{
    JournalReport *report = journal_find(journal, id);
    if (!report || report->answered)
        return true;
    report->answered = now;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "answer", (double)id);
    return append(journal, line, false, err);
}

JournalReport *journal_next(Journal *journal, const JournalReport *after)
{
    for (int i = after ? (int)(after - journal->reports) + 1 : 0; i < journal->report_count; i++)
        if (!journal->reports[i].sent)
            return &journal->reports[i];
    return NULL;
}

void journal_resend(Journal *journal)
{
    for (int i = 0; i < journal->report_count; i++)
        journal->reports[i].sent = false;
}

void journal_expire(Journal *journal, Mono now)
{
    for (int i = journal->report_count - 1; i >= 0; i--)
        if (journal->reports[i].answered && now - journal->reports[i].answered > REMEMBER_MS)
            report_remove(journal, i);
}

int journal_unanswered(const Journal *journal)
{
    int count = 0;
    for (int i = 0; i < journal->report_count; i++)
        count += journal->reports[i].answered == 0;
    return count;
}

const JournalOrphan *journal_orphan(const Journal *journal, int i)
{
    return i < journal->held_count ? &journal->held[i] : NULL;
}
