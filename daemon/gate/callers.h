/* Who calls: one row per user id with connections, its name, whether it is an administrator, and its share of the gate.
 *
 *     callers_init(&callers, loop, admin_group, on_named, owner);
 *     Caller *caller = callers_add(&callers, uid, now);   NULL: too many connections of this user, or in all
 *     if (caller->named) ...                              else on_named(owner, caller) follows from the loop
 *     if (callers_take(caller, bytes, now)) ...           false: over the rate; ask again at callers_tick
 *     callers_remove(&callers, caller);
 *
 * A name comes from the system's user database (which may be LDAP and slow), so it is looked up on libuv's threads and
 * kept for a minute. A login name that the queue cannot hold, or that could be taken for a number, becomes "uidN" as a
 * whole: two users never share a name. */
#ifndef DAEMON_GATE_CALLERS_H
#define DAEMON_GATE_CALLERS_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "core/clock.h"
#include "spec/username.h"

enum {
    CALLERS_PER_USER = 64, /* connections */
    CALLERS_IN_ALL = 1024,
    CALLERS_KEEP_MS = 60000 /* a name and its groups */
};

typedef struct Caller Caller;
struct Caller {
    Caller *next;
    struct Callers *all;
    uid_t uid;
    int connections;
    bool named, asking; /* name and admin are known; a lookup is under way */
    bool admin;
    char name[USERNAME_MAX];
    Mono named_at;
    double tokens; /* calls that may go now */
    Mono filled_at;
    size_t buffered; /* bytes of incomplete commands, over all its connections */
    bool in_flight;  /* one call of this user is with Redis: others of the same user wait, so users take turns */
    uv_work_t lookup;
    char *group;              /* the lookup's question, besides uid */
    char found[USERNAME_MAX]; /* and its results */
    bool found_admin;
};

typedef struct Callers {
    uv_loop_t *loop;
    Caller *first;
    int connections;
    char *admin_group; /* NULL: only root and the daemon's own user are administrators */
    bool closing;
    void (*on_named)(void *owner, Caller *caller);
    void *owner;
} Callers;

void callers_init(Callers *callers, uv_loop_t *loop, const char *admin_group,
                  void (*on_named)(void *owner, Caller *caller), void *owner);

/* One more connection of this user. Starts a lookup where the name is not known or old. */
Caller *callers_add(Callers *callers, uid_t uid, Mono now);
void callers_remove(Callers *callers, Caller *caller);

/* Takes one call of so many bytes from the user's rate: 500 calls per second, 1,000 at once; a large one counts as
 * several. */
bool callers_take(Caller *caller, size_t bytes, Mono now);

/* After all connections are removed. Rows are freed at once, or where their lookup ends; on_named is not called again.
 */
void callers_close(Callers *callers);

#endif
