/* A small HTTP server for health checks: GET or HEAD, one answer, close. Nothing can be changed through it.
 *
 *     http_open(&http, loop, "127.0.0.1:9102", answer, owner, &err)
 *     answer(owner, "/metrics", &status) -> text, freed by http; NULL: 404
 *
 * Few clients at a time, short deadlines, no keep-alive: it must not slow the daemon down. */
#ifndef DAEMON_BASE_HTTP_H
#define DAEMON_BASE_HTTP_H

#include <stdbool.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"

typedef char *HttpAnswer(void *owner, const char *path, int *ret_status);

typedef struct HttpClient HttpClient;

typedef struct Http {
    uv_tcp_t server;
    bool open;
    HttpAnswer *answer;
    void *owner;
    HttpClient *clients;
    int count;
} Http;

/* address is HOST:PORT, [V6]:PORT, or PORT for 127.0.0.1. A name is looked up here, which may take a while. */
bool http_open(Http *http, uv_loop_t *loop, const char *address, HttpAnswer *answer, void *owner, Err *err);
void http_tick(Http *http, Mono now);
void http_close(Http *http); /* handles close on the loop */

#endif
