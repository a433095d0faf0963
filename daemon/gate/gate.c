/* What happens to a command: on_command judges it, run() sends those whose turn it is, on_answer gives the reply back.
 */
#include "daemon/gate/gate.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/base/socket.h"
#include "daemon/gate/conn.h"
#include "daemon/gate/upstream.h"

enum { BACKLOG = 511, AUDIT_MAX = 65536 };

struct Gate {
    uv_loop_t *loop;
    uv_pipe_t server;
    Callers callers;
    Upstream upstream;
    Conn *first; /* oldest first */
    GateCounts counts;
    bool closing, server_closed;
};

/* --- calls ------------------------------------------------------------------------------------------------------ */

/* The caller's name and rights go behind the arguments, where nothing of the client can stand. */
static bool send_call(Gate *gate, Conn *conn)
{
    const char *argv[RESP_WORDS_MAX + 2];
    size_t lens[RESP_WORDS_MAX + 2];
    int count = 0;
    for (; count < conn->command.count; count++) {
        argv[count] = conn->command.words[count].data;
        lens[count] = conn->command.words[count].len;
    }
    if (conn->verdict.action == GATE_CALL) {
        const char *rights = conn->caller->admin ? "admin" : "user";
        argv[count] = conn->caller->name;
        lens[count++] = strlen(conn->caller->name);
        argv[count] = rights;
        lens[count++] = strlen(rights);
    }
    return upstream_send(&gate->upstream, count, argv, lens, (uint64_t)(uintptr_t)conn);
}

static void answer_lost(Gate *gate, Conn *conn)
{
    Buf text = {0};
    gate->counts.lost++;
    buf_printf(&text, "NOREDIS ddqd has no connection to Redis: %s", gate->upstream.why.text);
    reply_add_error(&conn->out, text.data);
    buf_free(&text);
    conn_reply(conn);
}

/* Sends the commands whose turn it is: for each user the oldest, if none of the user's is under way and its rate lets
 * it pass. */
static void run(Gate *gate)
{
    Mono now = mono_ms();
    for (Conn *conn = gate->first; conn && !gate->closing; conn = conn->next) {
        if (conn->state != CONN_WAITING || !conn->caller->named || conn->caller->in_flight)
            continue;
        if (!gate->upstream.up) {
            answer_lost(gate, conn);
        } else if (callers_take(conn->caller, conn->command.size, now)) {
            conn->caller->in_flight = conn->calling = send_call(gate, conn);
            conn->state = CONN_CALLING;
            if (!conn->calling)
                answer_lost(gate, conn);
        }
    }
}

/* The reply names the job, as do those of all functions that change one. */
static void audit(const Conn *conn, const RedisReply *reply)
{
    const char *text = redis_reply_text(reply);
    cJSON *answer = text && strlen(text) < AUDIT_MAX ? cJSON_Parse(text) : NULL;
    const char *id = json_text(answer, "id", "");
    bool plain = id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz")] == 0;
    log_info("audit uid=%u pid=%d user=%s call=%s status=%s job=%s", (unsigned)conn->caller->uid, (int)conn->pid,
             conn->caller->name, queue_fn_name(conn->verdict.fn), json_text(answer, "status", "error"),
             plain && *id ? id : "-");
    cJSON_Delete(answer);
}

/* The daemon's own connection loads the functions; until it has, a client tries again as it does with a Redis that
 * loads. */
static void add_reply(Conn *conn, const RedisReply *reply)
{
    const char *error = redis_reply_error(reply);
    if (error && strstr(error, "Function not found"))
        reply_add_error(&conn->out, "LOADING ddqd loads the queue's functions");
    else
        reply_add(&conn->out, reply);
}

static void conn_forget(Gate *gate, Conn *conn)
{
    if (conn->caller)
        callers_remove(&gate->callers, conn->caller);
    conn_free(conn);
}

static void on_answer(void *owner, uint64_t tag, const RedisReply *reply)
{
    Gate *gate = owner;
    Conn *conn = (Conn *)(uintptr_t)tag;
    conn->calling = conn->caller->in_flight = false;
    if (reply && conn->verdict.action == GATE_CALL && conn->verdict.changes)
        audit(conn, reply);
    if (reply)
        gate->counts.calls++;
    if (conn->gone) {
        conn_forget(gate, conn);
    } else if (reply) {
        add_reply(conn, reply);
        conn_reply(conn);
    } else {
        answer_lost(gate, conn);
    }
    if (reply)
        run(gate);
}

static void on_named(void *owner, Caller *caller)
{
    (void)caller;
    run(owner);
}

/* --- channels --------------------------------------------------------------------------------------------------- */

static void subscribe(Gate *gate, Conn *conn)
{
    const RespWord *channel = &conn->command.words[1];
    char *name = xasprintf("%.*s", (int)channel->len, channel->data);
    if (conn->channel)
        upstream_unlisten(&gate->upstream, conn->channel);
    free(conn->channel);
    conn->channel = name;
    upstream_listen(&gate->upstream, name);
    reply_add_count(&conn->out, '*', 3);
    reply_add_bulk(&conn->out, "subscribe", strlen("subscribe"));
    reply_add_bulk(&conn->out, name, strlen(name));
    reply_add_count(&conn->out, ':', 1);
    conn_reply(conn);
}

