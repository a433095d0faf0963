/* A job's folder as `ddq adopt` reads it: which job it is, and which of its results exist.
 *
 *     JobFolder folder;
 *     if (jobfolder_read(path, &folder, err)) ... folder.submitted, folder.have ...
 *     jobfolder_done(&folder);
 *
 * Only names, sizes and the manifests are read; the worker checks the contents of the shards. */
#ifndef CLIENT_JOBS_JOBFOLDER_H
#define CLIENT_JOBS_JOBFOLDER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef struct JobFolder {
    char created[25]; /* when its first image was made: "2026-11-23T03:22:00Z" */
    cJSON *submitted; /* the submission without the spec */
    cJSON *spec;      /* QUEUED form, checked */
    cJSON *have;      /* array of "LO-HI" in rising order: images that have manifests */
    int64_t images, there;
    bool finished;    /* its report exists, with all files that it names */
    cJSON *files;     /* what its images were made from: field -> hash, as ddq_adopt takes it */
    int64_t measured; /* images, by that report */
    double fid;       /* NaN: none */
    cJSON *metrics;   /* its figures, by name; NULL: none */
} JobFolder;

bool jobfolder_is(const char *path); /* it contains a job.json */
/* False with an error if job.json was not written by a worker for a queued job. */
bool jobfolder_read(const char *path, JobFolder *ret_folder, Err *err);
/* Only job.json, and whether a report exists: fast for any size of job. */
bool jobfolder_peek(const char *path, JobFolder *ret_folder, Err *err);
void jobfolder_done(JobFolder *folder);

#endif
