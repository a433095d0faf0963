#include "daemon/gate/callers.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

enum {
    RATE = 500,         /* calls per second and user, in the long run */
    BURST = 1000,       /* and at once */
    CALL_BYTES = 16384, /* a call counts once more for each of these */
    TEXT_MAX = 65536,   /* of an entry of the user database */
    GROUPS_MAX = 4096
};

/* --- the lookup, on a thread ------------------------------------------------------------------------------ */

static bool in_group(const char *login, gid_t first, const char *group)
{
    struct group entry, *found = NULL;
    char *text = xmalloc(TEXT_MAX);
    bool is = false;
    if (getgrnam_r(group, &entry, text, TEXT_MAX, &found) == 0 && found) {
        gid_t wanted = entry.gr_gid, *ids = xcalloc(GROUPS_MAX, sizeof *ids);
        int count = GROUPS_MAX;
        if (getgrouplist(login, first, ids, &count) >= 0)
            for (int i = 0; i < count; i++)
                is = is || ids[i] == wanted;
        free(ids);
    }
    free(text);
    return is;
}

static void look_up(uv_work_t *work)
{
    Caller *caller = work->data;
    struct passwd entry, *found = NULL;
    char *text = xmalloc(TEXT_MAX);
    bool is = getpwuid_r(caller->uid, &entry, text, TEXT_MAX, &found) == 0 && found;
    username_from_login(is ? entry.pw_name : NULL, caller->uid, caller->found);
    caller->found_admin = caller->uid == 0 || caller->uid == geteuid() ||
                          (is && caller->group && in_group(entry.pw_name, entry.pw_gid, caller->group));
    free(text);
}

/* --- rows -------------------------------------------------------------------------------------------------- */

static void row_free(Caller *caller)
{
    Caller **at = &caller->all->first;
    while (*at != caller)
        at = &(*at)->next;
    *at = caller->next;
    free(caller);
}

static void on_looked_up(uv_work_t *work, int status)
{
    Caller *caller = work->data;
    Callers *all = caller->all;
    caller->asking = false;
    free(caller->group);
    caller->group = NULL;
    if (all->closing) {
        row_free(caller);
        return;
    }
    if (status == 0) {
        snprintf(caller->name, sizeof caller->name, "%s", caller->found);
        caller->admin = caller->found_admin;
        caller->named = true;
        caller->named_at = mono_ms();
        all->on_named(all->owner, caller);
    }
}

static void ask_name(Caller *caller)
{
    caller->lookup.data = caller;
    caller->group = caller->all->admin_group ? xstrdup(caller->all->admin_group) : NULL;
    caller->asking = uv_queue_work(caller->all->loop, &caller->lookup, look_up, on_looked_up) == 0;
}

void callers_init(Callers *callers, uv_loop_t *loop, const char *admin_group,
                  void (*on_named)(void *owner, Caller *caller), void *owner)
{
    *callers = (Callers){
        .loop = loop, .admin_group = admin_group ? xstrdup(admin_group) : NULL, .on_named = on_named, .owner = owner};
}

Caller *callers_add(Callers *callers, uid_t uid, Mono now)
{
    Caller *caller = callers->first;
    while (caller && caller->uid != uid)
        caller = caller->next;
    if (callers->closing || callers->connections >= CALLERS_IN_ALL ||
        (caller && caller->connections >= CALLERS_PER_USER))
        return NULL;
    if (!caller) {
        caller = xcalloc(1, sizeof *caller);
        *caller = (Caller){.next = callers->first, .all = callers, .uid = uid, .tokens = BURST, .filled_at = now};
        callers->first = caller;
    }
    caller->connections++;
    callers->connections++;
    if (!caller->asking && (!caller->named || now - caller->named_at > CALLERS_KEEP_MS)) {
        caller->named = false; /* a member who left the group is no administrator for longer than this */
        ask_name(caller);
    }
    return caller;
}

/* The row stays: the next call of the same user finds its name, and its rate goes on. */
void callers_remove(Callers *callers, Caller *caller)
{
    caller->connections--;
    callers->connections--;
}

bool callers_take(Caller *caller, size_t bytes, Mono now)
{
    caller->tokens += (double)(now - caller->filled_at) * RATE / 1000;
    caller->tokens = caller->tokens > BURST ? BURST : caller->tokens;
    caller->filled_at = now;
    if (caller->tokens < 1)
        return false;
    caller->tokens -= 1 + (double)(bytes / CALL_BYTES);
    return true;
}

void callers_close(Callers *callers)
{
    callers->closing = true;
    for (Caller *caller = callers->first, *next; caller; caller = next) {
        next = caller->next;
        if (caller->asking)
            uv_cancel((uv_req_t *)&caller->lookup);
        else
            row_free(caller);
    }
    free(callers->admin_group);
    callers->admin_group = NULL;
}
