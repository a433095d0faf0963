/* A job's folder as `ddq adopt` reads it: which job it says it is, and what of it is there.
 *
 *     JobFolder folder;
 *     if (jobfolder_read(path, &folder, err)) ... folder.submitted, folder.have ...
 *     jobfolder_done(&folder);
 *
 * Only names, sizes and the manifests' own words are looked at: what the shards hold is checked by the worker. */
#ifndef CLIENT_JOBS_JOBFOLDER_H
#define CLIENT_JOBS_JOBFOLDER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef struct JobFolder {
    char created[25]; /* when its first image was made: "2026-11-23T03:22:00Z" */
    cJSON *submitted; /* as it was submitted once, but the spec */
    cJSON *spec;      /* QUEUED form, checked */
    cJSON *have;      /* array of "LO-HI" in rising order: images whose manifests are there */
    int64_t images, there;
    bool finished;    /* its report is there, with all that it names */
    cJSON *files;     /* what its images were made from: field -> hash, as ddq_adopt takes it */
    int64_t measured; /* images, by that report */
    double fid;       /* NaN: none */
    cJSON *metrics;   /* its figures, by name; NULL: none */
} JobFolder;

bool jobfolder_is(const char *path); /* there is a job.json */
/* False with a sentence when job.json is none that the queue's worker wrote. */
bool jobfolder_read(const char *path, JobFolder *ret_folder, Err *err);
/* job.json alone, and whether a report is there: quick, whatever the size of the job. */
bool jobfolder_peek(const char *path, JobFolder *ret_folder, Err *err);
void jobfolder_done(JobFolder *folder);

#endif
