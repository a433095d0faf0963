/* What the queue's functions cost, on a private redis-server over a unix socket, beside PING in the same run.
 *
 *     bench_queue [JOBS [USERS]]      1000 jobs of 20 users
 *
 * Claims are also made by several connections at once, beside redis-benchmark's SET over as many: Redis then makes one
 * fsync for all pending writes.
 *
 * Twice: without an append-only file (the functions' own time) and with appendfsync always (what a user waits for; it
 * is the disk's fsync). Times are microseconds, median and 99th percentile: the round trip, and the processor time of
 * redis-server, which other programs on the machine hardly affect. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "tests/queue/redis.h"

enum { ROUNDS = 400, OFFERS = 20, CROWD_MAX = 8, CROWD_CLAIMS = 4000 };

typedef struct Times {
    double *wall, *server; /* microseconds */
    size_t count, room;
} Times;

static Redis *redis;
static double wall_start, server_start;

/* Processor time that redis-server has used, all its threads. */
static double server_seconds(void)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(redis->pid, &clock) || clock_gettime(clock, &t))
        redis_die("clock_getcpuclockid", "no clock of redis-server");
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void start_time(void)
{
    server_start = server_seconds();
    wall_start = mono_seconds();
}

static void stop_time(Times *times)
{
    double wall = mono_seconds() - wall_start, server = server_seconds() - server_start;
    if (times->count == times->room) {
        times->room = times->room ? 2 * times->room : 1024;
        times->wall = xrealloc(times->wall, times->room * sizeof *times->wall);
        times->server = xrealloc(times->server, times->room * sizeof *times->server);
    }
    times->wall[times->count] = wall * 1e6;
    times->server[times->count++] = server * 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, Times *times)
{
    qsort(times->wall, times->count, sizeof *times->wall, by_size);
    qsort(times->server, times->count, sizeof *times->server, by_size);
    size_t middle = times->count / 2, late = times->count * 99 / 100;
    printf("  %-42s %8.0f %8.0f %8.0f %8.0f   (%zu)\n", what, times->wall[middle], times->wall[late],
           times->server[middle], times->server[late], times->count);
    free(times->wall);
    free(times->server);
    *times = (Times){0};
}

/* One call as the programs make it, timed without building and parsing the JSON. */
static cJSON *timed(Times *times, QueueFn fn, cJSON *args)
{
    QueueCall call;
    queue_call_build(&call, fn, args);
    start_time();
    redisReply *reply = redisCommandArgv(redis->link, countof(call.argv), (const char **)call.argv, call.argvlen);
    stop_time(times);
    if (!reply || reply->type != REDIS_REPLY_STRING)
        redis_die(queue_fn_name(fn), reply ? reply->str : redis->link->errstr);
    cJSON *answer = cJSON_Parse(reply->str);
    freeReplyObject(reply);
    queue_call_free(&call);
    return answer;
}

static void bench_ping(void)
{
    Times times = {0};
    for (int i = 0; i < ROUNDS; i++) {
        start_time();
        freeReplyObject(redis_do(redis, "PING"));
        stop_time(&times);
    }
    print_times("PING", &times);
    for (int i = 0; i < ROUNDS; i++) {
        start_time();
        freeReplyObject(redis_do(redis, "SET ping %d", i));
        stop_time(&times);
    }
    print_times("SET", &times);
}

static void submit_one(Times *times, int number, int users)
{
    char id[11], user[16];
    queue_new_id(id);
    snprintf(user, sizeof user, "user%d", number % users);
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddStringToObject(args, "user", user);
    cJSON_AddStringToObject(args, "kind", "sample");
    cJSON_AddStringToObject(args, "model", "digits");
    cJSON_AddNumberToObject(args, "images", 50000);
    cJSON_AddTrueToObject(args, "new");
    cJSON_AddItemToObject(args, "needs",
                          cJSON_CreateStringArray((const char *const[]){"model:digits", "reference:digits"}, 2));
    cJSON_AddItemToObject(
        args, "spec",
        cJSON_Parse("{\"kind\":\"sample\",\"model\":\"digits\",\"t_list\":[0,20],\"split_t\":20,"
                    "\"cfg_scale\":2.0,\"top_k\":8000,\"images\":50000,\"seed\":7,\"save\":[\"png\"]}"));
    cJSON_Delete(timed(times, QUEUE_SUBMIT, args));
}

