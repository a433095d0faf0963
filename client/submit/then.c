#include "client/submit/then.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"

static bool saves_png(const cJSON *job)
{
    const cJSON *word;
    cJSON_ArrayForEach(word, cJSON_GetObjectItemCaseSensitive(
                                 job, "save")) if (strcmp(cJSON_GetStringValue(word) ? word->valuestring : "", "png") ==
                                                   0) return true;
    return false;
}

/* Parses what is left of the spec again, because a job that measures has other defaults than one that does not. */
static bool complete(cJSON *object, cJSON **ret_spec, Err *err)
{
    JobSpec *spec;
    if (!jobspec_parse(object, FORM_QUEUED, &spec, err))
        return false;
    *ret_spec = jobspec_to_json(spec, FORM_QUEUED);
    jobspec_free(spec);
    return true;
}

void then_source(cJSON *evaluation, const char *folder)
{
    char *images = xasprintf("%s/images", folder);
    cJSON_DeleteItemFromObjectCaseSensitive(evaluation, "images");
    cJSON_AddStringToObject(evaluation, "images", images);
    free(images);
}

bool then_split(cJSON *job, cJSON **ret_evaluation, Err *err)
{
    const JobKindRow *kind = jobkind_named(json_text(job, "kind", ""));
    if (!kind || !kind->makes_images)
        return err_set(err, ERR_USAGE, "--then evaluate needs a job that makes images, and this one has kind %s",
                       json_text(job, "kind", ""));
    if (!saves_png(job))
        return err_set(err, ERR_USAGE, "--then evaluate reads the images as PNG; add png to save");
    if (!*json_text(job, "reference", "") && !cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(job, "metrics")))
        return err_set(err, ERR_USAGE, "--then evaluate has nothing to measure; give --reference NAME or --metrics is");
    cJSON *evaluation = cJSON_CreateObject(), *rest = NULL, *whole = NULL;
    cJSON_AddStringToObject(evaluation, "kind", "evaluate");
    then_source(evaluation, "x");
    const char *field;
    for (int i = 0; (field = jobspec_field_name(i)); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(job, field);
        if (value && jobspec_field_has(field, KEPT_BY_THEN | MOVED_BY_THEN))
            cJSON_AddItemToObject(evaluation, field, cJSON_Duplicate(value, true));
        if (jobspec_field_has(field, MOVED_BY_THEN))
            cJSON_DeleteItemFromObjectCaseSensitive(job, field);
    }
    bool ok = complete(evaluation, &whole, err) && complete(job, &rest, err);
    cJSON_Delete(evaluation);
    if (!ok) {
        cJSON_Delete(whole);
        return false;
    }
    cJSON *old = job->child; /* the job keeps its place in the list of jobs */
    job->child = rest->child;
    rest->child = old;
    cJSON_Delete(rest);
    *ret_evaluation = whole;
    return true;
}
