/* Each rule is asked for every host; a job is refused when the same rule refuses it on all of them. To add one: a
 * function and its row. */
#include "client/queue/fits.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/model.h"

typedef struct Job {
    const cJSON *json;
    const JobSpec *spec;
    const cJSON *needs, *inputs;
    bool later;
} Job;

static const cJSON *part(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* --- models ------------------------------------------------------------------------------------------------- */

/* A file that this job needs and that the model of one host lacks; MODEL_ROLES when the host has all. Hosts of an
 * earlier version announce no family and only some roles: what is not announced is there. */
static ModelRole lacks(const cJSON *model, const JobSpec *spec)
{
    const ModelFamily *family = model_family(json_text(model, "family", ""));
    ModelRole role = 0;
    while (family && role < MODEL_ROLES &&
           !(family->use(spec, role) == FILE_REQUIRED && cJSON_IsFalse(part(model, model_role_name(role)))))
        role++;
    return family ? role : MODEL_ROLES;
}

static bool model_fits(const cJSON *host, const Job *job, Err *err)
{
    const char *name = json_text(job->json, "model", "");
    const cJSON *model = *name ? part(part(host, "models"), name) : NULL;
    if (!model)
        return !*name;
    const ModelFamily *family = model_family(json_text(model, "family", ""));
    ModelRole role = lacks(model, job->spec);
    const ModelSizes sizes = {.tokens = (int)json_number(model, "tokens", 0),
                              .classes = (int)json_number(model, "classes", 0),
                              .image_size = (int)json_number(model, "image_size", 0)};
    if (role != MODEL_ROLES)
        return err_set(err, ERR_USAGE,
                       "the model '%.60s' has no %s, and this job needs it. Its checkpoint is named in the daemon's "
                       "ddq.conf, [model %.60s]",
                       name, model_role_name(role), name);
    if (*json_text(model, "fault", ""))
        return err_set(err, ERR_USAGE, "the model '%.60s' cannot be opened on host %s: %s", name,
                       json_text(host, "host", ""), json_text(model, "fault", ""));
    return !family || family->fits(job->spec, &sizes, err) || err_wrap(err, "model %.60s", name);
}

/* --- references --------------------------------------------------------------------------------------------- */

static bool reference_fits(const cJSON *host, const Job *job, Err *err)
{
    const JobSpec *spec = job->spec;
    const char *name = json_text(job->json, "reference", ""), *pipeline;
    const cJSON *entry = *name ? part(part(host, "library"), name) : NULL;
    if (!entry)
        return true;
    if (*json_text(entry, "fault", ""))
        return err_set(err, ERR_USAGE, "%s", json_text(entry, "fault", ""));
    if (spec->metrics & METRICS_OF_BOTH_ROWS && cJSON_IsFalse(part(entry, "features"))) {
        char *metrics = metric_list(spec->metrics & METRICS_OF_BOTH_ROWS, " and ");
        err_set(err, ERR_USAGE,
                "reference %s holds statistics alone, and %s needs the features of single images; take a reference of "
                "images, or leave %s out of the metrics",
                name, metrics, metrics);
        free(metrics);
        return false;
    }
    if (spec->metrics & METRICS_OF_SPATIAL && cJSON_IsFalse(part(entry, "spatial")))
        return err_set(err, ERR_USAGE,
                       "reference %s holds no spatial statistics (mu_s, sigma_s), and sfid compares those; take ADM's "
                       ".npz, a folder of images, or leave sfid out",
                       name);
    pipeline = json_text(entry, "pipeline", "");
    bool other = *pipeline && spec->pipeline != PIPELINE_AUTO &&
                 spec->pipeline != (strcmp(pipeline, "tf") == 0 ? PIPELINE_TF : PIPELINE_PT);
    return !other || err_set(err, ERR_USAGE,
                             "job field pipeline: the reference %s is of the %s pipeline alone; leave the field out, "
                             "or take another reference",
                             name, pipeline);
}

/* --- what a host offers ------------------------------------------------------------------------------------- */

static bool offers(const cJSON *host, const char *need)
{
    const cJSON *list = part(host, "offers"), *item;
    cJSON_ArrayForEach(item, list) if (cJSON_IsString(item) && strcmp(item->valuestring, need) == 0) return true;
    return !list;
}

static bool needs_fit(const cJSON *host, const Job *job, Err *err)
{
    const cJSON *need;
    cJSON_ArrayForEach(need, job->needs)
    {
        if (offers(host, need->valuestring))
            continue;
        if (strcmp(need->valuestring, "inception") == 0)
            return err_set(err, ERR_USAGE,
                           "this job measures features, and no running daemon has the Inception network; set weights "
                           "in [inception] of the daemon's ddq.conf");
        return err_set(err, ERR_USAGE,
                       "no running daemon offers the %.*s %s together with the others that the job needs",
                       (int)strcspn(need->valuestring, ":"), need->valuestring,
                       need->valuestring + strcspn(need->valuestring, ":") + 1);
    }
    return true;
}

static bool inputs_fit(const cJSON *host, const Job *job, Err *err)
{
    const cJSON *input;
    cJSON_ArrayForEach(input, job->inputs)
    {
        const char *fault = json_text(part(host, "faults"), input->valuestring, "");
        if (*fault && !job->later)
            return err_set(err, ERR_USAGE, "job field %s: %s (host %s)", input->string, fault,
                           json_text(host, "host", ""));
    }
    return true;
}

static const struct {
    bool (*fits)(const cJSON *host, const Job *job, Err *err);
} rules[] = {{model_fits}, {reference_fits}, {needs_fit}, {inputs_fit}};

/* --- devices ------------------------------------------------------------------------------------------------ */

/* "cpu" and "cuda" are always taken: such a worker may come back. */
static bool check_device(const cJSON *hosts, const JobSpec *spec, Err *err)
{
    enum { UUIDS_MAX = 256 };
    const char *names[UUIDS_MAX + 2] = {"cpu", "cuda"};
    int count = 2;
    const cJSON *host, *worker;
    if (!spec->device)
        return true;
    cJSON_ArrayForEach(host, hosts)
        cJSON_ArrayForEach(worker, part(host, "workers")) if (count < UUIDS_MAX + 2 && *json_text(worker, "uuid", ""))
            names[count++] = json_text(worker, "uuid", "");
    Buf all = {0};
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], spec->device) == 0) {
            buf_free(&all);
            return true;
        }
        buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    char meant[MEANT_TEXT];
    err_set(err, ERR_USAGE, "job field device: no worker of a running daemon has the device '%.60s'%s It may be: %s",
            spec->device, nearest_meant(nearest_name(spec->device, names, count), meant), all.data);
    buf_free(&all);
    return false;
}

