/* What ddq top shows: a page from the answers of the queue. */
#ifndef CLIENT_VERBS_TOP_PAGE_H
#define CLIENT_VERBS_TOP_PAGE_H

#include <cjson/cJSON.h>
#include <stdio.h>

/* What its user looks at. */
typedef struct TopView {
    int sort;          /* of top_sorts() orders */
    char selected[27]; /* id of a job, "" at the start */
    int place;         /* where that job stood in the list */
    int first, rows;   /* jobs on the screen: the first one, and how many there is room for */
    char message[300]; /* in the last line, in place of the keys; "" */
} TopView;

int top_sorts(void);
void top_sort(cJSON *jobs, int sort); /* jobs as ddq_list has them, newest first, which decides between equal ones */

int top_place(const cJSON *jobs, const char *id); /* -1: it is not there */

/* all: {hosts, working{id: job}, users, jobs, more}. Prints all of it. */
void top_print(const cJSON *all, FILE *to, int width);

/* As much of it as the screen has room for, with the selected job among it; moves view to one that is there. Caller
 * frees. */
char *top_draw(const cJSON *all, TopView *view);

#endif
