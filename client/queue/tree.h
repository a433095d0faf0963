/* The order and the branches in which jobs are shown under those they wait for. */
#ifndef CLIENT_QUEUE_TREE_H
#define CLIENT_QUEUE_TREE_H

#include <cjson/cJSON.h>

typedef struct TreeRow {
    const cJSON *job; /* of the list */
    char *label;      /* its id behind its branch: "├─ k3f9x2m7qa" */
    char *also;       /* ids of further jobs that it waits for, or NULL */
} TreeRow;

/* jobs: objects with id and after[], in any order. A job is placed under the last of its `after` that is in the list;
 * roots keep the list's order. *ret_count rows; tree_free frees them. */
TreeRow *tree_rows(const cJSON *jobs, int *ret_count);
void tree_free(TreeRow *rows, int count);

#endif
