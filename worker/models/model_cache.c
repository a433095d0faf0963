/* Slots: the model, the same in bf16, Inception and a source of images, each with the key of what is in it. */
#include "worker/models/model_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"

typedef struct Slot {
    Model *model;            /* NULL: empty, as is all the rest */
    char *key;               /* family, sizes, precision */
    char *keys[MODEL_ROLES]; /* of the files */
    char *main_file;
} Slot;

struct ModelCache {
    char *device;
    int threads;
    char *folder;
    Backend *backends[PREC_BF16 + 1]; /* by precision, opened when first wanted */
    char device_name[128];
    Slot model, spare;
    Inception *inception;
    char *inception_key;
    ImageSource *source;
    char *source_key;
};

ModelCache *model_cache_new(const char *device, int threads)
{
    ModelCache *models = xcalloc(1, sizeof *models);
    models->device = xstrdup(device);
    models->threads = threads;
    return models;
}

static void drop_slot(Slot *slot)
{
    model_close(slot->model);
    free(slot->key);
    free(slot->main_file);
    for (int i = 0; i < MODEL_ROLES; i++)
        free(slot->keys[i]);
    *slot = (Slot){0};
}

static void drop_models(ModelCache *models)
{
    drop_slot(&models->spare);
    drop_slot(&models->model);
}

static void drop_inception(ModelCache *models)
{
    if (models->inception)
        inception_close(models->inception);
    free(models->inception_key);
    models->inception = NULL;
    models->inception_key = NULL;
}

static void drop_source(ModelCache *models)
{
    image_source_close(models->source);
    free(models->source_key);
    models->source = NULL;
    models->source_key = NULL;
}

void model_cache_free(ModelCache *models)
{
    if (!models)
        return;
    drop_models(models);
    drop_inception(models);
    drop_source(models);
    for (size_t i = 0; i < countof(models->backends); i++)
        backend_close(models->backends[i]);
    free(models->device);
    free(models->folder);
    free(models);
}

void model_cache_set_folder(ModelCache *models, const char *folder)
{
    free(models->folder);
    models->folder = folder ? xstrdup(folder) : NULL;
}

const char *model_cache_folder(const ModelCache *models)
{
    return models->folder;
}

/* --- the device ------------------------------------------------------------------------------------ */

const char *model_cache_device(const ModelCache *models)
{
    return models->device;
}

bool model_cache_is_host(const ModelCache *models)
{
    return strcmp(models->device, "cpu") == 0;
}

const char *model_cache_device_name(const ModelCache *models)
{
    return models->device_name;
}

bool model_cache_serves(const ModelCache *models, const char *device, Err *err)
{
    bool any_gpu = !model_cache_is_host(models) && strcmp(device, "cuda") == 0;
    bool only_gpu = strcmp(models->device, "cuda") == 0 && strcmp(device, "cpu") != 0; /* a worker sees only one GPU */
    if (any_gpu || only_gpu || strcmp(device, models->device) == 0)
        return true;
    return err_set(err, ERR_USAGE, "the job wants the device %s, and this worker runs on %s", device, models->device);
}

Backend *model_cache_backend(ModelCache *models, Precision precision, Err *err)
{
    if (!models->backends[precision]) {
        models->backends[precision] = backend_open(models->device, precision, models->threads, err);
        if (models->backends[precision])
            memcpy(models->device_name, backend_device(models->backends[precision])->name, sizeof models->device_name);
    }
    return models->backends[precision];
}

Precision model_cache_precision(const ModelCache *models, JobPrecision precision)
{
    static const Precision named[] = {[PRECISION_FP32] = PREC_F32,
                                      [PRECISION_TF32] = PREC_TF32,
                                      [PRECISION_FP16] = PREC_F16,
                                      [PRECISION_BF16] = PREC_BF16};
    if (precision == PRECISION_AUTO)
        return model_cache_is_host(models) ? PREC_F32 : PREC_F16;
    return named[precision];
}

Precision model_cache_feature_precision(const ModelCache *models, JobPrecision precision)
{
    Precision chosen = model_cache_precision(models, precision);
    if (chosen == PREC_F32 || chosen == PREC_TF32)
        return chosen;
    return model_cache_is_host(models) ? PREC_F32 : PREC_TF32;
}

const char *precision_name(Precision precision)
{
    static const char *const names[] = {
        [PREC_F32] = "fp32", [PREC_TF32] = "tf32", [PREC_F16] = "fp16", [PREC_BF16] = "bf16"};
    return names[precision];
}