/* --- all ---------------------------------------------------------------------------------------------------- */

static bool fits_host(const cJSON *host, const Job *job, size_t *ret_rule, Err *err)
{
    for (*ret_rule = 0; *ret_rule < countof(rules); ++*ret_rule)
        if (!rules[*ret_rule].fits(host, job, err))
            return false;
    return true;
}

/* Of several reasons the one of the last rule counts: there the job came farthest. */
static bool fits_some_host(const cJSON *hosts, const Job *job, Err *err)
{
    const cJSON *host;
    size_t farthest = 0;
    Err best = {0};
    cJSON_ArrayForEach(host, hosts)
    {
        size_t rule;
        Err why = {0};
        if (fits_host(host, job, &rule, &why))
            return true;
        if (why.kind && (!best.kind || rule > farthest)) {
            best = why;
            farthest = rule;
        }
    }
    if (!best.kind) /* no host has the model: check_name spoke of those */
        return true;
    *err = best;
    return false;
}

static bool fits_one(const cJSON *hosts, const cJSON *json, bool later, Err *err)
{
    JobSpec *spec;
    if (!jobspec_parse(json, FORM_QUEUED, &spec, NULL)) /* plan.c says what is wrong with it */
        return true;
    cJSON *submission = jobspec_submission(json);
    const Job job = {json, spec, part(submission, "needs"), part(submission, "inputs"), later};
    bool ok = check_device(hosts, spec, err) && fits_some_host(hosts, &job, err);
    cJSON_Delete(submission);
    jobspec_free(spec);
    return ok;
}

bool fits_all(const cJSON *hosts, const cJSON *jobs, bool later, Err *err)
{
    const cJSON *job;
    int i = 0, count = cJSON_GetArraySize(jobs);
    cJSON_ArrayForEach(job, jobs)
    {
        i++;
        if (!fits_one(hosts, job, later, err)) {
            if (count > 1)
                err_wrap(err, "job %d of %d", i, count);
            return false;
        }
    }
    return true;
}
