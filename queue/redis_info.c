/* To add a fact: a function and its row. INFO answers everything about the server in one round trip and needs no right
 * to read its configuration. */
#include "queue/redis_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

bool redis_info_field(const char *info, const char *name, char *ret_value, size_t size)
{
    size_t len = strlen(name);
    for (const char *line = info; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            snprintf(ret_value, size, "%.*s", (int)strcspn(line + len + 1, "\r\n"), line + len + 1);
            return true;
        }
    return false;
}

/* Valkey names the Redis whose commands it has, 7.2.4, and its own version beside it. */
static bool version(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32] = "", own[32];
    if (!redis_info_field(info, "redis_version", value, sizeof value))
        return err_set(err, ERR_UNREACHABLE, "the server shows no redis_version in INFO; is it a Redis?");
    if (atoi(value) < 7)
        return err_set(
            err, ERR_UNREACHABLE,
            "Redis is version %s, and ddq needs 7.0 or newer for function libraries: upgrade redis-server, or run ddqd "
            "--standalone with a newer one",
            value);
    if (redis_info_field(info, "valkey_version", own, sizeof own))
        snprintf(ret_note, REDIS_NOTE, "Valkey %s (Redis %s)", own, value);
    else
        snprintf(ret_note, REDIS_NOTE, "Redis %s", value);
    return true;
}

static bool loading(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32];
    if (redis_info_field(info, "loading", value, sizeof value) && strcmp(value, "0") != 0)
        return err_set(err, ERR_BUSY, "Redis has just started and is still loading its data");
    snprintf(ret_note, REDIS_NOTE, "its data is loaded");
    return true;
}

static bool role(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32];
    if (redis_info_field(info, "role", value, sizeof value) && strcmp(value, "master") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "Redis is a %s, and the queue needs a writable server: give the address of the master", value);
    snprintf(ret_note, REDIS_NOTE, "master");
    return true;
}

static bool persistence(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32];
    if (!redis_info_field(info, "aof_enabled", value, sizeof value) || strcmp(value, "1") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "Redis keeps no append-only file, so a restart would lose jobs: set 'appendonly yes' and "
                       "'appendfsync always' in its configuration (now: redis-cli CONFIG SET appendonly yes)");
    snprintf(ret_note, REDIS_NOTE, "appendonly yes");
    return true;
}

/* Redis goes on without its disk; then it refuses changes, or keeps them in memory alone. */
static bool disk(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32];
    if (redis_info_field(info, "aof_last_write_status", value, sizeof value) && strcmp(value, "ok") != 0)
        return err_set(err, ERR_BUSY,
                       "Redis cannot write its append-only file, so it takes no changes: free space on its disk, or "
                       "mend what its log names");
    snprintf(ret_note, REDIS_NOTE, "the last write of its file succeeded");
    return true;
}

static bool eviction(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32] = "not shown";
    if (!redis_info_field(info, "maxmemory_policy", value, sizeof value) || strcmp(value, "noeviction") != 0)
        return err_set(
            err, ERR_UNREACHABLE,
            "Redis may evict keys, which are jobs (maxmemory-policy is %s): set 'maxmemory-policy noeviction' "
            "in its configuration",
            value);
    snprintf(ret_note, REDIS_NOTE, "noeviction");
    return true;
}

/* A full server takes no new jobs; those that run may still report. */
static bool memory(const char *info, char ret_note[REDIS_NOTE], Err *err)
{
    char value[32] = "";
    long long used = redis_info_field(info, "used_memory", value, sizeof value) ? atoll(value) : 0;
    long long most = redis_info_field(info, "maxmemory", value, sizeof value) ? atoll(value) : 0;
    if (most > 0 && used >= most)
        return err_set(
            err, ERR_BUSY,
            "Redis is full (%lld of %lld MiB), so it takes no new jobs: raise maxmemory there, or cancel jobs",
            used >> 20, most >> 20);
    if (most > 0)
        snprintf(ret_note, REDIS_NOTE, "%lld of %lld MiB used", used >> 20, most >> 20);
    else
        snprintf(ret_note, REDIS_NOTE, "%lld MiB used, no limit (maxmemory)", used >> 20);
    return true;
}

static const RedisFact facts[] = {
    {"redis version", true, version},   {"redis data", true, loading}, {"redis role", true, role},
    {"persistence", true, persistence}, {"eviction", true, eviction},  {"redis disk", false, disk},
    {"redis memory", false, memory},
};

const char *const redis_info_sections[] = {"server", "persistence", "replication", "memory", NULL};

const RedisFact *redis_fact(int index)
{
    return index >= 0 && index < (int)countof(facts) ? &facts[index] : NULL;
}
