/* What error replies of Redis mean, word for word as servers of several versions send them. */
#include "tests/test.h"

#include "queue/redis_error.h"
#include "queue/redis_info.h"

static void replies(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        int exit_code;
        const char *word;
        bool soon, reconnect;
    } rows[] = {
        {"NOAUTH Authentication required.", 77, "wants a password", false, true},
        {"WRONGPASS invalid username-password pair or user is disabled.", 77, "wrong", false, false},
        {"ERR AUTH <password> called without any password configured for the default user. Are you sure your "
         "configuration is correct?",
         77, "has no password", false, false},
        {"NOREDIS the Redis of this daemon cannot be reached", 69, "tries again", false, false},
        {"NOPERM ddqd lets users call the functions of ddq's clients", 77, "socket of a daemon", false, false},
        {"NOPERM this user has no permissions to run the 'fcall' command", 77, "ACL", false, false},
        {"NOPERM User default has no permissions to run the 'publish' command", 77, "ACL", false, false},
        {"NOPERM this user has no permissions to access one of the channels used as arguments", 77, "ACL", false,
         false},
        {"ERR user_function:2729: ERR The user executing the script can't run this command or subcommand script: "
         "ddq_submit, on @user_function:2729.",
         77, "ACL", false, false},
        {"ERR ACL failure in script: User default has no permissions to run the 'hset' command script: ddq_submit, on "
         "@user_function:1.",
         77, "ACL", false, false},
        {"DENIED Redis is running in protected mode because protected mode is enabled", 77, "protected mode", false,
         false},
        {"ERR DB index is out of range", 2, "database", false, false},
        {"ERR invalid DB index", 2, "database", false, false},
        {"ERR SELECT is not allowed in cluster mode", 2, "database 0", false, false},
        {"ERR unknown command 'INFO', with args beginning with: 'server' ", 69, "renamed", false, false},
        {"ERR unknown command `FCALL`, with args beginning with: `ddq_list`", 69, "7.0", false, false},
        {"ERR unknown subcommand 'LIST'. Try FUNCTION HELP.", 69, "7.0", false, false},
        {"READONLY You can't write against a read only replica.", 69, "primary", false, true},
        {"READONLY Can not run script with write flag on readonly replica.", 69, "primary", false, true},
        {"MOVED 4137 10.0.0.7:6379", 69, "10.0.0.7:6379", false, true},
        {"CROSSSLOT Keys in request don't hash to the same slot", 69, "cluster", false, false},
        {"REDIRECT 10.0.0.7:6379", 69, "10.0.0.7:6379", false, true},
        {"ASK 4137 10.0.0.7:6379", 75, "cluster", true, true},
        {"LOADING Redis is loading the dataset in memory", 75, "reads its files", true, true},
        {"LOADING Valkey is loading the dataset in memory", 75, "reads its files", true, true},
        {"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.", 75,
         "FUNCTION KILL", true, false},
        {"ERR max number of clients reached", 75, "maxclients", true, true},
        {"ERR max number of clients + cluster connections reached", 75, "maxclients", true, true},
        {"CLUSTERDOWN The cluster is down", 75, "cluster", true, true},
        {"CLUSTERDOWN Hash slot not served", 75, "cluster", true, true},
        {"TRYAGAIN Multiple keys request during rehashing of slot", 75, "cluster", true, true},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 75, "primary", true, true},
        {"NOREPLICAS Not enough good replicas to write.", 75, "min-replicas", true, false},
        {"OOM command not allowed when used memory > 'maxmemory'.", 75, "maxmemory", false, false},
        {"ERR user_function:88: OOM command not allowed when used memory > 'maxmemory'.", 75, "maxmemory", false,
         false},
        {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", 75, "disk",
         false, false},
        {"MISCONF Errors writing to the AOF file: No space left on device", 75, "disk", false, false},
        {"ERR Function not found", 75, "library", true, true},
        {"ERR user_function:12: attempt to index a nil value", 1, "an error", false, false},
        {"ERR syntax error", 1, "an error", false, false},
        {"BUSYKEY Target key name already exists.", 1, "an error", false, false},
        {"", 1, "an error", false, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        const RedisError *row = redis_error_find(rows[i].reply);
        assert_false(redis_error_set("Redis at unix:/r", rows[i].reply, &err));
        if (!strstr(err.text, rows[i].word) || strncmp(err.text, "Redis at unix:/r: ", 18) != 0)
            fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].reply, err.text, rows[i].word);
        if (err_exit_code(err.kind) != rows[i].exit_code)
            fail_msg("%s: exit status %d, wanted %d", rows[i].reply, err_exit_code(err.kind), rows[i].exit_code);
        assert_int_equal(row->soon, rows[i].soon);
        assert_int_equal(row->reconnect, rows[i].reconnect);
    }
}

