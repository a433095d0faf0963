/* One row per kind of job. queue/queue.lua's KINDS repeats the columns that the queue asks for. */
#include "spec/jobkind.h"

#include <string.h>

const char *const jobkind_words[] = {
    [KIND_SAMPLE] = "sample", [KIND_EVALUATE] = "evaluate", [KIND_STATISTICS] = "statistics", [JOB_KINDS] = NULL};

static const JobKindRow rows[JOB_KINDS] = {
    [KIND_SAMPLE] = {.uses_model = true,
                     .makes_images = true,
                     .measures = MEASURES_IF_ASKED,
                     .counts_against_quota = true},
    [KIND_EVALUATE] = {.reads_source = true, .needs_network = true, .measures = MEASURES_ALWAYS},
    [KIND_STATISTICS] = {.reads_source = true, .needs_network = true, .measures = MEASURES_NOTHING},
};

const JobKindRow *jobkind_of(JobKind kind)
{
    return &rows[kind];
}

const JobKindRow *jobkind_named(const char *name)
{
    for (int kind = 0; name && kind < JOB_KINDS; kind++)
        if (strcmp(jobkind_words[kind], name) == 0)
            return &rows[kind];
    return NULL;
}
