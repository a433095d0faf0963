/* A private redis-server for one host: started, watched, restarted and stopped by its ddqd.
 *
 *     standalone_open(&alone, loop, program, state_folder, socket_path, &hooks, owner);
 *     standalone_tick(&alone, mono_ms());
 *     standalone_stop(&alone); ... standalone_gone(&alone)
 *
 * Its files lie in the state folder; it listens on the unix socket alone, writes every change to disk before it
 * answers and never evicts keys. When a ddqd is killed its server keeps running, and the next ddqd takes it over. */
#ifndef DAEMON_REDIS_STANDALONE_H
#define DAEMON_REDIS_STANDALONE_H

#include <stdbool.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"

typedef struct StandaloneHooks {
    void (*on_started)(void *owner);
    void (*on_ended)(void *owner, const Err *why, bool never_served); /* it is started again unless never_served */
} StandaloneHooks;

typedef struct Standalone {
    uv_loop_t *loop;
    char *program, *folder, *socket;
    StandaloneHooks hooks;
    void *owner;
    uv_process_t process;
    bool spawned; /* process is a child and its handle open */
    int pid;      /* of the server, started or taken over; 0: none runs */
    bool stopping, served;
    int failures;
    Mono started, next_start, stop_deadline;
} Standalone;

/* program: NULL for the first of redis-server and valkey-server that is installed. */
void standalone_open(Standalone *alone, uv_loop_t *loop, const char *program, const char *folder, const char *socket,
                     const StandaloneHooks *hooks, void *owner);
void standalone_tick(Standalone *alone, Mono now);
void standalone_served(Standalone *alone); /* a connection was good: from now on it is always restarted */
void standalone_stop(Standalone *alone);
bool standalone_gone(const Standalone *alone);
void standalone_done(Standalone *alone);

/* Asks the program (NULL as above) for its version and checks that it is new enough: "redis-server 7.0.15". */
bool standalone_version(const char *program, char *ret_version, size_t size, Err *err);

#endif
