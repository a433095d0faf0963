/* What was built from which file, for the log and the report: which part of a checkpoint was read, what in it was not
 * needed, the sizes, and where the sizes come from that no file has. Notes are what a person should know: another part
 * has as many tensors, a size was assumed. */
#ifndef WORKER_WEIGHTS_BUILT_H
#define WORKER_WEIGHTS_BUILT_H

#include <cjson/cJSON.h>

#include "worker/checkpoints/checkpoint.h"
#include "worker/weights/kind.h"
#include "worker/weights/sizes.h"

typedef struct Built {
    cJSON *networks; /* {"student": {"part": "ema", "tensors": 37, "layers": 4, ...}, ...}; NULL: nothing yet */
    cJSON *notes;    /* array of sentences */
} Built;

void built_free(Built *built); /* a zeroed one is fine */
void built_note(Built *built, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After a network was loaded: its object, with the part and what was not read; sizes are then added to it. NULL when a
 * tensor was not read that the table of unneeded names (built.c) does not have: the network is not what the file holds.
 * choose: the setting by which another part is chosen, for a note; NULL: there is none. */
cJSON *built_add(Built *built, NetworkKind kind, const Ckpt *ckpt, const char *choose, Err *err);
void built_size(cJSON *network, const char *name, int value);
void built_choice(cJSON *network, const char *name, const SizeChoice *choice); /* NAME and NAME_from */

/* "network=student part=ema tensors=37 layers=4 width=128 heads=2 heads_from=\"set\"": one line per network, by index.
 * NULL past the last. Caller frees. */
char *built_line(const cJSON *networks, int i);

#endif
