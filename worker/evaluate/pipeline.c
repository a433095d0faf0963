#include "worker/evaluate/pipeline.h"

#include <string.h>

#include "worker/evaluate/reference.h"

const char *job_pipeline_name(JobPipeline pipeline)
{
    static const char *const names[] = {"pt", "tf", "both", "pt"};
    return names[pipeline];
}

static bool check_metrics(const JobSpec *spec, const ReferenceProbe *probe, Err *err)
{
    if (probe->kind != REFERENCE_STATISTICS)
        return true; /* images give everything */
    if (spec->metrics & METRICS_OF_BOTH_ROWS && !probe->has_images)
        return err_set(err, ERR_USAGE,
                       "reference %s: holds statistics alone, and metrics %s compares the features of single images; "
                       "take a folder of images or an .npz with arr_0, or leave it out",
                       spec->reference, metric_word(spec->metrics & METRICS_OF_BOTH_ROWS));
    if (spec->metrics & METRICS_OF_SPATIAL && !probe->has_spatial)
        return err_set(err, ERR_USAGE,
                       "reference %s: holds no spatial statistics (mu_s, sigma_s), and metrics %s compares those; take "
                       "ADM's .npz or a folder of images, or leave it out",
                       spec->reference, metric_word(spec->metrics & METRICS_OF_SPATIAL));
    return true;
}

static bool check_pipeline(const JobSpec *spec, const ReferenceProbe *probe, JobPipeline pipeline, Err *err)
{
    if (probe->kind != REFERENCE_STATISTICS || !probe->pipeline ||
        strcmp(probe->pipeline, job_pipeline_name(pipeline)) == 0)
        return true;
    return err_set(err, ERR_USAGE,
                   "reference %s: made with the %s pipeline, and the job asks for %s; numbers of two pipelines do not "
                   "compare. Ask for pipeline %s, or take images as the reference",
                   spec->reference, probe->pipeline, job_pipeline_name(pipeline), probe->pipeline);
}

bool pipeline_choose(const JobSpec *spec, JobPipeline *ret_pipeline, Err *err)
{
    ReferenceProbe probe = {.kind = REFERENCE_FOLDER};
    if (spec->reference && !reference_probe(spec->reference, &probe, err))
        return false;
    JobPipeline pipeline = spec->pipeline;
    if (pipeline == PIPELINE_AUTO)
        pipeline = probe.pipeline && strcmp(probe.pipeline, "tf") == 0 ? PIPELINE_TF : PIPELINE_PT;
    if (spec->reference && (!check_metrics(spec, &probe, err) || !check_pipeline(spec, &probe, pipeline, err)))
        return false;
    *ret_pipeline = pipeline;
    return true;
}