/* --- the models ------------------------------------------------------------------------------------ */

/* "path:inode:size:mtime:ctime;" — a missing file has a key too; opening it fails with the reason. */
static void key_add(Buf *key, const char *path)
{
    struct stat st = {0};
    if (path && stat(path, &st) == 0)
        buf_printf(key, "%s:%" PRIu64 ":%" PRId64 ":%" PRId64 ".%09ld:%" PRId64 ".%09ld;", path, (uint64_t)st.st_ino,
                   (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec,
                   st.st_ctim.tv_nsec);
    else
        buf_printf(key, "%s;", path ? path : "");
}

/* The keys only: no model yet. */
static Slot slot_of(const Family *family, const ModelFiles *files, Precision precision)
{
    Slot slot = {.key = xasprintf("%s;%d;%d;%d", family->name, files->heads, files->grid, precision)};
    for (int i = 0; i < MODEL_ROLES; i++) {
        Buf key = {0};
        if (files->files[i]) {
            key_add(&key, files->files[i]);
            buf_printf(&key, "%s", files->parts[i] ? files->parts[i] : "");
        }
        slot.keys[i] = key.data;
    }
    slot.main_file = xstrdup(model_main_file(files->files));
    return slot;
}

/* A model with more files than wanted serves too: what it computes does not depend on a file that is not used. */
static bool serves(const Slot *slot, const Slot *wanted)
{
    bool same = slot->model && strcmp(slot->key, wanted->key) == 0;
    for (int i = 0; same && i < MODEL_ROLES; i++)
        same = !wanted->keys[i] || (slot->keys[i] && strcmp(slot->keys[i], wanted->keys[i]) == 0);
    return same;
}

static void fill(ModelCache *models, Slot *slot, Slot *wanted, const Family *family, const ModelFiles *files,
                 Precision precision, Err *err)
{
    Backend *be = model_cache_backend(models, precision, err);
    wanted->model = be ? family->open(files, be, err) : NULL;
    if (!wanted->model)
        drop_slot(wanted);
    *slot = *wanted;
}

Model *model_cache_model(ModelCache *models, const Family *family, const ModelFiles *files, Precision precision,
                         bool *ret_warm, Err *err)
{
    Slot wanted = slot_of(family, files, precision);
    bool warm = serves(&models->model, &wanted);
    if (ret_warm)
        *ret_warm = warm;
    if (warm) {
        drop_slot(&wanted);
    } else {
        drop_models(models); /* first: two models may not fit */
        fill(models, &models->model, &wanted, family, files, precision, err);
    }
    return models->model.model;
}

Model *model_cache_spare(ModelCache *models, const Family *family, const ModelFiles *files, Err *err)
{
    Slot wanted = slot_of(family, files, PREC_BF16);
    if (serves(&models->spare, &wanted)) {
        drop_slot(&wanted);
    } else {
        drop_slot(&models->spare);
        fill(models, &models->spare, &wanted, family, files, PREC_BF16, err);
    }
    return models->spare.model;
}

Inception *model_cache_inception(ModelCache *models, const char *path, Precision precision, bool *ret_warm, Err *err)
{
    Buf key = {0};
    key_add(&key, path);
    buf_printf(&key, "%d", precision);
    bool warm = models->inception && strcmp(key.data, models->inception_key) == 0;
    if (ret_warm)
        *ret_warm = warm;
    if (warm) {
        buf_free(&key);
        return models->inception;
    }
    drop_inception(models);
    Backend *be = model_cache_backend(models, precision, err);
    models->inception = be ? inception_open(path, be, err) : NULL;
    models->inception_key = key.data;
    if (!models->inception)
        drop_inception(models);
    return models->inception;
}

const Inception *model_cache_loaded_inception(const ModelCache *models)
{
    return models->inception;
}

char *model_cache_warm(const ModelCache *models)
{
    cJSON *list = cJSON_CreateArray();
    if (models->model.main_file)
        cJSON_AddItemToArray(list, cJSON_CreateString(models->model.main_file));
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

ImageSource *model_cache_source(ModelCache *models, const char *job, const char *path, Err *err)
{
    char *key = xasprintf("%s\n%s", job, path);
    if (models->source && strcmp(models->source_key, key) == 0 && image_source_fresh(models->source)) {
        free(key);
        return models->source;
    }
    drop_source(models);
    models->source = image_source_open(path, err);
    if (models->source)
        models->source_key = key;
    else
        free(key);
    return models->source;
}