/* A host with many models, as a lab's is. */
static cJSON *claim_args(int worker, const char *model)
{
    char name[32];
    cJSON *args = cJSON_CreateObject(), *offers = cJSON_AddArrayToObject(args, "offers");
    for (int i = 0; i < OFFERS; i++) {
        snprintf(name, sizeof name, "model:other%d", i);
        cJSON_AddItemToArray(offers, cJSON_CreateString(name));
    }
    snprintf(name, sizeof name, "model:%s", model);
    cJSON_AddItemToArray(offers, cJSON_CreateString(name));
    cJSON_AddItemToArray(offers, cJSON_CreateString("reference:digits"));
    snprintf(name, sizeof name, "cuda:%d", worker);
    cJSON_AddStringToObject(args, "worker", name);
    cJSON_AddStringToObject(args, "host", "node1");
    cJSON_AddStringToObject(args, "device", "cuda");
    cJSON_AddStringToObject(args, "uuid", "GPU-1");
    cJSON_AddStringToObject(args, "root", "/srv/ddq");
    cJSON_AddItemToObject(args, "warm", cJSON_CreateStringArray((const char *const[]){"other1", "other2"}, 2));
    cJSON_AddNumberToObject(args, "lease_ms", 15000);
    cJSON_AddNumberToObject(args, "chunk_ms", 30000);
    return args;
}

static cJSON *token_args(const char *token, double upto)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "token", token);
    cJSON_AddNumberToObject(args, "upto", upto);
    cJSON_AddNumberToObject(args, "ms", 30000);
    return args;
}

static void bench_work(void)
{
    Times claims = {0}, renews = {0}, finishes = {0}, empties = {0};
    for (int round = 0; round < ROUNDS / 8; round++) {
        cJSON *leases[8], *args = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(args, "leases");
        for (int i = 0; i < 8; i++) {
            leases[i] = timed(&claims, QUEUE_CLAIM, claim_args(i, "digits"));
            cJSON *item = token_args(cJSON_GetObjectItem(leases[i], "token")->valuestring,
                                     cJSON_GetObjectItem(leases[i], "lo")->valuedouble + 1);
            cJSON_AddItemToArray(list, item);
        }
        cJSON_Delete(timed(&renews, QUEUE_RENEW, args));
        cJSON_Delete(timed(&empties, QUEUE_CLAIM, claim_args(9, "lost")));
        for (int i = 0; i < 8; i++) {
            cJSON_Delete(timed(&finishes, QUEUE_FINISH,
                               token_args(cJSON_GetObjectItem(leases[i], "token")->valuestring,
                                          cJSON_GetObjectItem(leases[i], "hi")->valuedouble)));
            cJSON_Delete(leases[i]);
        }
    }
    print_times("claim", &claims);
    print_times("claim by a worker that can do none of it", &empties);
    print_times("renew of 8 leases", &renews);
    print_times("finish", &finishes);
}

/* --- claims of several connections ---------------------------------------------------------------------- */

typedef struct Member {
    pthread_t thread;
    redisContext *link;
    int first, count; /* numbers of its workers; each claims once */
    double *seconds;
} Member;

static void *claim_often(void *ctx)
{
    Member *member = ctx;
    for (int i = 0; i < member->count; i++) {
        QueueCall call;
        queue_call_build(&call, QUEUE_CLAIM, claim_args(member->first + i, "digits"));
        double start = mono_seconds();
        redisReply *reply = redisCommandArgv(member->link, countof(call.argv), (const char **)call.argv, call.argvlen);
        member->seconds[i] = mono_seconds() - start;
        if (!reply || reply->type != REDIS_REPLY_STRING || !strstr(reply->str, "\"token\""))
            redis_die("claim", reply ? reply->str : member->link->errstr);
        freeReplyObject(reply);
        queue_call_free(&call);
    }
    return NULL;
}

static void print_crowd(int size, double *seconds, int count, double wall)
{
    qsort(seconds, (size_t)count, sizeof *seconds, by_size);
    printf("  claims over %d connections: %.0f a second, median %.0f us, p99 %.0f us\n", size, count / wall,
           seconds[count / 2] * 1e6, seconds[count * 99 / 100] * 1e6);
    fflush(stdout);
}

/* The baseline: the simplest write on this server and disk. */
static void bench_set(int connections)
{
    char *command =
        xasprintf("redis-benchmark -s %s -t set -n 20000 -c %d --csv | awk -F, 'NR > 1 { gsub(/\"/, \"\"); printf "
                  "\"  SET over %d connections (redis-benchmark): %%.0f a second, median %%.0f us, p99 %%.0f us\\n\", "
                  "$2, 1000 * $5, 1000 * $7 }'",
                  redis->socket, connections, connections);
    if (system(command) != 0)
        redis_die("redis-benchmark", "failed; is redis-tools installed?");
    free(command);
}

