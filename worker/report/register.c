/* Registers the result of a statistics job as a reference. This is done before the report is written, so a finished job
 * is registered, and one that was killed in between registers again: the same content changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/evaluate/reference_register.h"
#include "worker/job/parts.h"

static const char *hash_of(const Identity *identity, const char *field)
{
    static const char none[65];
    for (int i = 0; i < identity->count; i++)
        if (strcmp(identity->inputs[i].field, field) == 0)
            return identity->inputs[i].sha256;
    return none;
}

bool run_register(const Run *run, Statistics *stats, const char *images_sha256, Err *err)
{
    const JobSpec *spec = run->spec;
    if (!spec->register_as)
        return true;
    char *folder = xstrdup(spec->register_as), *slash = strrchr(folder, '/');
    bool good =
        (slash && slash != folder && spec->owner) ||
        err_set(err, ERR_USAGE, "job field register: '%s', wanted FOLDER/NAME, and owner with it", spec->register_as);
    if (good) {
        *slash = 0;
        Registration registration = {.folder = folder, .name = slash + 1, .user = spec->owner, .replace = true};
        Reference reference = {.stats = stats, .images = stats->count, .pipeline = stats->pipeline};
        memcpy(reference.sha256, images_sha256, strlen(images_sha256) + 1);
        memcpy(reference.weights, hash_of(&run->identity, "inception"), sizeof reference.weights);
        good = reference_register_copy(&registration, &reference, spec->source, NULL, err);
    }
    free(folder);
    return good;
}
