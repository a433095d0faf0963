/* The story: options, configuration, both sides (images are measured once and remembered, as any reference), the
 * numbers, and what is printed.
 *
 * stdout has the result alone. stderr has what one should know about it, and on a terminal a line of progress. */
#include "worker/fid_command.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/mem.h"
#include "worker/fid_numbers.h"
#include "worker/fid_options.h"
#include "worker/file.h"
#include "worker/reference.h"
#include "worker/report.h"
#include "worker/workshop.h"

enum { FRAME_MS = 100, DEVICES_MAX = 64 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
    signal(number, SIG_DFL); /* the second one ends it */
}

typedef struct Fid {
    FidOptions options;
    Conf *conf; /* read when it is first needed */
    char *device;
    const char *inception;
    Workshop *shop;
    RunHooks hooks;
    Resize pipeline;
    char *paths[2];
    ReferenceLook looks[2];
    Reference sides[2]; /* A, B */
    cJSON *notes;       /* sentences */
    /* progress */
    char measuring[256];
    int64_t images; /* of what is measured now */
    bool terminal, drawn;
    Mono last;
} Fid;

/* --- what people see meanwhile ---------------------------------------------------------------------- */

static void clear_line(Fid *fid)
{
    if (fid->drawn)
        fputs("\r\033[K", stderr);
    fid->drawn = false;
}

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    (void)stage;
    Fid *fid = ctx;
    Mono now = mono_ms();
    if (!fid->terminal || now - fid->last < FRAME_MS)
        return;
    fid->last = now;
    fprintf(stderr, "\r\033[K%s: %" PRId64 " of %" PRId64 " images, %.3g a second", fid->measuring, upto, fid->images,
            rate);
    fid->drawn = true;
}

static void on_metric(void *ctx, double done)
{
    Fid *fid = ctx;
    Mono now = mono_ms();
    if (!fid->terminal || now - fid->last < FRAME_MS)
        return;
    fid->last = now;
    fprintf(stderr, "\r\033[Kcomparing: %.0f%%", 100 * done);
    fid->drawn = true;
}

static bool on_stop(void *ctx)
{
    (void)ctx;
    return interrupted;
}

/* Takes the text over. A file's name in it may hold anything; err_set makes one line of it. */
static void note(Fid *fid, char *text)
{
    Err line = {0};
    if (!text)
        return;
    err_set(&line, ERR_USAGE, "%s", text);
    clear_line(fid);
    if (!fid->options.quiet)
        fprintf(stderr, "ddq fid: %s\n", line.text);
    cJSON_AddItemToArray(fid->notes, cJSON_CreateString(line.text));
    free(text);
}

/* --- what is compared, with what -------------------------------------------------------------------- */

static bool configuration(Fid *fid, Err *err)
{
    return fid->conf || conf_load(fid->options.conf, &fid->conf, err);
}

/* A path, or the name of a reference of the configuration where no such path is. */
static bool find_side(Fid *fid, int side, Err *err)
{
    const char *word = fid->options.paths[side];
    const ConfReference *named = NULL;
    if (access(word, F_OK) != 0 && !strchr(word, '/')) {
        if (!configuration(fid, err))
            return false;
        named = conf_reference(fid->conf, word);
    }
    if (named && named->inception && !fid->inception)
        fid->inception = named->inception;
    fid->paths[side] = xstrdup(named ? conf_reference_path(named) : word);
    return reference_look(fid->paths[side], &fid->looks[side], err);
}

static bool find_weights(Fid *fid, Err *err)
{
    if (fid->inception)
        return true;
    if (!configuration(fid, err))
        return false;
    fid->inception = fid->conf->inception;
    return fid->inception ||
           err_set(err, ERR_NOT_FOUND,
                   "no Inception weights to measure images with: give --inception FILE "
                   "(pt_inception-2015-12-05-6726825d.pth), or name it once in ddq.conf: [inception] weights = FILE");
}

