/* The commands on a fresh connection before it counts as ready: name this client, check the server, load the function
 * library.
 *
 *     handshake = (Handshake){.link = link, .url = ..., .on_reply = f, .done = g, .owner = store};
 *     handshake_start(&handshake);          f passes the replies to handshake_reply; g is called once, at the end
 *
 * If the connection dies in between, done is not called: the link calls on_down instead. */
#ifndef DAEMON_REDIS_HANDSHAKE_H
#define DAEMON_REDIS_HANDSHAKE_H

#include <stdbool.h>

#include "core/err.h"
#include "daemon/redis/link.h"
#include "spec/conf/conf.h"

typedef struct Handshake {
    RedisLink *link;
    const RedisUrl *url;
    const char *client_name;
    bool first; /* the first handshake of this process: it may replace a library of the same version */
    int step;
    char *known_run, run[48]; /* the server's process of the last handshake, and this one's; known_run is the store's */
    bool missing, differs;
    int version; /* of the library that the server has */
    RedisReplyFn *on_reply;
    void (*done)(void *owner, const Err *why, bool unfit);
    void *owner;
} Handshake;

void handshake_start(Handshake *handshake);
void handshake_reply(Handshake *handshake, const RedisReply *reply);

/* The check of one INFO text, alone: false with a sentence that says what to do. *ret_unfit as in StoreHooks. */
bool handshake_check_info(const char *info, bool *ret_unfit, Err *err);

#endif