static void on_message(void *owner, const char *channel, const char *text)
{
    Gate *gate = owner;
    Buf message = {0};
    reply_add_count(&message, '*', 3);
    reply_add_bulk(&message, "message", strlen("message"));
    reply_add_bulk(&message, channel, strlen(channel));
    reply_add_bulk(&message, text, strlen(text));
    for (Conn *conn = gate->first; conn; conn = conn->next)
        if (conn->channel && strcmp(conn->channel, channel) == 0)
            conn_push(conn, &message);
    buf_free(&message);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void on_command(void *owner, Conn *conn)
{
    Gate *gate = owner;
    conn->verdict = gate_judge(&conn->command);
    switch (conn->verdict.action) {
    case GATE_CALL:
    case GATE_PLAIN:
        run(gate);
        break;
    case GATE_SUBSCRIBE:
        subscribe(gate, conn);
        break;
    case GATE_ANSWER:
        reply_add_status(&conn->out, conn->verdict.text);
        conn_reply(conn);
        break;
    case GATE_REFUSE:
        gate->counts.refused++;
        reply_add_error(&conn->out, conn->verdict.text);
        conn_reply(conn);
        break;
    }
}

/* The last step of gate_close: the callers are not needed any more. */
static void end_if_empty(Gate *gate)
{
    if (gate->closing && gate->server_closed && !gate->first && !gate->callers.closing)
        callers_close(&gate->callers);
}

static void on_conn_closed(void *owner, Conn *conn)
{
    Gate *gate = owner;
    Conn **at = &gate->first;
    while (*at && *at != conn)
        at = &(*at)->next;
    if (*at) {
        *at = conn->next;
        gate->counts.connections--;
    }
    if (conn->channel)
        upstream_unlisten(&gate->upstream, conn->channel);
    if (!conn->calling) /* else its answer does it */
        conn_forget(gate, conn);
    end_if_empty(gate);
}

static void on_connection(uv_stream_t *server, int status)
{
    static const ConnHooks hooks = {on_command, on_conn_closed};
    Gate *gate = server->data;
    uid_t uid = 0;
    Conn *conn = status == 0 ? conn_accept(server, &hooks, gate, &uid) : NULL, **at = &gate->first;
    if (!conn)
        return;
    while (*at)
        at = &(*at)->next;
    *at = conn;
    gate->counts.connections++;
    conn->caller = callers_add(&gate->callers, uid, mono_ms());
    if (!conn->caller) {
        conn->ends = true;
        gate->counts.refused++;
        reply_add_error(&conn->out,
                        "ERR max number of clients reached: this user, or all users, have too many connections "
                        "to ddqd; close some");
    }
    conn_start(conn);
}

/* --- opening and closing --------------------------------------------------------------------------------------------
 */

/* A socket that a daemon left behind when it was killed is in the way; one on which a daemon answers stays. */
static bool make_room(const char *path, Err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || err_errno(err, "socket %s", path);
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return err_set(err, ERR_REFUSED, "socket %s: %s is in the way; remove it, or set another `socket` in ddq.conf",
                       path, S_ISSOCK(st.st_mode) ? "a socket of another user" : "something that is no socket");
    if (socket_server(path) != 0)
        return err_set(err, ERR_REFUSED, "socket %s: another ddqd answers on it; set another `socket` in ddq.conf",
                       path);
    return unlink(path) == 0 || errno == ENOENT || err_errno(err, "socket %s", path);
}

/* Each connection is a descriptor; the usual soft limit of 1,024 would be all of them. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    const rlim_t wanted = 4 * CALLERS_IN_ALL;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_server_closed(uv_handle_t *handle)
{
    Gate *gate = handle->data;
    gate->server_closed = true;
    end_if_empty(gate);
}

bool gate_open(uv_loop_t *loop, const char *path, const RedisUrl *url, const char *admin_group, Gate **ret_gate,
               Err *err)
{
    static const UpstreamHooks hooks = {on_answer, on_message};
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return err_set(err, ERR_USAGE, "socket %s: the path has %zu characters, wanted at most %zu", path, strlen(path),
                       sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (!make_room(path, err))
        return false;
    allow_descriptors();
    Gate *gate = xcalloc(1, sizeof *gate);
    gate->loop = loop;
    uv_pipe_init(loop, &gate->server, 0);
    gate->server.data = gate;
    callers_init(&gate->callers, loop, admin_group, on_named, gate);
    upstream_init(&gate->upstream, loop, url, &hooks, gate);
    int status = uv_pipe_bind(&gate->server, path);
    if (!status && chmod(path, 0666))
        status = uv_translate_sys_error(errno);
    if (!status)
        status = uv_listen((uv_stream_t *)&gate->server, BACKLOG, on_connection);
    *ret_gate = gate;
    return status == 0 || err_set(err, ERR_REFUSED, "socket %s: %s", path, uv_strerror(status));
}

void gate_redis_up(Gate *gate)
{
    upstream_start(&gate->upstream);
}

void gate_redis_down(Gate *gate, const char *why)
{
    upstream_stop(&gate->upstream, why);
}

void gate_tick(Gate *gate, Mono now)
{
    upstream_tick(&gate->upstream, now);
    for (Conn *conn = gate->first; conn; conn = conn->next)
        conn_tick(conn, now);
    run(gate); /* rates have risen */
}

void gate_close(Gate *gate)
{
    if (!gate || gate->closing)
        return;
    gate->closing = true;
    for (Conn *conn = gate->first; conn; conn = conn->next)
        conn_close(conn);
    upstream_close(&gate->upstream);
    uv_close((uv_handle_t *)&gate->server, on_server_closed);
}

bool gate_gone(const Gate *gate)
{
    return !gate || (gate->callers.closing && !gate->callers.first);
}

void gate_free(Gate *gate)
{
    free(gate);
}

GateCounts gate_counts(const Gate *gate)
{
    return gate->counts;
}
