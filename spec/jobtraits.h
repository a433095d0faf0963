/* What a job field changes, and which other code uses it: columns of the table in jobspec.c (spec/jobspec_parts.h).
 * Nothing outside the table lists field names. */
#ifndef SPEC_JOBTRAITS_H
#define SPEC_JOBTRAITS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "spec/jobroles.h"
#include "spec/jobspec.h"

/* Of the field of that name; 0 and false if there is none. A name has a trait when one of its rows has it. */
FieldRole jobspec_field_role(const char *name);
bool jobspec_field_has(const char *name, unsigned trait);

/* Whether jobs of some kind take the field in that form: `student` is no field of a queued job. */
bool jobspec_field_in(const char *name, JobForm form);
/* The i-th of the words that the field may be, or be a list of; NULL past the end and where it is no field of words. */
const char *jobspec_field_word(const char *name, int i);
/* A list of words may have none of them: `metrics`. */
bool jobspec_field_may_be_empty(const char *name);

/* What `to` has otherwise than `from` (specs in JSON, QUEUED form, complete), of what changes a result: "split_t 30,
 * images 64"; NULL: nothing. Published values that are equal, names and speed are left out. Caller frees. */
char *jobspec_changes(const cJSON *from, const cJSON *to);
/* Whether published values still apply to a job with that field `changed` (NULL: nothing is): nothing was changed that
 * they depend on, or they were given for it. */
bool jobspec_changes_keep_published(const char *changed);

/* The i-th path of a spec in that form, by the fields with one of these traits: its name, and where the text is (NULL
 * there: absent). NULL past the last. As strchr, it gives write access to a spec that the caller may write. */
char **jobspec_path(const JobSpec *spec, JobForm form, unsigned traits, int i, const char **ret_name);

/* Removes the fields of that role from a spec in JSON. */
void jobspec_drop(cJSON *object, FieldRole role);

/* Adds `pace` and `load` to the arguments of ddq_submit (for ddq_adopt: to the saved submission), in place of old
 * ones. Jobs with the same pace take the same time per image on the same device; jobs with the same load take the same
 * memory. spec: JSON, QUEUED form, complete. */
void jobspec_add_keys(cJSON *args, const cJSON *spec);

/* The paths of users in a spec (LOCAL_FILE fields): {"images": "/data/x"}; the caller owns it. */
cJSON *jobspec_inputs(const cJSON *spec);

/* The arguments of ddq_submit that follow from a spec (JSON, QUEUED form, complete): the SUBMITTED fields; `needs`,
 * what a host must offer; `inputs`; `pace` and `load`. The caller owns the result. */
cJSON *jobspec_submission(const cJSON *spec);

#endif
