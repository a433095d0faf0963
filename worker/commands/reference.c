/* The verb behind `ddq refs add` and `ddq refs make --local`: the client does no mathematics and runs this.
 *
 *     ddq-worker reference PATH [--faults]                           probe, load and check: JSON, also of what is wrong
 *     ... --register FOLDER --name NAME --user USER [--replace]      and write the entry: JSON of it
 *     ... --measure [--spatial]                                      images become statistics first
 */
#include "worker/commands/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "worker/commands/tool.h"
#include "worker/evaluate/reference_register.h"
#include "worker/files/map.h"
#include "worker/models/model_cache.h"

const Flag reference_flags[] = {
    {"faults", 0, NULL, "print an error as JSON too: {\"fault\": TEXT}"},
    {"register", 0, "FOLDER", "write an entry into this folder of references; needs --name and --user"},
    {"name", 0, "NAME", "the name of the entry"},
    {"user", 0, "USER", "the owner of the entry"},
    {"replace", 0, NULL, "replace an entry of the same name and owner"},
    {"measure", 0, NULL, "measure the images and register their statistics"},
    {"spatial", 0, NULL, "measure the statistics for sFID too"},
    {"pipeline", 0, "P", "pt or tf: how the images are resized"},
    {"inception", 0, "FILE",
     "the network that the reference was or is measured with; default: what the file states, those of [inception] in "
     "ddq.conf"},
    {"conf", 0, "FILE", "read this configuration file"},
    {"cache", 0, "DIR", "cache of measured images"},
    {"device", 0, "D", "device that measures: cpu, cuda, cuda:N or a GPU's UUID"},
    {"quiet", 'q', NULL, "print no messages"},
    {NULL, 0, NULL, NULL},
};

typedef struct Words {
    const char *path, *pipeline, *folder, *name, *user, *inception, *conf, *cache, *device;
    bool replace, measure, spatial, faults;
} Words;

static bool read_words(const CommandLine *line, Words *ret_words, Err *err)
{
    static const char *const pipelines[] = {"pt", "tf", NULL};
    int pipeline;
    *ret_words = (Words){.path = line->args[0],
                         .pipeline = flags_value(line, "pipeline"),
                         .folder = flags_value(line, "register"),
                         .name = flags_value(line, "name"),
                         .user = flags_value(line, "user"),
                         .inception = flags_value(line, "inception"),
                         .conf = flags_value(line, "conf"),
                         .cache = flags_value(line, "cache"),
                         .device = flags_value(line, "device"),
                         .replace = flags_has(line, "replace"),
                         .measure = flags_has(line, "measure"),
                         .spatial = flags_has(line, "spatial"),
                         .faults = flags_has(line, "faults")};
    if (!flags_choice(line, "pipeline", pipelines, &pipeline, err))
        return false;
    return !ret_words->folder || (ret_words->name && ret_words->user) ||
           err_set(err, ERR_USAGE, "--register needs --name and --user");
}

/* --- the answer ------------------------------------------------------------------------------------- */

static cJSON *describe(const Words *words, const ReferenceProbe *probe, const char *sha256, int dims, int64_t images,
                       const char *pipeline)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", words->path);
    cJSON_AddStringToObject(json, "kind", reference_kind_name(probe->kind));
    cJSON_AddStringToObject(json, "sha256", sha256);
    if (images)
        cJSON_AddNumberToObject(json, "images", (double)images);
    if (dims)
        cJSON_AddNumberToObject(json, "dims", dims);
    if (pipeline)
        cJSON_AddStringToObject(json, "pipeline", pipeline);
    cJSON_AddBoolToObject(json, "features", probe->has_images);
    cJSON_AddBoolToObject(json, "spatial", probe->has_spatial || probe->kind != REFERENCE_STATISTICS);
    return json;
}

static void print(cJSON *json)
{
    char *text = json_print(json, false);
    puts(text);
    free(text);
    cJSON_Delete(json);
}

/* --- the kinds -------------------------------------------------------------------------------------- */

static void note_images(Tool *tool, const char *path, const char *caveat)
{
    if (caveat)
        tool_note(tool, xasprintf("%s: %s", path, caveat));
}

/* --inception with a file of statistics states the network that they were made with. */
static bool state_network(const char *inception, Reference *reference, Err *err)
{
    char hash[65];
    if (!inception)
        return true;
    if (!file_sha256(inception, hash, err))
        return err_wrap(err, "--inception");
    if (*reference->weights && strcmp(reference->weights, hash) != 0)
        return err_set(err, ERR_USAGE,
                       "reference %s: it states the network of sha256 %.12s, and --inception %s has %.12s; leave "
                       "--inception out, or name the network that it was made with",
                       reference->path, reference->weights, inception, hash);
    memcpy(reference->weights, hash, sizeof hash);
    return true;
}

/* Statistics to copy: those of a file, or of images that are measured now. With --pipeline the user states the pipeline
 * of a file that does not. */