/* A server that does not know AUTH repeats its argument. */
static void no_reply_repeats_a_password(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "ERR unknown command 'AUTH', with args beginning with: 'hunter2' ",
        "ERR unknown command `AUTH`, with args beginning with: `hunter2`, ",
        "WRONGPASS hunter2 is wrong",
        "ERR hunter2?",
        "hunter2",
        "",
    };
    for (size_t i = 0; i < countof(replies); i++) {
        Err err = {0};
        redis_error_auth("Redis at h", replies[i], &err);
        assert_null(strstr(err.text, "hunter2"));
        assert_true(err.kind == ERR_PERMISSION || err.kind == ERR_UNREACHABLE);
        redis_error_auth(NULL, replies[i], &err);
        assert_null(strstr(err.text, "Redis at"));
    }
    Err err = {0};
    redis_error_set(NULL, "ERR unknown command 'X', with args beginning with: 'hunter2'", &err);
    assert_null(strstr(err.text, "hunter2"));
}

static const RedisFact *fact_of(const char *name)
{
    const RedisFact *fact;
    for (int i = 0; (fact = redis_fact(i)); i++)
        if (strcmp(fact->name, name) == 0)
            return fact;
    fail_msg("no fact %s", name);
    return NULL;
}

static void facts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *info, *word; /* a word of the note, or of the error */
        int exit_code;
    } rows[] = {
        {"redis version", "redis_version:7.0.15\r\n", "Redis 7.0.15", 0},
        {"redis version", "server_name:valkey\r\nvalkey_version:8.1.1\r\nredis_version:7.2.4\r\n", "Valkey 8.1.1", 0},
        {"redis version", "redis_version:6.2.1\r\n", "upgrade", 69},
        {"redis data", "loading:1\r\n", "loading", 75},
        {"redis role", "role:slave\r\n", "master", 69},
        {"persistence", "aof_enabled:0\r\n", "appendonly yes", 69},
        {"persistence", "aof_enabled:1\r\n", "appendonly yes", 0},
        {"eviction", "maxmemory_policy:volatile-lru\r\n", "volatile-lru", 69},
        {"redis disk", "aof_last_write_status:ok\r\n", "succeeded", 0},
        {"redis disk", "aof_last_write_status:err\r\n", "free space", 75},
        {"redis memory", "used_memory:2097152\r\nmaxmemory:4194304\r\n", "2 of 4 MiB", 0},
        {"redis memory", "used_memory:2097152\r\nmaxmemory:2097152\r\n", "full (2 of 2 MiB)", 75},
        {"redis memory", "used_memory:2097152\r\nmaxmemory:0\r\n", "no limit", 0},
        {"redis memory", "", "no limit", 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char note[REDIS_NOTE] = "";
        Err err = {0};
        bool ok = fact_of(rows[i].name)->judge(rows[i].info, note, &err);
        assert_int_equal(ok ? 0 : err_exit_code(err.kind), rows[i].exit_code);
        if (!strstr(ok ? note : err.text, rows[i].word))
            fail_msg("%s of %s: \"%s\" lacks \"%s\"", rows[i].name, rows[i].info, ok ? note : err.text, rows[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(no_reply_repeats_a_password),
        cmocka_unit_test(facts),
    };
    return cmocka_run_group_tests_name("redis_error", tests, NULL, NULL);
}
