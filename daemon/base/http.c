/* The steps of a client: 1 on_client, 2 on_request until the empty line, 3 on_answered, 4 on_client_closed frees it.
 * The deadline covers all of them. */
#include "daemon/base/http.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "spec/conf/conf.h"

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
    bool head = sscanf(client->request, "HEAD %255s", path) == 1;
    if (head || sscanf(client->request, "GET %255s", path) == 1) {
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
    const char *text = body ? body : words;
    client->reply =
        xasprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                  "%sConnection: close\r\n\r\n%s",
                  status, words, strlen(text), status == 405 ? "Allow: GET, HEAD\r\n" : "", head ? "" : text);
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

/* PORT alone is that of 127.0.0.1. */
static bool parse_address(const char *address, char host[HOST_MAX], char port[8])
{
    int number = 0;
    char *local = strpbrk(address, ":[") && address[0] != ':' ? xstrdup(address)
                                                              : xasprintf("127.0.0.1:%s", address + (*address == ':'));
    bool ok = host_port_parse(local, host, &number) && number > 0;
    snprintf(port, 8, "%d", number);
    free(local);
    return ok;
}

/* The addresses of a name, those of IPv4 first: where localhost is both, most tools ask there. localhost needs no
 * entry in /etc/hosts. */
static int look_up(const char *host, const char *port, struct addrinfo **ret_list)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int status = getaddrinfo(host, port, &hints, ret_list);
    if (status && strcmp(host, "localhost") == 0)
        status = getaddrinfo("127.0.0.1", port, &hints, ret_list);
    return status;
}

static int listen_on(Http *http, uv_loop_t *loop, const struct addrinfo *list)
{
    const struct addrinfo *chosen = list;
    for (const struct addrinfo *one = list; one; one = one->ai_next)
        if (one->ai_family == AF_INET) {
            chosen = one;
            break;
        }
    uv_tcp_init(loop, &http->server);
    http->server.data = http;
    int status = uv_tcp_bind(&http->server, chosen->ai_addr, 0);
    return status ? status : uv_listen((uv_stream_t *)&http->server, CLIENTS_MAX, on_client);
}

bool http_open(Http *http, uv_loop_t *loop, const char *address, HttpAnswer *answer, void *owner, Err *err)
{
    char host[HOST_MAX], port[8];
    struct addrinfo *list;
    if (!parse_address(address, host, port))
        return err_set(err, ERR_USAGE, "http = %s, wanted PORT, HOST:PORT or [V6]:PORT, as in 127.0.0.1:9102", address);
    int status = look_up(host, port, &list);
    if (status)
        return err_set(err, ERR_USAGE, "http = %s: %s: %s; wanted a name or address of this host", address, host,
                       gai_strerror(status));
    *http = (Http){.answer = answer, .owner = owner, .open = true};
    status = listen_on(http, loop, list);
    freeaddrinfo(list);
    if (status) {
        http_close(http);
        return err_set(err, ERR_REFUSED, "http = %s: %s; choose another %s", address, uv_strerror(status),
                       status == UV_EADDRNOTAVAIL ? "address" : "port");
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