static bool take_statistics(Tool *tool, const Words *words, const ReferenceProbe *probe,
                            const Registration *registration, cJSON **ret_json, Err *err)
{
    bool images = probe->kind != REFERENCE_STATISTICS;
    const char *stated = words->pipeline ? words->pipeline : probe->pipeline;
    const char *inception = words->inception;
    Resize pipeline = stated && strcmp(stated, "tf") == 0 ? RESIZE_TF : RESIZE_PT;
    Reference reference = {.path = NULL};
    if (images && !tool_weights(tool, words->conf, &inception, err))
        return false;
    char *device = tool_device(words->device);
    ModelCache *models = model_cache_new(device, 0);
    ReferenceOptions options = {.models = models,
                                .inception = inception,
                                .precision = PRECISION_FP32,
                                .cache = words->cache,
                                .hooks = &tool->hooks};
    tool_measures(tool, words->path, probe->images);
    bool good = reference_open(words->path, pipeline, images && words->spatial ? REFERENCE_SPATIAL : 0, &options,
                               &reference, err);
    tool_clear(tool);
    if (good)
        note_images(tool, words->path, reference.image_caveat);
    if (good && !reference.pipeline && stated)
        reference.pipeline = pipeline_name(pipeline);
    good = good && (images || state_network(words->inception, &reference, err));
    if (good && !registration)
        *ret_json =
            describe(words, probe, reference.sha256, reference.stats->dim, reference.images, reference.pipeline);
    else if (good)
        good = reference_register_copy(registration, &reference, words->path, ret_json, err);
    reference_close(&reference);
    model_cache_free(models);
    free(device);
    return good;
}

/* Statistics with images are loaded too, so that a bad file is an error here and not in the first job. */
static bool take_path(Tool *tool, const Words *words, ReferenceProbe *probe, const Registration *registration,
                      cJSON **ret_json, Err *err)
{
    char sha256[65], network[65] = "";
    const char *pipeline = probe->pipeline ? probe->pipeline : words->pipeline;
    Reference reference = {.path = NULL};
    bool statistics = probe->kind == REFERENCE_STATISTICS, good;
    if (statistics) {
        Resize resize = pipeline && strcmp(pipeline, "tf") == 0 ? RESIZE_TF : RESIZE_PT;
        good = reference_open(words->path, resize, 0, NULL, &reference, err);
        if (good)
            memcpy(sha256, reference.sha256, sizeof sha256);
    } else {
        ReferenceImages images = {.images = 0};
        tool_measures(tool, words->path, probe->images);
        good = reference_name_images(words->path, words->cache, &tool->hooks, &images, err);
        tool_clear(tool);
        memcpy(sha256, images.sha256, sizeof sha256);
        probe->images = images.images;
        note_images(tool, words->path, images.caveat);
        free(images.caveat);
        if (good && probe->images < 2)
            good = err_set(err, ERR_FORMAT, "images %s: one image has no covariance; a reference needs at least 2",
                           words->path);
    }
    if (good && !registration)
        *ret_json = describe(words, probe, sha256, probe->dim, probe->images, pipeline);
    else if (good)
        good = (!words->inception || file_sha256(words->inception, network, err)) &&
               reference_register_path(registration, words->path, probe, sha256, pipeline, network, ret_json, err);
    reference_close(&reference);
    return good;
}

static bool check_pipeline(const Words *words, const ReferenceProbe *probe, Err *err)
{
    if (!words->pipeline || !probe->pipeline || strcmp(words->pipeline, probe->pipeline) == 0)
        return true;
    return err_set(err, ERR_USAGE, "reference %s: made with the %s pipeline, and --pipeline is %s", words->path,
                   probe->pipeline, words->pipeline);
}

static bool answer(Tool *tool, const Words *words, cJSON **ret_json, int64_t *ret_left_out, Err *err)
{
    ReferenceProbe probe;
    Registration registration = {
        .folder = words->folder, .name = words->name, .user = words->user, .replace = words->replace};
    const Registration *wanted = words->folder ? &registration : NULL;
    if (!reference_probe(words->path, &probe, err) || !check_pipeline(words, &probe, err))
        return false;
    if (probe.kind != REFERENCE_STATISTICS)
        *ret_left_out = probe.left_out;
    if (words->measure || !probe.has_images)
        return take_statistics(tool, words, &probe, wanted, ret_json, err);
    return take_path(tool, words, &probe, wanted, ret_json, err);
}

int reference_command(const CommandLine *line)
{
    Tool tool;
    Words words = {.path = NULL};
    Err err = {0};
    cJSON *json = NULL;
    int64_t left_out = -1; /* of images */
    tool_open(&tool, "ddq refs");
    tool.quiet = flags_has(line, "quiet");
    bool good = read_words(line, &words, &err);
    good = good && answer(&tool, &words, &json, &left_out, &err);
    if (!good && words.faults) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "fault", err.text);
        good = true;
    }
    if (good && left_out >= 0)
        cJSON_AddNumberToObject(json, "left_out", (double)left_out);
    if (good && cJSON_GetArraySize(tool.notes))
        cJSON_AddItemToObject(json, "warnings", cJSON_Duplicate(tool.notes, true));
    if (good)
        print(json);
    return tool_close(&tool, good, &err);
}
