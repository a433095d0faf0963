/* Tables of users, from the answers of ddq_share and ddq_quota; width as of table_print_in. */
#ifndef CLIENT_QUEUE_USERS_H
#define CLIENT_QUEUE_USERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "client/cmd.h"

void users_shares(const cJSON *users, FILE *to, int width);
void users_quotas(const cJSON *users, const cJSON *everybody, FILE *to);

/* Calls fn with args (consumed) and shows the users of its answer: as JSON, as names alone, or by `print`. */
bool users_answer(Cmd *cmd, QueueFn fn, cJSON *args, void (*print)(Cmd *cmd, const cJSON *reply), Err *err);

/* Whether `name` is a user: of the queue, or with a login on this machine; ERR_NOT_FOUND with what to do if not. Before
 * a change (changes) --new-user is enough. "*" is everybody. */
bool users_check(Cmd *cmd, const char *name, bool changes, Err *err);

#define USERS_NEW_FLAG                                                                                                 \
    {                                                                                                                  \
        "new-user", 0, NULL, "accept a user who has no jobs and no login on this machine"                              \
    }

/* A quota as text: "-" if there is none. */
#define USERS_TEXT 48
const char *users_quota(const cJSON *quota, const char *kind, char text[USERS_TEXT]);

#endif
