/* The worker's end of the protocol: every work message gets exactly one answer: finished, yielded or failed. After
 * errors that may leave the process or the device in a bad state, the worker answers and exits. Its log is sent as
 * messages through the channel; stderr is only for the reason of an exit. */
#include "worker/serve.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "kernels/backend.h"
#include "kernels/device_memory.h"
#include "spec/jobspec.h"
#include "worker/channel.h"
#include "worker/job/run.h"
#include "worker/models/model_cache.h"

enum { PROGRESS_MS = 200 };

typedef struct Serve {
    Channel *channel;
    ModelCache *models;
    Task *task;   /* the current one */
    Mono sent_at; /* when its progress was last sent, and what */
    int64_t sent_upto;
} Serve;

static Channel *log_channel; /* the log's destination */

static cJSON *fields_of(const Task *task, int64_t upto)
{
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "token", task->token);
    upto = upto < task->lo ? task->lo : upto > task->hi ? task->hi : upto;
    cJSON_AddNumberToObject(fields, "upto", (double)upto);
    return fields;
}

static void send_log(LogLevel level, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "trace"};
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "level", names[level]);
    cJSON_AddStringToObject(fields, "text", text);
    channel_send(log_channel, PROTO_LOG, fields);
}

static void send_hello(Channel *channel, const DeviceInfo *device)
{
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddNumberToObject(fields, "version", PROTO_VERSION);
    cJSON_AddNumberToObject(fields, "pid", getpid());
    cJSON_AddStringToObject(fields, "device", device->uuid);
    cJSON_AddStringToObject(fields, "name", device->name);
    cJSON_AddNumberToObject(fields, "memory_mib", (double)device->memory_mib);
    channel_send(channel, PROTO_HELLO, fields);
}

static void send_loaded(const Serve *serve, const char *job, double seconds)
{
    char *warm = model_cache_warm(serve->models);
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "job", job);
    cJSON_AddNumberToObject(fields, "seconds", seconds);
    cJSON_AddItemToObject(fields, "warm", cJSON_Parse(warm));
    free(warm);
    channel_send(serve->channel, PROTO_LOADED, fields);
}

/* --- what a run reports ---------------------------------------------------------------------------- */

static bool on_stop(void *ctx)
{
    const Serve *serve = ctx;
    return channel_stopping(serve->channel, serve->task);
}

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    Serve *serve = ctx;
    Mono now = mono_ms();
    if (upto == serve->sent_upto && now - serve->sent_at < PROGRESS_MS)
        return;
    serve->sent_at = now;
    serve->sent_upto = upto;
    cJSON *fields = fields_of(serve->task, upto);
    cJSON_AddNumberToObject(fields, "rate", rate);
    cJSON_AddStringToObject(fields, "stage", stage);
    channel_send(serve->channel, PROTO_PROGRESS, fields);
}

static void on_loaded(void *ctx, double seconds)
{
    const Serve *serve = ctx;
    device_memory_restart(); /* memory used before is not needed by this job */
    send_loaded(serve, serve->task->job, seconds);
}

static void on_note(void *ctx, const char *text)
{
    const Serve *serve = ctx;
    log_warning("job=%s %s", serve->task->job, text);
}

static void on_built(void *ctx, const char *line)
{
    const Serve *serve = ctx;
    log_info("job=%s %s", serve->task->job, line);
}

/* --- doing a task ---------------------------------------------------------------------------------- */

/* The outcome of a task. */
typedef struct Done {
    int64_t upto;
    double fid;     /* NaN: none */
    cJSON *figures; /* of a report, or NULL */
    cJSON *files;   /* that the range was made from, or NULL */
    int64_t images; /* that a survey counted, else 0 */
} Done;

typedef bool (*PhaseFn)(Run *run, const Task *task, const Hooks *hooks, Done *done, Err *err);

static bool do_survey(Run *run, const Task *task, const Hooks *hooks, Done *done, Err *err)
{
    (void)task, (void)hooks;
    return run_survey(run, &done->images, err);
}

static bool do_images(Run *run, const Task *task, const Hooks *hooks, Done *done, Err *err)
{
    return run_images(run, task->lo, task->hi, hooks, &done->upto, err);
}

static bool do_report(Run *run, const Task *task, const Hooks *hooks, Done *done, Err *err)
{
    (void)task;
    if (!run_report(run, hooks, &done->fid, err))
        return false;
    done->figures = run_figures(run);
    return true;
}

static PhaseFn phase_of(const Task *task)
{
    static const struct {
        const char *name;
        PhaseFn phase;
    } phases[] = {{"survey", do_survey}, {"images", do_images}, {"report", do_report}};
    for (size_t i = 0; i < countof(phases); i++)
        if (strcmp(task->phase, phases[i].name) == 0)
            return phases[i].phase;
    return NULL;
}

