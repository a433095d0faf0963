/* What Redis answers, from arbitrary bytes: as RESP, and as the text of a queue's answer. The daemon and the client
 * read it, or refuse it with a sentence. */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobs/result.h"
#include "client/queue/group.h"
#include "client/queue/job.h"
#include "client/queue/rows.h"
#include "core/json.h"
#include "core/mem.h"
#include "daemon/redis/link.h"
#include "daemon/specs/resolve.h"
#include "daemon/work/claims.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    assert(freopen("/dev/null", "w", stdout)); /* tables */
    return 0;
}

static void as_claim(const cJSON *reply)
{
    static Conf conf = {.host = "h"};
    Lease lease;
    ResolvePaths paths;
    Err err = {0};
    if (!claims_lease(reply, &lease, &err))
        assert(err.kind != ERR_NONE && err.text[0]);
    else
        assert(lease.lo >= 0 && lease.hi >= lease.lo && lease.token[0] && lease.job[0]);
    Resolve resolve = {.conf = &conf, .folder = json_text(reply, "folder", NULL), .user = lease.user, .device = "cpu"};
    err_clear(&err);
    if (resolve_names(&resolve, cJSON_GetObjectItemCaseSensitive(reply, "spec"), &paths, &err))
        resolve_paths_done(&paths);
    else
        assert(err.kind != ERR_NONE && err.text[0]);
}

static void as_job(cJSON *job, const cJSON *message)
{
    row_eta(&(JobRow){0});
    JobRow row = row_of_job(job);
    row_eta(&row);
    job_tick(job, message);
    job_tidy(job);
    job_state(job), job_color(job), job_stage(job), job_rate(job), job_eta(job), job_exit_code(job);
    result_figures(job);
}

static void as_list(cJSON *reply)
{
    Rows rows;
    Err err = {0};
    if (rows_read(reply, &rows, &err)) /* consumes it */
        for (int i = 0; i < rows.count; i++)
            row_eta(&rows.items[i]);
    else
        assert(err.kind != ERR_NONE && err.text[0]);
    rows_free(&rows);
}

static void as_text(const char *text)
{
    cJSON *reply = NULL;
    Err err = {0};
    if (!queue_reply_parse(text, &reply, &err)) {
        assert(err.kind != ERR_NONE && err.text[0]);
        cJSON *found = queue_reply_rescue(text);
        assert(!found || json_text(found, "token", NULL));
        cJSON_Delete(found);
        return;
    }
    as_claim(reply);
    cJSON *job = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(reply, "job"), true);
    as_job(job, reply);
    cJSON_Delete(job);
    as_list(cJSON_Duplicate(reply, true));
    cJSON *group = group_as_job(reply);
    group_exit_code(group);
    group_points(group);
    cJSON_Delete(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    as_text(text);
    redisReader *reader = redisReaderCreate();
    redisReaderFeed(reader, text, size);
    redisReply *reply = NULL;
    while (redisReaderGetReply(reader, (void **)&reply) == REDIS_OK && reply) {
        redis_reply_error(reply);
        for (int i = -1; i <= redis_reply_count(reply); i++)
            redis_reply_text(i < 0 ? reply : redis_reply_at(reply, i));
        if (redis_reply_text(reply))
            as_text(redis_reply_text(reply));
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    free(text);
    return 0;
}
