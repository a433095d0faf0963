#include "daemon/gate/conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/redis/reply.h"

enum {
    SMALL = 4096, /* bytes for commands, to begin with; a larger buffer is given back after its command */
    BUFFERED_PER_USER = 16 << 20,
    COMMAND_MS = 10000, /* for the rest of a command after its first byte */
    REPLY_MS = 30000,   /* for a client to read a reply */
    UNREAD_MAX = 262144 /* bytes of messages that a client has not read */
};

/* --- the end ------------------------------------------------------------------------------------------------ */

static size_t large(size_t size)
{
    return size > SMALL ? size : 0;
}

static void on_pipe_closed(uv_handle_t *handle)
{
    Conn *conn = handle->data;
    conn->gone = true;
    if (conn->caller)
        conn->caller->buffered -= large(conn->size);
    conn->hooks->on_closed(conn->owner, conn);
}

void conn_close(Conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    conn->state = CONN_CLOSED;
    uv_close((uv_handle_t *)&conn->pipe, on_pipe_closed);
}

void conn_free(Conn *conn)
{
    free(conn->in);
    free(conn->channel);
    buf_free(&conn->out);
    free(conn);
}

/* --- bytes in ------------------------------------------------------------------------------------------------ */

/* False if the user holds too much already. */
static bool resize(Conn *conn, size_t size)
{
    size_t *held = &conn->caller->buffered, after = *held - large(conn->size) + large(size);
    if (size > conn->size && after > BUFFERED_PER_USER)
        return false;
    *held = after;
    conn->in = xrealloc(conn->in, size);
    conn->size = size;
    return true;
}

static void refuse(Conn *conn, const char *text)
{
    uv_read_stop((uv_stream_t *)&conn->pipe);
    conn->ends = true;
    reply_add_error(&conn->out, text);
    conn_reply(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    Conn *conn = handle->data;
    *ret_buf = uv_buf_init(conn->in + conn->len, (unsigned)(conn->size - conn->len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

/* The next command of the bytes that are there, or more bytes. */
static void go_on(Conn *conn)
{
    const char *why = NULL;
    size_t need = 0;
    conn->state = CONN_READING;
    RespResult result = resp_parse(conn->in, conn->len, &conn->command, &need, &why);
    if (result == RESP_COMPLETE) {
        uv_read_stop((uv_stream_t *)&conn->pipe);
        conn->deadline = 0;
        conn->state = CONN_WAITING;
        conn->hooks->on_command(conn->owner, conn);
    } else if (result == RESP_INVALID) {
        Buf text = {0};
        buf_printf(&text, "ERR Protocol error: %s", why);
        refuse(conn, text.data);
        buf_free(&text);
    } else {
        size_t size = conn->size < SMALL ? SMALL : conn->size;
        while (size < need)
            size *= 2;
        if (!conn->len)
            conn->deadline = 0;
        else if (!conn->deadline)
            conn->deadline = mono_ms() + COMMAND_MS;
        int status = 0;
        if (size != conn->size && !resize(conn, size))
            refuse(conn, "ERR too many large commands of this user at once; try again when the others are done");
        else if ((status = uv_read_start((uv_stream_t *)&conn->pipe, on_alloc, on_read)) && status != UV_EALREADY)
            conn_close(conn);
    }
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    Conn *conn = stream->data;
    if (got < 0) {
        conn_close(conn);
        return;
    }
    conn->len += (size_t)got;
    if (got > 0)
        go_on(conn);
}

/* The command is done: its bytes go, and so does a large buffer. */
static void forget_command(Conn *conn)
{
    conn->len -= conn->command.size;
    memmove(conn->in, conn->in + conn->command.size, conn->len);
    conn->command = (RespCommand){0};
    if (conn->size > SMALL && conn->len <= SMALL)
        resize(conn, SMALL);
}

/* --- bytes out ------------------------------------------------------------------------------------------------ */

static void on_written(uv_write_t *write, int status)
{
    Conn *conn = write->data;
    buf_free(&conn->out);
    if (conn->state == CONN_CLOSED)
        return;
    if (status || conn->ends) {
        conn_close(conn);
        return;
    }
    conn->deadline = 0;
    forget_command(conn);
    go_on(conn);
}

void conn_reply(Conn *conn)
{
    if (conn->state == CONN_CLOSED)
        return;
    uv_buf_t bytes = uv_buf_init(conn->out.data, (unsigned)conn->out.len);
    conn->state = CONN_WRITING;
    conn->deadline = mono_ms() + REPLY_MS;
    conn->write.data = conn;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->pipe, &bytes, 1, on_written))
        conn_close(conn);
}

static void on_pushed(uv_write_t *write, int status)
{
    (void)status;
    free(write);
}

void conn_push(Conn *conn, const Buf *message)
{
    uv_stream_t *stream = (uv_stream_t *)&conn->pipe;
    if (conn->state == CONN_CLOSED || uv_stream_get_write_queue_size(stream) + message->len > UNREAD_MAX)
        return;
    uv_write_t *write = xmalloc(sizeof *write + message->len);
    memcpy(write + 1, message->data, message->len);
    uv_buf_t bytes = uv_buf_init((char *)(write + 1), (unsigned)message->len);
    if (uv_write(write, stream, &bytes, 1, on_pushed))
        free(write);
}

/* --- from outside --------------------------------------------------------------------------------------------- */

Conn *conn_accept(uv_stream_t *server, const ConnHooks *hooks, void *owner, uid_t *ret_uid)
{
    Conn *conn = xcalloc(1, sizeof *conn);
    conn->hooks = hooks;
    conn->owner = owner;
    uv_pipe_init(server->loop, &conn->pipe, 0);
    conn->pipe.data = conn;
    struct ucred peer;
    socklen_t size = sizeof peer;
    uv_os_fd_t fd;
    if (uv_accept(server, (uv_stream_t *)&conn->pipe) == 0 && uv_fileno((uv_handle_t *)&conn->pipe, &fd) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        conn->pid = peer.pid;
        *ret_uid = peer.uid;
        return conn;
    }
    conn_close(conn);
    return NULL;
}

void conn_start(Conn *conn)
{
    if (!conn->out.len)
        go_on(conn);
    else
        conn_reply(conn);
}

void conn_tick(Conn *conn, Mono now)
{
    if (conn->deadline && now > conn->deadline)
        conn_close(conn);
}
