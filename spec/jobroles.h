/* Two columns of the table of job fields (jobspec.c): role and traits. Functions that read them are in
 * spec/jobtraits.h. */
#ifndef SPEC_JOBROLES_H
#define SPEC_JOBROLES_H

/* What a field changes. Every row of the table has exactly one role; rows of one name have the same. */
typedef enum FieldRole {
    CHANGES_PIXELS = 1, /* the images or what is measured: part of both identities (worker/job/identity.h) */
    CHANGES_REPORT,     /* only the report: part of the job's identity, not of the images' */
    CHANGES_SPEED,      /* only how fast and where the job runs: in no identity */
    ADMINISTRATIVE,     /* the place and the owner of the results: in no identity */
    FIELD_ROLES
} FieldRole;

/* Bits of the column `traits`. */
enum {
    PUBLISHED = 1 << 0,       /* a published value */
    KEEPS_PUBLISHED = 1 << 1, /* published values still apply when a flag changes this field */
    KEPT_BY_THEN = 1 << 2,    /* --then evaluate: both jobs have it */
    MOVED_BY_THEN = 1 << 3,   /* --then evaluate: it moves from the sampling job to the evaluation */
    PACE = 1 << 4,            /* the time per image depends on its value */
    LOAD = 1 << 5,            /* the memory of a run depends on its value */
    LOAD_IF_SET = 1 << 6,     /* the memory of a run depends on whether it is set: a teacher is in memory */
    NAMES_OFFER = 1 << 7,     /* a host must offer what it names: "model:NAME" */
    SUBMITTED = 1 << 8,       /* an argument of ddq_submit, beside the spec */
    LOCAL_FILE = 1 << 9,      /* a path that may be relative to the user's folder */
    READS_FILE = 1 << 10,     /* EXEC: the path of a file that the job reads */
    READS_IMAGES = 1 << 11,   /* EXEC: the path of a file or of a folder of images that the job reads */
    FIELD_TRAITS = (1 << 12) - 1
};

#endif