static void bench_crowd(int size)
{
    static int worker = 1000; /* so that no worker has a lease already */
    Member members[CROWD_MAX];
    double *seconds = xcalloc(CROWD_CLAIMS, sizeof *seconds);
    int each = CROWD_CLAIMS / size;
    for (int i = 0; i < size; i++, worker += each) {
        members[i] = (Member){.link = redisConnectUnix(redis->socket), .first = worker, .count = each};
        members[i].seconds = seconds + i * each;
    }
    double start = mono_seconds();
    for (int i = 0; i < size; i++)
        pthread_create(&members[i].thread, NULL, claim_often, &members[i]);
    for (int i = 0; i < size; i++)
        pthread_join(members[i].thread, NULL);
    print_crowd(size, seconds, each * size, mono_seconds() - start);
    for (int i = 0; i < size; i++)
        redisFree(members[i].link);
    free(seconds);
}

/* --- looking ------------------------------------------------------------------------------------------------ */

/* Hosts with eight GPUs each, as in their daemons' heartbeats. */
static void heartbeat(int hosts)
{
    for (int h = 0; h < hosts; h++) {
        Buf text = {0};
        buf_printf(&text,
                   "{\"host\":\"node%d\",\"boot\":\"b\",\"pid\":1,\"ttl_ms\":600000,\"models\":{\"digits\":{}},"
                   "\"references\":[\"digits\"],\"workers\":[",
                   h);
        for (int w = 0; w < 8; w++)
            buf_printf(&text,
                       "%s{\"name\":\"cuda:%d\",\"device\":\"cuda\",\"uuid\":\"GPU-%d-%d\",\"state\":\"busy\","
                       "\"free_mib\":80000,\"memory_mib\":81920}",
                       w ? "," : "", w, h, w);
        buf_printf(&text, "]}");
        cJSON_Delete(redis_call(redis, QUEUE_HEARTBEAT, cJSON_Parse(text.data)));
        buf_free(&text);
    }
}

static void bench_looking(int jobs)
{
    Times lists = {0}, rows = {0}, shows = {0}, whys = {0}, reaps = {0};
    char what[64];
    heartbeat(8);
    for (int i = 0; i < 20; i++) {
        cJSON *args = cJSON_CreateObject();
        cJSON_AddNumberToObject(args, "limit", 100000);
        cJSON *table = cJSON_Duplicate(args, true);
        cJSON_AddTrueToObject(table, "rows");
        cJSON_Delete(timed(&rows, QUEUE_LIST, table));
        cJSON *answer = timed(&lists, QUEUE_LIST, args), *list = cJSON_GetObjectItem(answer, "jobs");
        for (int k = 0; k < 20; k++) {
            args = cJSON_CreateObject();
            cJSON_AddStringToObject(args, "id",
                                    cJSON_GetObjectItem(cJSON_GetArrayItem(list, k * 7), "id")->valuestring);
            cJSON_Delete(timed(&whys, QUEUE_WHY, cJSON_Duplicate(args, true)));
            cJSON_Delete(timed(&shows, QUEUE_SHOW, args));
        }
        cJSON_Delete(answer);
        cJSON_Delete(timed(&reaps, QUEUE_REAP, NULL));
    }
    snprintf(what, sizeof what, "list of %d, rows (ddq ls)", jobs);
    print_times(what, &rows);
    snprintf(what, sizeof what, "list of %d, all of each job", jobs);
    print_times(what, &lists);
    print_times("why", &whys);
    print_times("show", &shows);
    print_times("reap of nothing", &reaps);
}

int main(int argc, char **argv)
{
    int jobs = argc > 1 ? atoi(argv[1]) : 1000, users = argc > 2 ? atoi(argv[2]) : 20;
    if (jobs < 200 || users < 1) {
        fprintf(stderr, "usage: bench_queue [JOBS [USERS]], at least 200 jobs\n");
        return 2;
    }
    static const char *const fsyncs[] = {NULL, "always"};
    for (size_t i = 0; i < countof(fsyncs); i++) {
        Times submits = {0};
        redis = redis_start(fsyncs[i]);
        printf("%d jobs of %d users, %s%s\n  %-42s %8s %8s %8s %8s   (calls)\n", jobs, users,
               fsyncs[i] ? "appendfsync " : "no append-only file", fsyncs[i] ? fsyncs[i] : "", "microseconds", "median",
               "p99", "server", "p99");
        bench_ping();
        for (int k = 0; k < jobs; k++)
            submit_one(&submits, k, users);
        print_times("submit", &submits);
        bench_work();
        bench_looking(jobs);
        for (int size = 1; size <= CROWD_MAX; size *= 2) {
            bench_crowd(size);
            bench_set(size);
        }
        redis_stop(redis);
    }
    return 0;
}