static bool do_phase(Serve *serve, const JobSpec *spec, Done *done, Err *err)
{
    const Task *task = serve->task;
    const Hooks hooks = {serve, on_progress, on_loaded, on_stop, on_note, on_built};
    PhaseFn phase = phase_of(task);
    if (!phase)
        return err_set(err, ERR_PROTOCOL, "worker protocol: phase \"%.40s\" is neither survey, images nor report",
                       task->phase);
    Run *run = run_open(serve->models, spec, err);
    if (run)
        run_submitted(run, task->submitted);
    if (run && jobkind_of(spec->kind)->reads_source && task->n > 0)
        run_expect(run, task->n);
    bool good = run && phase(run, task, &hooks, done, err);
    if (good) {
        done->upto = task->hi;
        done->files = run_files(run);
    }
    run_close(run);
    return good;
}

static void answer(const Serve *serve, bool good, const Done *done, double seconds, const Err *err)
{
    cJSON *fields = fields_of(serve->task, done->upto);
    if (good) {
        cJSON_AddNumberToObject(fields, "ms", seconds * 1000);
        cJSON_AddNumberToObject(fields, "peak_mib", (double)(device_memory_peak() >> 20));
        if (isfinite(done->fid))
            cJSON_AddNumberToObject(fields, "fid", done->fid);
        if (done->figures)
            cJSON_AddItemToObject(fields, "metrics", cJSON_Duplicate(done->figures, true));
        if (done->files)
            cJSON_AddItemToObject(fields, "files", cJSON_Duplicate(done->files, true));
        if (done->images > 0)
            cJSON_AddNumberToObject(fields, "images", (double)done->images);
        channel_send(serve->channel, PROTO_FINISHED, fields);
    } else if (err->kind == ERR_CANCELLED) {
        channel_send(serve->channel, PROTO_YIELDED, fields);
    } else {
        cJSON_AddStringToObject(fields, "kind", err_name(err->kind));
        cJSON_AddStringToObject(fields, "policy", err_policy_name(err_policy(err->kind)));
        cJSON_AddStringToObject(fields, "text", err->text);
        channel_send(serve->channel, PROTO_FAILED, fields);
    }
}

/* False when the worker should exit. */
static bool do_task(Serve *serve, Task *task)
{
    JobSpec *spec = NULL;
    Err err = {0};
    Done done = {.upto = task->lo, .fid = NAN};
    double start = mono_seconds();
    device_memory_restart();
    serve->task = task;
    serve->sent_at = 0;
    serve->sent_upto = -1;
    bool good = !on_stop(serve) || err_set(&err, ERR_CANCELLED, "cancelled before it began");
    good = good && jobspec_parse(task->spec, FORM_EXEC, &spec, &err) && do_phase(serve, spec, &done, &err);
    double seconds = mono_seconds() - start;
    answer(serve, good, &done, seconds, &err);
    cJSON_Delete(done.figures);
    cJSON_Delete(done.files);
    jobspec_free(spec);
    return good || !err_ends_worker(err.kind);
}

/* --- the life of the process ----------------------------------------------------------------------- */

/* A GPU is opened here, not by the first job: a missing, busy or unsuitable GPU is no fault of a job. */
static bool open_device(ModelCache *models, DeviceInfo *ret_info, Err *err)
{
    if (model_cache_is_host(models))
        return backend_devices(ret_info, 1) == 1;
    const Backend *be = model_cache_backend(models, model_cache_precision(models, PRECISION_AUTO), err);
    if (be)
        *ret_info = *backend_device(be);
    return be != NULL;
}

static int print_error(const Err *err)
{
    fprintf(stderr, "ddq-worker: %s\n", err->text);
    return err_exit_code(err->kind);
}

static int work(Serve *serve)
{
    bool good = true;
    for (Task *task; good && (task = channel_next(serve->channel)); channel_done(serve->channel, task))
        good = do_task(serve, task);
    Err err = {0};
    return channel_broken(serve->channel, &err) ? print_error(&err) : good ? EXIT_OK : EXIT_ERROR;
}

int serve(const char *device, int threads, const char *cache, int stall_s, int fd)
{
    Err err = {0};
    static DeviceInfo info; /* the channel reports its memory until the process ends */
    if (fcntl(fd, F_GETFD) < 0) {
        err_set(&err, ERR_USAGE,
                "serve needs an open descriptor %d, as ddqd passes it; use exec to run one job "
                "without it",
                fd);
        return print_error(&err);
    }
    Serve state = {.models = model_cache_new(device, threads)};
    model_cache_set_folder(state.models, cache);
    if (open_device(state.models, &info, &err))
        state.channel = channel_open(fd, stall_s, &err);
    if (!state.channel) {
        model_cache_free(state.models);
        return print_error(&err);
    }
    send_hello(state.channel, &info);
    channel_device(state.channel, info.uuid);
    channel_send_alive(state.channel);
    log_channel = state.channel;
    log_sink_set(send_log);
    log_sink_only(true);
    int status = work(&state);
    log_sink_set(NULL);
    model_cache_free(state.models);
    return status;
}