/* What was asked for, else what a file says of itself, else pytorch-fid's. */
static Resize choose_pipeline(const Fid *fid)
{
    if (fid->options.pipeline != PIPELINE_AUTO)
        return fid->options.pipeline == PIPELINE_TF ? RESIZE_TF : RESIZE_PT;
    for (int side = 0; side < 2; side++)
        if (fid->looks[side].pipeline)
            return strcmp(fid->looks[side].pipeline, "tf") == 0 ? RESIZE_TF : RESIZE_PT;
    return RESIZE_PT;
}

/* "cuda:1" of PyTorch is the second GPU; without a word the first GPU, else the CPU. */
static char *choose_device(const char *asked)
{
    DeviceInfo infos[DEVICES_MAX];
    int count = backend_devices(infos, DEVICES_MAX), gpu = 0;
    long wanted = asked && strncmp(asked, "cuda:", 5) == 0 ? strtol(asked + 5, NULL, 10) : 0;
    if (asked && strncmp(asked, "cuda:", 5) != 0)
        return xstrdup(asked);
    for (int i = 0; i < count; i++)
        if (strcmp(infos[i].uuid, "cpu") != 0 && gpu++ == wanted)
            return xstrdup(infos[i].uuid);
    return xstrdup(asked ? asked : "cpu");
}

static bool measure_side(Fid *fid, int side, Err *err)
{
    unsigned wants = fid_numbers_want(&fid->options, side);
    ReferenceMaker maker = {.shop = fid->shop,
                            .inception = fid->inception,
                            .precision = PRECISION_FP32,
                            .level = fid->options.level,
                            .batch = fid->options.batch,
                            .cache = fid->options.cache,
                            .hooks = &fid->hooks};
    Err name;
    err_set(&name, ERR_USAGE, "%s", fid->paths[side]);
    snprintf(fid->measuring, sizeof fid->measuring, "%.255s", name.text);
    fid->images = fid->looks[side].images;
    bool good = reference_open(fid->paths[side], fid->pipeline, wants, &maker, &fid->sides[side], err);
    clear_line(fid);
    return good;
}

/* Statistics first: what is wrong with them is known before an hour of measuring. */
static bool measure_sides(Fid *fid, Err *err)
{
    for (int images = 0; images < 2; images++)
        for (int side = 0; side < 2; side++)
            if ((fid->looks[side].kind != REFERENCE_STATISTICS) == images && !measure_side(fid, side, err))
                return false;
    return true;
}

static bool prepare(Fid *fid, int sides, Err *err)
{
    bool images = false;
    for (int side = 0; side < sides; side++) {
        if (!find_side(fid, side, err))
            return false;
        images = images || fid->looks[side].kind != REFERENCE_STATISTICS ||
                 (fid->looks[side].has_images && fid_numbers_want(&fid->options, side) & REFERENCE_FEATURES);
    }
    if (images && !find_weights(fid, err))
        return false;
    fid->pipeline = choose_pipeline(fid);
    fid->device = choose_device(fid->options.device);
    fid->shop = workshop_new(fid->device, fid->options.threads);
    return true;
}

/* --- what one should know ----------------------------------------------------------------------------- */

/* Whoever names the pipeline knows it. */
static void note_doubts(Fid *fid, int side)
{
    if (fid->options.pipeline == PIPELINE_AUTO || fid->sides[side].pipeline)
        note(fid, reference_doubt(&fid->sides[side], fid->pipeline));
}

static void note_all(Fid *fid)
{
    const Reference *a = &fid->sides[0];
    if (fid->options.num_workers)
        note(fid, xstrdup("--num-workers is ignored: images are read as fast as the network takes them"));
    for (int side = 0; side < 2; side++)
        note_doubts(fid, side);
    if (a->weights[0] && fid->sides[1].weights[0] && strcmp(a->weights, fid->sides[1].weights) != 0)
        note(fid, xstrdup("the two sides were measured with different Inception weights: the number compares nothing"));
}

/* --- what is printed -------------------------------------------------------------------------------- */

static cJSON *side_json(const Reference *side)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", side->path);
    cJSON_AddStringToObject(json, "kind", reference_kind_name(side->kind));
    cJSON_AddStringToObject(json, "sha256", side->sha256);
    if (side->images)
        cJSON_AddNumberToObject(json, "images", (double)side->images);
    if (side->pipeline)
        cJSON_AddStringToObject(json, "pipeline", side->pipeline);
    if (side->weights[0])
        cJSON_AddStringToObject(json, "inception", side->weights);
    return json;
}

