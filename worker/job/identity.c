/* Fields come from the spec's own JSON; their role in the table of job fields (spec/jobspec.c) says in which identity
 * they are. */
#include "worker/job/identity.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "spec/jobtraits.h"
#include "spec/model.h"
#include "worker/evaluate/pipeline.h"
#include "worker/files/map.h"
#include "worker/images/images.h"

static void hex_of(const char *text, char ret_hex[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static void hex_of_json(const cJSON *object, char ret_hex[65])
{
    char *text = cJSON_PrintUnformatted(object);
    hex_of(text, ret_hex);
    cJSON_free(text);
}

static bool add_file(Identity *identity, const char *field, const char *path, Err *err)
{
    if (!path)
        return true;
    IdentityInput *input = &identity->inputs[identity->count];
    *input = (IdentityInput){.field = field, .path = path};
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "%s %s", field, path);
    if (!file_sha256(path, input->sha256, err))
        return err_wrap(err, "%s", field);
    input->bytes = st.st_size;
    identity->count++;
    return true;
}

/* A folder of images is named by the names, sizes and times of its files; its pixels are hashed while they are
 * measured. */
static void add_listing(Identity *identity, const char *field, const char *path, const ImageSource *source)
{
    Buf listing = {0};
    int64_t bytes;
    image_source_listing(source, &listing, &bytes);
    IdentityInput *input = &identity->inputs[identity->count++];
    *input = (IdentityInput){.field = field, .path = path, .bytes = bytes};
    hex_of(listing.data, input->sha256);
    buf_free(&listing);
}

/* A file, or a folder: of images, or with statistic.pth in it, which is then the file. opened: the images, where they
 * are open already. */
static bool add_images(Identity *identity, const char *field, const char *path, const ImageSource *opened, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "%s %s", field, path);
    if (!S_ISDIR(st.st_mode))
        return add_file(identity, field, path, err);
    char *statistics = xasprintf("%s/statistic.pth", path);
    bool good = true, is_file = !opened && stat(statistics, &st) == 0;
    if (is_file && (good = add_file(identity, field, statistics, err)))
        identity->inputs[identity->count - 1].path = path;
    free(statistics);
    if (is_file)
        return good;
    ImageSource *own = opened ? NULL : image_source_open(path, err);
    if (!opened && !own)
        return err_wrap(err, "%s", field);
    add_listing(identity, field, path, opened ? opened : own);
    image_source_close(own);
    return true;
}

static bool add_inputs(const JobSpec *spec, const ImageSource *source, Identity *identity, Err *err)
{
    const ModelFamily *family = model_family(spec->family);
    for (ModelRole role = 0; family && role < MODEL_ROLES; role++)
        if (family->use(spec, role) != FILE_UNUSED &&
            !add_file(identity, model_role_name(role), spec->files[role], err))
            return false;
    const char *field, *path;
    char **place;
    for (int i = 0; (place = jobspec_path(spec, FORM_EXEC, READS_FILE | READS_IMAGES, i, &field)); i++)
        if ((path = *place) && !(jobspec_field_has(field, READS_IMAGES)
                                     ? add_images(identity, field, path, path == spec->source ? source : NULL, err)
                                     : add_file(identity, field, path, err)))
            return false;
    return true;
}

bool identity_make(const JobSpec *spec, JobPipeline pipeline, const ImageSource *source, Identity *ret_identity,
                   Err *err)
{
    Identity identity = {0};
    if (!add_inputs(spec, source, &identity, err))
        return false;
    cJSON *parts = jobspec_to_json(spec, FORM_EXEC);
    jobspec_drop(parts, CHANGES_SPEED);
    jobspec_drop(parts, ADMINISTRATIVE);
    const ModelFamily *family = model_family(spec->family);
    for (ModelRole role = 0; family && role < MODEL_ROLES; role++)
        if (family->use(spec, role) == FILE_UNUSED) { /* it may be given all the same */
            cJSON_DeleteItemFromObjectCaseSensitive(parts, model_role_name(role));
            cJSON_DeleteItemFromObjectCaseSensitive(parts, model_role_part(role));
        }
    cJSON_DeleteItemFromObjectCaseSensitive(parts, "pipeline");
    if (spec->inception && pipeline != PIPELINE_PT)
        cJSON_AddStringToObject(parts, "pipeline", job_pipeline_name(pipeline));
    for (int i = 0; i < identity.count; i++)
        cJSON_ReplaceItemInObjectCaseSensitive(parts, identity.inputs[i].field,
                                               cJSON_CreateString(identity.inputs[i].sha256));
    cJSON_AddNumberToObject(parts, "algorithm", IDENTITY_ALGORITHM);
    hex_of_json(parts, identity.job);
    jobspec_drop(parts, CHANGES_REPORT);
    hex_of_json(parts, identity.images);
    identity.parts = parts;
    *ret_identity = identity;
    return true;
}

cJSON *identity_files(const Identity *identity, const JobSpec *spec)
{
    cJSON *files = cJSON_CreateObject();
    for (int i = 0; i < identity->count; i++)
        cJSON_AddStringToObject(files, identity->inputs[i].field, identity->inputs[i].sha256);
    if (jobkind_of(spec->kind)->uses_model) {
        char *settings = model_settings(spec->family, spec->heads, spec->grid, spec->parts);
        cJSON_AddStringToObject(files, "settings", settings);
        free(settings);
    }
    return files;
}

static bool only_hash(const Identity *identity, bool good, char ret_hex[65])
{
    if (good)
        memcpy(ret_hex, identity->inputs[0].sha256, 65);
    return good;
}

bool identity_of_reference(const char *path, char ret_hex[65], Err *err)
{
    Identity identity = {0};
    return only_hash(&identity, add_images(&identity, "reference", path, NULL, err), ret_hex);
}

bool identity_of_path(const char *path, char ret_hex[65], Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return file_sha256(path, ret_hex, err);
    Identity identity = {0};
    ImageSource *source = image_source_open(path, err);
    if (source)
        add_listing(&identity, "images", path, source);
    image_source_close(source);
    return only_hash(&identity, source != NULL, ret_hex);
}

void identity_free(Identity *identity)
{
    cJSON_Delete(identity->parts);
    *identity = (Identity){0};
}

static char *printed(const cJSON *value)
{
    if (!value)
        return xstrdup("absent");
    char *text = cJSON_PrintUnformatted(value), *copy = xasprintf("%.70s%s", text, strlen(text) > 70 ? "..." : "");
    cJSON_free(text);
    return copy;
}

static char *compare(const char *name, const cJSON *found, const cJSON *wanted)
{
    if (found && wanted && cJSON_Compare(found, wanted, true))
        return NULL;
    char *was = printed(found), *is = printed(wanted), *text = xasprintf("%s is %s, wanted %s", name, was, is);
    free(was);
    free(is);
    return text;
}

char *identity_difference(const cJSON *found, const cJSON *wanted)
{
    const cJSON *part;
    char *text = NULL;
    cJSON_ArrayForEach(part, wanted) if (!text) text =
        compare(part->string, cJSON_GetObjectItemCaseSensitive(found, part->string), part);
    cJSON_ArrayForEach(part,
                       found) if (!text && part->string && !cJSON_GetObjectItemCaseSensitive(wanted, part->string))
        text = compare(part->string, part, NULL);
    return text;
}
