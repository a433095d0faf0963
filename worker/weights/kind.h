/* What kind of network a file holds, recognised by a weight that only this kind has: so that a file in the wrong place
 * is refused with a sentence that says where it belongs. */
#ifndef WORKER_WEIGHTS_KIND_H
#define WORKER_WEIGHTS_KIND_H

#include "worker/weights/weights.h"

typedef enum NetworkKind {
    NETWORK_STUDENT,
    NETWORK_TEXT, /* a LlamaGen model for texts, which ddq does not run */
    NETWORK_TEACHER,
    NETWORK_TOKENIZER,
    NETWORK_INCEPTION,
    NETWORK_KINDS /* not known */
} NetworkKind;

const char *network_name(NetworkKind kind); /* "student" */

/* False for a file that is of another known kind. One of no known kind passes: what it lacks is named when it is read.
 */
bool network_check(const Weights *weights, NetworkKind wanted, Err *err);

#endif
