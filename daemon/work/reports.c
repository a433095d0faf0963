#include "daemon/work/reports.h"

#include <string.h>

#include "core/json.h"
#include "daemon/work/state.h"

enum { AGAIN_MS = 1000 };

static void on_answer(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    Daemon *d = owner;
    JournalReport *report = journal_find(d->journal, tag);
    if (!report)
        return;
    const char *token = json_text(report->args, "token", "");
    if (err && err->kind == ERR_UNREACHABLE) {
        report->sent = false; /* outcome unknown, or Redis cannot take it now: once more */
        d->next_report = mono_ms() + AGAIN_MS;
        return;
    }
    if (err) /* the queue refuses it; sending it again would change nothing, and an open lease expires */
        log_error("token=%s report=%s refused: %s", token, queue_fn_name(report->fn), err->text);
    else
        log_info("job=%s token=%s report=%s status=%s state=%s", json_text(reply, "job", ""), token,
                 queue_fn_name(report->fn), json_text(reply, "status", ""), json_text(reply, "state", ""));
    Err bad = {0};
    if (!journal_acknowledged(d->journal, tag, mono_ms(), &bad))
        log_warning("token=%s answer was not written to the journal, a restart will repeat the report: %s", token,
                    bad.text);
}

void reports_send(Daemon *d)
{
    for (JournalReport *report = journal_next(d->journal, NULL); report; report = journal_next(d->journal, report)) {
        if (!store_call(d->store, report->fn, cJSON_Duplicate(report->args, true), on_answer, d, report->id))
            return;
        report->sent = true;
    }
}

void reports_tick(Daemon *d, Mono now)
{
    if (!d->next_report || now < d->next_report)
        return;
    d->next_report = 0;
    reports_send(d);
}

/* args: {token, upto, ...} */
static void add(Daemon *d, QueueFn fn, cJSON *args)
{
    Err err = {0};
    if (!journal_report(d->journal, fn, args, &err))
        log_warning("report=%s is kept in memory only: %s", queue_fn_name(fn), err.text);
    reports_send(d);
}

static cJSON *args_of(const Lease *lease)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "token", lease->token);
    cJSON_AddNumberToObject(args, "upto", (double)lease->upto);
    return args;
}

void reports_finish(Daemon *d, const Lease *lease, const cJSON *finished)
{
    static const char *const copied[] = {"ms", "fid", "metrics", "peak_mib", "files"};
    double images = json_number(finished, "images", 0); /* the queue does not accept 0 */
    cJSON *args = args_of(lease);
    if (images > 0)
        cJSON_AddNumberToObject(args, "images", images);
    for (size_t i = 0; i < countof(copied); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(finished, copied[i]);
        if (value && !cJSON_IsNull(value))
            cJSON_AddItemToObject(args, copied[i], cJSON_Duplicate(value, true));
    }
    d->counts.finished++;
    if (strcmp(lease->phase, "report") == 0)
        registry_look(&d->registry); /* it may have registered a reference */
    add(d, QUEUE_FINISH, args);
}

void reports_giveback(Daemon *d, const Lease *lease)
{
    d->counts.returned++;
    add(d, QUEUE_GIVEBACK, args_of(lease));
}

void reports_fail(Daemon *d, const Lease *lease, const char *kind, const char *policy, const char *text, bool crash)
{
    cJSON *args = args_of(lease);
    cJSON_AddStringToObject(args, "kind", kind);
    cJSON_AddStringToObject(args, "policy", policy);
    cJSON_AddStringToObject(args, "text", text);
    if (crash)
        cJSON_AddTrueToObject(args, "crash");
    d->counts.failed++;
    add(d, QUEUE_FAIL, args);
}
