/* Two slots, sampler and Inception, each with the key of what is in it. */
#include "worker/models/model_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"

struct Workshop {
    char *device;
    int threads;
    char *cache;
    Backend *backends[PREC_BF16 + 1]; /* by precision, opened when first wanted */
    char device_name[128];
    Sampler *sampler, *spare;
    char *sampler_key, *sampler_key_without_teacher, *spare_key, *main_file;
    Inception *inception;
    char *inception_key;
    ImageSource *source;
    char *source_key;
};

Workshop *workshop_new(const char *device, int threads)
{
    Workshop *shop = xcalloc(1, sizeof *shop);
    shop->device = xstrdup(device);
    shop->threads = threads;
    return shop;
}

static void drop_spare(Workshop *shop)
{
    sampler_close(shop->spare);
    free(shop->spare_key);
    shop->spare = NULL;
    shop->spare_key = NULL;
}

static void drop_sampler(Workshop *shop)
{
    drop_spare(shop);
    sampler_close(shop->sampler);
    free(shop->sampler_key);
    free(shop->sampler_key_without_teacher);
    free(shop->main_file);
    shop->sampler = NULL;
    shop->sampler_key = shop->sampler_key_without_teacher = shop->main_file = NULL;
}

static void drop_inception(Workshop *shop)
{
    if (shop->inception)
        inception_close(shop->inception);
    free(shop->inception_key);
    shop->inception = NULL;
    shop->inception_key = NULL;
}

static void drop_source(Workshop *shop)
{
    image_source_close(shop->source);
    free(shop->source_key);
    shop->source = NULL;
    shop->source_key = NULL;
}

void workshop_free(Workshop *shop)
{
    if (!shop)
        return;
    drop_sampler(shop);
    drop_inception(shop);
    drop_source(shop);
    for (size_t i = 0; i < countof(shop->backends); i++)
        backend_close(shop->backends[i]);
    free(shop->device);
    free(shop->cache);
    free(shop);
}

void workshop_set_cache(Workshop *shop, const char *folder)
{
    free(shop->cache);
    shop->cache = folder ? xstrdup(folder) : NULL;
}

const char *workshop_cache(const Workshop *shop)
{
    return shop->cache;
}

/* --- the device ------------------------------------------------------------------------------------ */

const char *workshop_device(const Workshop *shop)
{
    return shop->device;
}

bool workshop_is_host(const Workshop *shop)
{
    return strcmp(shop->device, "cpu") == 0;
}

const char *workshop_device_name(const Workshop *shop)
{
    return shop->device_name;
}

bool workshop_serves(const Workshop *shop, const char *device, Err *err)
{
    bool any_gpu = !workshop_is_host(shop) && strcmp(device, "cuda") == 0;
    bool only_gpu = strcmp(shop->device, "cuda") == 0 && strcmp(device, "cpu") != 0; /* a worker sees one GPU alone */
    if (any_gpu || only_gpu || strcmp(device, shop->device) == 0)
        return true;
    return err_set(err, ERR_USAGE, "the job wants the device %s, and this worker runs on %s", device, shop->device);
}

Backend *workshop_backend(Workshop *shop, Precision precision, Err *err)
{
    if (!shop->backends[precision]) {
        shop->backends[precision] = backend_open(shop->device, precision, shop->threads, err);
        if (shop->backends[precision])
            memcpy(shop->device_name, backend_device(shop->backends[precision])->name, sizeof shop->device_name);
    }
    return shop->backends[precision];
}

Precision workshop_precision(const Workshop *shop, JobPrecision precision)
{
    static const Precision said[] = {[PRECISION_FP32] = PREC_F32,
                                     [PRECISION_TF32] = PREC_TF32,
                                     [PRECISION_FP16] = PREC_F16,
                                     [PRECISION_BF16] = PREC_BF16};
    if (precision == PRECISION_AUTO)
        return workshop_is_host(shop) ? PREC_F32 : PREC_F16;
    return said[precision];
}

Precision workshop_feature_precision(const Workshop *shop, JobPrecision precision)
{
    Precision said = workshop_precision(shop, precision);
    if (said == PREC_F32 || said == PREC_TF32)
        return said;
    return workshop_is_host(shop) ? PREC_F32 : PREC_TF32;
}

