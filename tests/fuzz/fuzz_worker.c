/* What workers send, from arbitrary bytes, to a daemon in whose table one worker holds a lease: the lease goes on,
 * ends, or the worker is ended with a sentence; progress never leaves its range. The first byte picks phase and range;
 * what looks like an answer to a renew is one as well. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/work/leases.h"
#include "daemon/work/progress.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Daemon *d;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    char folder[] = "/dev/shm/ddq-fuzz-XXXXXX";
    Err err = {0};
    static Options options;
    static Conf conf = {.host = "h", .lease_ms = 15000};
    static const WorkersHooks hooks;
    JournalForeign foreign;
    log_level_set(LOG_ERROR);
    d = xcalloc(1, sizeof *d);
    d->options = &options;
    d->conf = &conf;
    assert(uv_loop_init(&d->loop) == 0);
    d->registry.busy = true; /* it looks at no folder */
    workers_init(&d->workers, &d->loop, "none", &hooks, d);
    assert(mkdtemp(folder) && journal_open(folder, &d->journal, &foreign, &err));
    return 0;
}

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    Worker *worker = ctx;
    Lease *lease = &d->leases[0];
    if (type == PROTO_LOG) {
        LogLevel level = LOG_INFO;
        log_level_parse(json_text(message, "level", ""), &level);
        progress_line(d, worker, level, json_text(message, "text", ""));
    } else if (worker->stop == STOP_NOT && worker->state == WORKER_BUSY) {
        bool over = leases_message(d, worker, type, message);
        assert(over == !lease->held || worker->stop != STOP_NOT);
        assert(!lease->held || (lease->upto >= lease->lo && lease->upto <= lease->hi));
    }
    leases_verdicts(d, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const phases[] = {"survey", "images", "report"};
    if (size == 0)
        return 0;
    Worker *worker = &d->workers.rows[0];
    Device device = {.name = "cpu:0"};
    worker->used = true;
    worker->device = device;
    worker->state = WORKER_BUSY;
    worker->stop = STOP_NOT;
    worker->why = (Err){0};
    Lease *lease = &d->leases[0];
    *lease = (Lease){.held = true, .token = "17", .job = "j", .user = "u", .lo = data[0] & 15};
    strcpy(lease->phase, phases[data[0] % 3]);
    lease->upto = lease->lo;
    lease->hi = lease->lo + (data[0] >> 4) + 1;
    ProtoReader reader = {0};
    Err err = {0};
    if (!proto_feed(&reader, (const char *)data + 1, size - 1, on_message, worker, &err))
        assert(err.kind != ERR_NONE && err.text[0]);
    proto_reader_free(&reader);
    Err gone = {.kind = ERR_INTERNAL, .text = "gone"};
    leases_gone(d, worker, &gone);
    assert(!lease->held);
    for (JournalReport *report = journal_next(d->journal, NULL); report; report = journal_next(d->journal, NULL)) {
        report->sent = true;
        assert(journal_acknowledged(d->journal, report->id, 1, &err));
    }
    journal_expire(d->journal, INT64_MAX);
    return 0;
}
