/* Removes unsafe entries from an answer of Redis. Any program that can write to Redis may have written anything, and
 * ids and names go from here into shells: completion offers them, scripts read `ddq ls --quiet`. So an entry of a list
 * whose id or name the queue cannot have given is removed. */
#ifndef CLIENT_SIEVE_H
#define CLIENT_SIEVE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The alphabets of queue/queue.lua. */
bool sieve_is_id(const char *text); /* at most 26 of 0-9a-z without i, l, o, u */
bool sieve_is_name(
    const char *text); /* users, hosts, sweeps, jobs: at most 64 of A-Za-z0-9_.-, neither . nor - first */
bool sieve_is_label(const char *text); /* workers, models, references: at most 128 of A-Za-z0-9_.:/@+- */

/* Removes such entries from an answer of the queue. Returns their number. */
int sieve_reply(cJSON *reply);

#endif