const char *precision_name(Precision precision)
{
    static const char *const names[] = {
        [PREC_F32] = "fp32", [PREC_TF32] = "tf32", [PREC_F16] = "fp16", [PREC_BF16] = "bf16"};
    return names[precision];
}

/* --- the models ------------------------------------------------------------------------------------ */

/* "path:inode:size:mtime;" — a file that is not there has a key too; opening it says the rest. */
static void key_add(Buf *key, const char *path)
{
    struct stat st = {0};
    if (path && stat(path, &st) == 0)
        buf_printf(key, "%s:%" PRIu64 ":%" PRId64 ":%" PRId64 ".%09ld;", path, (uint64_t)st.st_ino, (int64_t)st.st_size,
                   (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    else
        buf_printf(key, "%s;", path ? path : "");
}

static char *key_of(const SamplerFiles *files, const char *teacher, Precision precision)
{
    Buf key = {0};
    key_add(&key, files->student);
    key_add(&key, files->tokenizer);
    key_add(&key, teacher);
    buf_printf(&key, "%d;%d;%d", files->heads, files->grid, precision);
    return key.data;
}

Sampler *workshop_sampler(Workshop *shop, const SamplerFiles *files, Precision precision, bool *ret_warm, Err *err)
{
    char *key = key_of(files, files->teacher, precision), *without = key_of(files, NULL, precision);
    bool warm = shop->sampler && (strcmp(key, shop->sampler_key) == 0 ||
                                  (!files->teacher && strcmp(without, shop->sampler_key_without_teacher) == 0));
    if (ret_warm)
        *ret_warm = warm;
    if (warm) {
        free(key);
        free(without);
        return shop->sampler;
    }
    drop_sampler(shop); /* first: two sets need not fit */
    Backend *be = workshop_backend(shop, precision, err);
    shop->sampler = be ? sampler_open(files, be, err) : NULL;
    shop->sampler_key = key;
    shop->sampler_key_without_teacher = without;
    shop->main_file = xstrdup(files->student ? files->student : files->teacher);
    if (!shop->sampler)
        drop_sampler(shop);
    return shop->sampler;
}

Sampler *workshop_spare(Workshop *shop, const SamplerFiles *files, Err *err)
{
    char *key = key_of(files, files->teacher, PREC_BF16);
    if (!shop->spare || strcmp(key, shop->spare_key) != 0) {
        drop_spare(shop);
        Backend *be = workshop_backend(shop, PREC_BF16, err);
        shop->spare = be ? sampler_open(files, be, err) : NULL;
        shop->spare_key = xstrdup(key);
    }
    free(key);
    return shop->spare;
}

Inception *workshop_inception(Workshop *shop, const char *path, Precision precision, bool *ret_warm, Err *err)
{
    Buf key = {0};
    key_add(&key, path);
    buf_printf(&key, "%d", precision);
    bool warm = shop->inception && strcmp(key.data, shop->inception_key) == 0;
    if (ret_warm)
        *ret_warm = warm;
    if (warm) {
        buf_free(&key);
        return shop->inception;
    }
    drop_inception(shop);
    Backend *be = workshop_backend(shop, precision, err);
    shop->inception = be ? inception_open(path, be, err) : NULL;
    shop->inception_key = key.data;
    if (!shop->inception)
        drop_inception(shop);
    return shop->inception;
}

char *workshop_warm(const Workshop *shop)
{
    cJSON *list = cJSON_CreateArray();
    if (shop->main_file)
        cJSON_AddItemToArray(list, cJSON_CreateString(shop->main_file));
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

ImageSource *workshop_source(Workshop *shop, const char *job, const char *path, Err *err)
{
    char *key = xasprintf("%s\n%s", job, path);
    if (shop->source && strcmp(shop->source_key, key) == 0 && image_source_fresh(shop->source)) {
        free(key);
        return shop->source;
    }
    drop_source(shop);
    shop->source = image_source_open(path, err);
    if (shop->source)
        shop->source_key = key;
    else
        free(key);
    return shop->source;
}
