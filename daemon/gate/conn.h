/* One connection of a client, as the gate sees it: bytes in, one command at a time, bytes out.
 *
 *     CONN_READING -> CONN_WAITING (for its name, its turn, its rate) -> CONN_CALLING -> CONN_WRITING -> CONN_READING
 *
 * While a command is on its way nothing more is read, so a client that sends faster than it reads only fills its own
 * socket. This file owns the buffers and the deadlines; what a command means is decided in gate.c through hooks. */
#ifndef DAEMON_GATE_CONN_H
#define DAEMON_GATE_CONN_H

#include <sys/types.h>
#include <uv.h>

#include "core/clock.h"
#include "core/mem.h"
#include "daemon/gate/callers.h"
#include "daemon/gate/resp.h"
#include "daemon/gate/rules.h"

typedef enum ConnState { CONN_READING, CONN_WAITING, CONN_CALLING, CONN_WRITING, CONN_CLOSED } ConnState;

typedef struct Conn Conn;

typedef struct ConnHooks {
    void (*on_command)(void *owner, Conn *conn); /* conn->command; the hook calls conn_reply now or later */
    void (*on_closed)(void *owner,
                      Conn *conn); /* its handle is closed: free it, at once or when its call is answered */
} ConnHooks;

struct Conn {
    Conn *next;
    const ConnHooks *hooks;
    void *owner;
    uv_pipe_t pipe;
    uv_write_t write;
    Caller *caller;
    pid_t pid;
    ConnState state;
    char *in; /* bytes of commands: the first `len` of `size` */
    size_t len, size;
    RespCommand command; /* in `in` */
    GateVerdict verdict; /* on the command */
    Buf out;
    bool ends;     /* close it after the reply */
    bool calling;  /* a call of it is with Redis: the memory must stay, also when the handle is closed */
    bool gone;     /* the handle is closed */
    Mono deadline; /* of an incomplete command, or of a reply that is not read; 0: none */
    char *channel; /* it listens to; NULL: none */
};

/* Takes the pending connection of `server`. NULL: there was none, or its peer is unknown. conn->caller is not set. */
Conn *conn_accept(uv_stream_t *server, const ConnHooks *hooks, void *owner, uid_t *ret_uid);
void conn_start(Conn *conn); /* begins to read */

/* Writes conn->out, then goes on with the next command (or closes). */
void conn_reply(Conn *conn);

/* A message of the channel. It is dropped if the client does not read: messages are hints. */
void conn_push(Conn *conn, const Buf *message);

void conn_tick(Conn *conn, Mono now);
void conn_close(Conn *conn);
void conn_free(Conn *conn);

#endif
