/* The steps of a client: 1 on_client, 2 on_request until the empty line, 3 on_answered, 4 on_client_closed frees it.
 * The deadline covers all of them. */
#include "daemon/base/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { CLIENTS_MAX = 16, REQUEST_MAX = 4096, PATIENCE_MS = 5000 };

struct HttpClient {
    HttpClient *next;
    Http *http;
    uv_tcp_t socket;
    uv_write_t write;
    char request[REQUEST_MAX + 1];
    size_t len;
    char *reply;
    Mono deadline;
};

static void on_client_closed(uv_handle_t *handle)
{
    HttpClient *client = handle->data, **at = &client->http->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->http->count--;
    free(client->reply);
    free(client);
}

static void client_close(HttpClient *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->socket))
        uv_close((uv_handle_t *)&client->socket, on_client_closed);
}

static void on_answered(uv_write_t *write, int status)
{
    (void)status;
    client_close(write->data);
}

static void client_answer(HttpClient *client)
{
    char path[256] = "";
    int status = 200;
    uv_read_stop((uv_stream_t *)&client->socket);
    char *body = NULL;
    if (sscanf(client->request, "GET %255s", path) == 1) {
        path[strcspn(path, "?")] = 0;
        body = client->http->answer(client->http->owner, path, &status);
        status = body ? status : 404;
    } else {
        status = 405;
    }
    const char *words = status == 200   ? "OK"
                        : status == 503 ? "Service Unavailable"
                        : status == 404 ? "Not Found"
                                        : "Method Not Allowed";
    client->reply = xasprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                              "Connection: close\r\n\r\n%s",
                              status, words, strlen(body ? body : words), body ? body : words);
    free(body);
    uv_buf_t buf = uv_buf_init(client->reply, (unsigned)strlen(client->reply));
    client->write.data = client;
    if (uv_write(&client->write, (uv_stream_t *)&client->socket, &buf, 1, on_answered))
        client_close(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    HttpClient *client = handle->data;
    *ret_buf = uv_buf_init(client->request + client->len, (unsigned)(REQUEST_MAX - client->len));
}

static void on_request(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    HttpClient *client = stream->data;
    if (got < 0) { /* also UV_ENOBUFS: the request does not end */
        client_close(client);
        return;
    }
    client->len += (size_t)got;
    client->request[client->len] = 0;
    if (strstr(client->request, "\r\n\r\n") || strstr(client->request, "\n\n"))
        client_answer(client);
}

static void on_client(uv_stream_t *server, int status)
{
    Http *http = server->data;
    if (status < 0)
        return;
    HttpClient *client = xcalloc(1, sizeof *client);
    client->http = http;
    client->deadline = mono_ms() + PATIENCE_MS;
    client->next = http->clients;
    http->clients = client;
    http->count++;
    uv_tcp_init(server->loop, &client->socket);
    client->socket.data = client;
    if (uv_accept(server, (uv_stream_t *)&client->socket) || http->count > CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&client->socket, on_alloc, on_request))
        client_close(client);
}

static bool parse_address(const char *address, struct sockaddr_in *ret_address)
{
    char host[64] = "127.0.0.1";
    const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
    char *end;
    long number = strtol(port, &end, 10);
    if (colon && colon != address)
        snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    return end != port && !*end && number > 0 && number < 65536 && uv_ip4_addr(host, (int)number, ret_address) == 0;
}

bool http_open(Http *http, uv_loop_t *loop, const char *address, HttpAnswer *answer, void *owner, Err *err)
{
    struct sockaddr_in where;
    if (!parse_address(address, &where))
        return err_set(err, ERR_USAGE, "http = %s, wanted PORT or HOST:PORT with a numeric host, as in 127.0.0.1:9102",
                       address);
    *http = (Http){.answer = answer, .owner = owner, .open = true};
    uv_tcp_init(loop, &http->server);
    http->server.data = http;
    int status = uv_tcp_bind(&http->server, (struct sockaddr *)&where, 0);
    if (!status)
        status = uv_listen((uv_stream_t *)&http->server, CLIENTS_MAX, on_client);
    if (status) {
        http_close(http);
        return err_set(err, ERR_REFUSED, "http = %s: %s; choose another port", address, uv_strerror(status));
    }
    return true;
}

void http_tick(Http *http, Mono now)
{
    for (HttpClient *client = http->clients; client; client = client->next)
        if (now > client->deadline)
            client_close(client);
}

void http_close(Http *http)
{
    if (http->open)
        uv_close((uv_handle_t *)&http->server, NULL);
    http->open = false;
    for (HttpClient *client = http->clients; client; client = client->next)
        client_close(client);
}
