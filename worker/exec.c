/* Both phases of a run, one after the other. Progress goes to stderr (a bar on a terminal, else a line from time to
 * time), the result to stdout. Ctrl-C stops at the next batch; the same command resumes the job. */
#include "worker/exec.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "spec/jobfile.h"
#include "worker/job/run.h"
#include "worker/models/model_cache.h"
#include "worker/report/report.h"

enum { JOB_BYTES_MAX = 1 << 22, BAR = 28 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
    signal(number, SIG_DFL); /* the second one ends it */
}

typedef struct Show {
    bool quiet, terminal, drawn;
    int64_t images;
    Mono last;
} Show;

static void clear_line(Show *show)
{
    if (show->drawn)
        fputs("\r\033[K", stderr);
    show->drawn = false;
}

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    Show *show = ctx;
    Mono now = mono_ms();
    if (show->quiet || now - show->last < (show->terminal ? 100 : 10000))
        return;
    show->last = now;
    char speed[32] = "";
    if (rate > 0)
        snprintf(speed, sizeof speed, rate < 10 ? ", %.2f images/s" : ", %.0f images/s", rate);
    if (!show->terminal) {
        log_info("progress upto=%" PRId64 " images=%" PRId64 " rate=%.3g stage=%s", upto, show->images, rate, stage);
        return;
    }
    int full = show->images > 0 ? (int)(BAR * upto / show->images) : 0;
    fprintf(stderr, "\r\033[K[%.*s%.*s] %" PRId64 "/%" PRId64 "%s, %s", full, "############################",
            BAR - full, "                            ", upto, show->images, speed, stage);
    show->drawn = true;
}

static void on_loaded(void *ctx, double seconds)
{
    Show *show = ctx;
    if (!show->quiet) {
        clear_line(show);
        log_info("loaded seconds=%.2f", seconds);
    }
}

static void on_note(void *ctx, const char *text)
{
    clear_line(ctx);
    log_warning("%s", text);
}

static void on_built(void *ctx, const char *line)
{
    Show *show = ctx;
    if (!show->quiet) {
        clear_line(show);
        log_info("%s", line);
    }
}

static bool on_stop(void *ctx)
{
    (void)ctx;
    return interrupted;
}

/* --- the job file ---------------------------------------------------------------------------------- */

/* A job, or the job.json of a folder. */
static bool parse_job(const char *path, const char *text, JobSpec **ret_spec, Err *err)
{
    const char *end;
    cJSON *value = cJSON_ParseWithOpts(text, &end, true), *jobs = NULL;
    if (!value)
        return jobspec_parse_text(text, FORM_EXEC, ret_spec, err); /* which says where it is no JSON */
    bool good = jobfile_jobs(value, FORM_EXEC, path, &jobs, err);
    if (good && cJSON_GetArraySize(jobs) != 1)
        good = err_set(err, ERR_USAGE, "%s holds %d jobs, and exec runs one", path, cJSON_GetArraySize(jobs));
    good = good && jobspec_parse(jobs->child, FORM_EXEC, ret_spec, err);
    cJSON_Delete(jobs);
    return good;
}

static bool read_job(const char *path, JobSpec **ret_spec, Err *err)
{
    char *text = NULL, *file = jobfile_path(path);
    bool good = file_read_text_or_stdin("job", file, JOB_BYTES_MAX, &text, err) &&
                parse_job(strcmp(path, "-") == 0 ? "stdin" : file, text, ret_spec, err);
    free(text);
    free(file);
    return good;
}

/* --- the run --------------------------------------------------------------------------------------- */

static void print_figures(const Run *run, const JobSpec *spec)
{
    cJSON *figures = run_figures(run), *fields = jobspec_to_json(spec, FORM_EXEC);
    Buf text = {0};
    figures_table(&text, figures, fields);
    if (text.len)
        fputs(text.data, stdout);
    buf_free(&text);
    cJSON_Delete(fields);
    cJSON_Delete(figures);
}

static void print_results(const Run *run, const JobSpec *spec, double fid, bool again)
{
    static const char *const names[] = {"images",       "samples.npz",     "codes.npy",      "vectors.npy",
                                        "features.npy", "features_tf.npy", "statistics.npz", "statistics_tf.npz",
                                        "grid.png",     "report.html",     "report.json"};
    if (again)
        printf("already finished: %s holds this job\n", spec->output);
    for (size_t i = 0; i < countof(names); i++) {
        char *path = xasprintf("%s/%s", spec->output, names[i]);
        if (access(path, F_OK) == 0)
            printf("%s\n", path);
        free(path);
    }
    print_figures(run, spec);
    if (isfinite(fid)) {
        char number[32];
        json_number_text(fid, number);
        printf("FID: %s\n", number);
    }
}

static bool run_job(const JobSpec *spec, int threads, const char *cache, bool quiet, Err *err)
{
    Show show = {.quiet = quiet, .terminal = isatty(STDERR_FILENO), .images = spec->images, .last = mono_ms()};
    Hooks hooks = {.ctx = &show,
                   .progress = on_progress,
                   .loaded = on_loaded,
                   .stop = on_stop,
                   .note = on_note,
                   .built = on_built};
    ModelCache *models = model_cache_new(spec->device, threads);
    model_cache_set_folder(models, cache);
    Run *run = run_open(models, spec, err);
    double fid = NAN;
    int64_t upto = 0;
    bool again = run && run_finished(run, &fid);
    bool good = again || (run && (!jobkind_of(spec->kind)->reads_source || run_survey(run, &show.images, err)) &&
                          run_images(run, 0, show.images, &hooks, &upto, err) && run_report(run, &hooks, &fid, err));
    clear_line(&show);
    if (good && !quiet)
        print_results(run, spec, fid, again);
    run_close(run);
    model_cache_free(models);
    return good;
}

int exec_job(const char *file, int threads, const char *cache, bool quiet)
{
    JobSpec *spec = NULL;
    Err err = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool good = read_job(file, &spec, &err) && run_job(spec, threads, cache, quiet, &err);
    if (!good && interrupted)
        fprintf(stderr, "ddq-worker: %s; run the same command again to continue\n", err.text);
    else if (!good)
        fprintf(stderr, "ddq-worker: %s\n", err.text);
    jobspec_free(spec);
    if (good && fflush(stdout) != 0)
        return EXIT_ERROR;
    if (!good && interrupted)
        return EXIT_INTERRUPTED;
    return good ? EXIT_OK : err_exit_code(err.kind);
}