static void print_json(const Fid *fid, const FidNumbers *numbers)
{
    cJSON *json = cJSON_CreateObject();
    for (int i = 0; i < numbers->count; i++) {
        char number[32];
        report_number(numbers->items[i].value, number);
        if (isfinite(numbers->items[i].value))
            cJSON_AddRawToObject(json, numbers->items[i].key, number);
    }
    cJSON_AddStringToObject(json, "pipeline", pipeline_name(fid->pipeline));
    cJSON_AddNumberToObject(json, "dims", fid->sides[0].stats->dim);
    cJSON_AddItemToObject(json, "generated", side_json(&fid->sides[0]));
    cJSON_AddItemToObject(json, "reference", side_json(&fid->sides[1]));
    cJSON_AddItemToObject(json, "warnings", cJSON_Duplicate(fid->notes, true));
    cJSON_AddStringToObject(json, "like", fid->options.like == LIKE_PYTORCH_FID ? "pytorch-fid" : "exact");
    cJSON_AddStringToObject(json, "device", fid->device);
    cJSON_AddStringToObject(json, "version", DDQ_VERSION);
    char *text = cJSON_PrintUnformatted(json);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
}

static void print_lines(const FidNumbers *numbers)
{
    for (int i = 0; i < numbers->count; i++) {
        char number[32];
        report_number(numbers->items[i].value, number);
        if (numbers->items[i].label)
            printf("%s:  %s\n", numbers->items[i].label, number);
    }
}

/* --- the two stories -------------------------------------------------------------------------------- */

static bool compare_sides(Fid *fid, Err *err)
{
    FidNumbers numbers = {.count = 0};
    const MetricHooks metric_hooks = {.ctx = fid, .stop = on_stop, .progress = on_metric};
    if (!prepare(fid, 2, err) || !measure_sides(fid, err))
        return false;
    if (!fid_numbers(&fid->options, fid->sides, NULL, &metric_hooks, &numbers, err))
        return false;
    clear_line(fid);
    note_all(fid);
    if (fid->options.json)
        print_json(fid, &numbers);
    else
        print_lines(&numbers);
    return true;
}

static bool save_stats(Fid *fid, Err *err)
{
    const char *to = fid->options.paths[1];
    size_t len = strlen(to);
    if (len < 5 || strcmp(to + len - 4, ".npz") != 0)
        return err_set(err, ERR_USAGE, "%s: statistics are written as .npz", to);
    if (access(to, F_OK) == 0)
        return err_set(err, ERR_REFUSED, "%s is there already; nothing is overwritten", to);
    if (!prepare(fid, 1, err) || !measure_side(fid, 0, err))
        return false;
    note_doubts(fid, 0);
    return reference_save(to, &fid->sides[0], err);
}

int fid_command(int argc, char **argv)
{
    Fid fid = {.terminal = isatty(STDERR_FILENO), .notes = cJSON_CreateArray()};
    Err err = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    fid.hooks = (RunHooks){.ctx = &fid, .progress = on_progress, .stop = on_stop};
    bool good = fid_options_parse(argc, argv, &fid.options, &err);
    if (good) {
        fid.terminal = fid.terminal && !fid.options.quiet;
        fid.inception = fid.options.inception;
        good = fid.options.save_stats ? save_stats(&fid, &err) : compare_sides(&fid, &err);
    }
    clear_line(&fid);
    if (!good)
        fprintf(stderr, "ddq fid: %s\n", err.text);
    for (int side = 0; side < 2; side++) {
        reference_close(&fid.sides[side]);
        free(fid.paths[side]);
    }
    workshop_free(fid.shop);
    conf_free(fid.conf);
    cJSON_Delete(fid.notes);
    free(fid.device);
    if (good && fflush(stdout) != 0)
        return EXIT_ERROR;
    return good ? EXIT_OK : interrupted ? EXIT_INTERRUPTED : err_exit_code(err.kind);
}
