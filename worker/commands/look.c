#include "worker/commands/look.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/model.h"
#include "spec/proto.h"
#include "spec/roots.h"
#include "worker/evaluate/reference.h"
#include "worker/files/map.h"
#include "worker/job/identity.h"
#include "worker/models/family.h"

static const cJSON *part(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* The first fault counts. */
static void add_fault(cJSON *row, const Err *err)
{
    if (!cJSON_HasObjectItem(row, "fault"))
        cJSON_AddStringToObject(row, "fault", err->text);
}

/* --- models ----------------------------------------------------------------------------------------- */

static void add_sizes(cJSON *row, const cJSON *model, const ModelFiles *files)
{
    Err err = {0};
    ModelInfo info;
    const Family *family = family_find(json_text(model, "family", NULL), &err);
    if (!family || !family->sizes(files, &info, &err)) {
        add_fault(row, &err);
        return;
    }
    cJSON_AddNumberToObject(row, "tokens", info.tokens);
    cJSON_AddNumberToObject(row, "classes", info.classes);
    cJSON_AddNumberToObject(row, "image_size", info.image_size);
}

static cJSON *look_at_model(const cJSON *model)
{
    cJSON *row = cJSON_CreateObject(), *hashes = cJSON_AddObjectToObject(row, "files");
    int heads = (int)json_number(model, "heads", 0), grid = (int)json_number(model, "grid", 0);
    ModelFiles files = {.heads = heads, .grid = grid};
    for (ModelRole role = 0; role < MODEL_ROLES; role++) {
        char hex[65];
        Err err = {0};
        char *path = cJSON_GetStringValue(part(part(model, "files"), model_role_name(role)));
        files.files[role] = path;
        files.parts[role] = cJSON_GetStringValue(part(part(model, "parts"), model_role_name(role)));
        if (path && file_sha256(path, hex, &err)) {
            cJSON_AddStringToObject(hashes, model_role_name(role), hex);
        } else if (path) {
            err_wrap(&err, "%s", model_role_name(role));
            add_fault(row, &err);
        }
    }
    char *settings = model_settings(json_text(model, "family", NULL), heads, grid, files.parts);
    cJSON_AddStringToObject(hashes, "settings", settings);
    free(settings);
    add_sizes(row, model, &files);
    return row;
}

/* --- references and inputs -------------------------------------------------------------------------- */

static cJSON *look_at_reference(const char *path)
{
    cJSON *row = cJSON_CreateObject();
    ReferenceProbe probe;
    Err err = {0};
    char hex[65], network[65];
    if (!reference_probe(path, &probe, &err) || !identity_of_reference(path, hex, &err)) {
        add_fault(row, &err);
        return row;
    }
    cJSON_AddStringToObject(row, "sha256", hex);
    cJSON_AddStringToObject(row, "kind", probe.kind == REFERENCE_STATISTICS ? "statistics" : "images");
    cJSON_AddBoolToObject(row, "features", probe.has_images);
    cJSON_AddBoolToObject(row, "spatial", probe.has_spatial || probe.kind != REFERENCE_STATISTICS);
    if (probe.images)
        cJSON_AddNumberToObject(row, "images", (double)probe.images);
    if (probe.dim)
        cJSON_AddNumberToObject(row, "dims", probe.dim);
    json_add_text(row, "pipeline", probe.pipeline);
    if (probe.kind == REFERENCE_STATISTICS)
        reference_network(path, network);
    json_add_text(row, "network", probe.kind == REFERENCE_STATISTICS ? network : NULL);
    return row;
}

static cJSON *look_at_path(const cJSON *look, const char *path)
{
    cJSON *row = cJSON_CreateObject();
    char *real = NULL, hex[65];
    Err err = {0};
    if (roots_resolve(json_text(look, "output_root", ""), json_text(look, "input_roots", ""), path, &real, &err) &&
        identity_of_path(real, hex, &err))
        cJSON_AddStringToObject(row, "sha256", hex);
    else
        add_fault(row, &err);
    free(real);
    return row;
}

cJSON *look_at(const cJSON *look)
{
    cJSON *seen = cJSON_CreateObject(), *models = cJSON_AddObjectToObject(seen, "models"),
          *references = cJSON_AddObjectToObject(seen, "references"),
          *networks = cJSON_AddObjectToObject(seen, "networks"), *paths = cJSON_AddObjectToObject(seen, "paths");
    const cJSON *item;
    char hex[65];
    cJSON_ArrayForEach(item, part(look, "models")) cJSON_AddItemToObject(models, item->string, look_at_model(item));
    cJSON_ArrayForEach(item, part(look, "references")) if (cJSON_IsString(item))
        cJSON_AddItemToObject(references, item->string, look_at_reference(item->valuestring));
    cJSON_ArrayForEach(item,
                       part(look, "networks")) if (cJSON_IsString(item) && file_sha256(item->valuestring, hex, NULL))
        cJSON_AddStringToObject(networks, item->valuestring, hex);
    cJSON_ArrayForEach(item, part(look, "paths")) if (cJSON_IsString(item))
        cJSON_AddItemToObject(paths, item->valuestring, look_at_path(look, item->valuestring));
    return seen;
}

/* --- the conversation ------------------------------------------------------------------------------- */

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    const int *fd = ctx;
    if (type != PROTO_LOOK)
        return;
    char *line = proto_encode(PROTO_SEEN, look_at(message));
    file_write_fd(*fd, line, strlen(line)); /* where the daemon is gone, the next read ends */
    free(line);
}

int look_command(int fd)
{
    static char bytes[1 << 16];
    ProtoReader reader = {0};
    Err err = {0};
    ssize_t got = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    while (got > 0 || (got < 0 && errno == EINTR)) {
        got = read(fd, bytes, sizeof bytes);
        if (got > 0 && !proto_feed(&reader, bytes, (size_t)got, on_message, &fd, &err))
            break;
    }
    proto_reader_free(&reader);
    if (err.kind)
        fprintf(stderr, "ddq-worker: %s\n", err.text);
    return err.kind ? err_exit_code(err.kind) : EXIT_OK;
}
