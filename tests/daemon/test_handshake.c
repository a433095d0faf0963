/* What a server's INFO must contain before ddq works with it. */
#include "tests/test.h"

#include "daemon/redis/handshake.h"

#define GOOD "loading:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n"

static void servers(void **state)
{
    (void)state;
    static const struct {
        const char *info, *words[2];
        bool unfit;
    } rows[] = {
        {"# Server\r\nredis_version:7.0.15\r\n" GOOD, {NULL, NULL}, false},
        {"redis_version:10.2\r\n" GOOD, {NULL, NULL}, false},
        {"redis_version:6.2.14\r\n" GOOD, {"6.2.14", "7.0 or newer"}, true},
        {"redis_version:7.2\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\nrole:master\r\n",
         {"append-only", "appendonly yes"},
         true},
        {"redis_version:7.2\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\nrole:master\r\n",
         {"allkeys-lru", "noeviction"},
         true},
        {"redis_version:7.2\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:slave\r\n",
         {"slave", "master"},
         true},
        {"redis_version:7.2\r\nloading:1\r\nrole:master\r\n", {"loading", ""}, false},
        {"", {"version", "INFO"}, true},
        {"HTTP/1.1 400 Bad Request\r\n", {"version", "is it a Redis"}, true},
        {"x_redis_version:7.2\r\n", {"version", "INFO"}, true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        bool unfit = false, ok = handshake_check_info(rows[i].info, &unfit, &err);
        assert_int_equal(ok, rows[i].words[0] == NULL);
        for (int w = 0; !ok && w < 2; w++)
            if (!strstr(err.text, rows[i].words[w]))
                fail_msg("row %zu: \"%s\" lacks \"%s\"", i, err.text, rows[i].words[w]);
        if (!ok)
            assert_int_equal(unfit, rows[i].unfit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(servers)};
    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
