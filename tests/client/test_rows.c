/* The rows of ddq_list: every value, every escape, and answers that hold no rows. Times that people type, and the order
 * of a tree. */
#include "tests/test.h"

#include <time.h>

#include "client/queue/rows.h"
#include "client/queue/tree.h"
#include "client/terminal/when.h"

static const char answer[] =
    "{\"columns\":[\"id\",\"state\",\"user\",\"model\",\"name\",\"reason\",\"done\",\"images\",\"rate\",\"created\","
    "\"new\",\"kind\",\"recipe\",\"fid\"],"
    "\"more\":false, "
    "\"rows\":[[\"aaaaaa\",\"running\",\"ada\",\"digits\",\"n\",\"\",3,10,0.25,1700000000000,\"?\",\"sample\",\"a-1\","
    "1.5], "
    "[\"bbbbbb\",\"held\",\"bob\",\"\",\"x]\",\"a \\\"b\\\" \\\\ "
    "\\u00e9\\u2014\\t[\",0,1e3,-1,17,7,\"evaluate\"]],\"status\":\"ok\"}";

static void test_values(void **state)
{
    (void)state;
    Rows rows;
    Err err = {0};
    assert_true(rows_read(cJSON_Parse(answer), &rows, &err));
    assert_int_equal(rows.count, 2);
    const JobRow *row = &rows.items[0];
    assert_string_equal(row->id, "aaaaaa");
    assert_int_equal(row->state, JOB_RUNNING);
    assert_true(row->done == 3 && row->images == 10 && row->rate == 0.25 && row->created == 1700000000000);
    assert_true(row_eta(row) == 28);
    assert_string_equal(row->recipe, "a-1");
    assert_true(row->fid == 1.5 && row[1].fid == -1 && *row[1].recipe == 0);
    row++;
    assert_string_equal(row->reason, "a \"b\" \\ \303\251\342\200\224\t[");
    assert_string_equal(row->name, "x]");
    assert_string_equal(row->kind, "evaluate");
    assert_true(row->images == 1000 && row->rate == -1 && row->state == JOB_HELD && row_eta(row) == 0);
    rows_free(&rows);
    assert_true(rows_read(cJSON_Parse("{\"columns\":[],\"rows\":[],\"status\":\"ok\"}"), &rows, &err));
    assert_int_equal(rows.count, 0);
    rows_free(&rows);
}

/* Each is an error with a sentence. What is no JSON at all never comes here (redis_call reads it). */
static void test_bad_answers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"status\":\"ok\"}",
        "{\"status\":\"ok\",\"rows\":[]}",
        "{\"status\":\"ok\",\"columns\":{},\"rows\":[]}",
        "{\"status\":\"ok\",\"columns\":[],\"rows\":[[]]}",
        "{\"status\":\"ok\",\"columns\":[],\"rows\":[{}]}",
        "{\"status\":\"ok\",\"columns\":[],\"rows\":[{\"a\":1}]}",
        "{\"status\":\"ok\",\"columns\":[],\"rows\":[[null]]}",
        "{\"status\":\"ok\",\"columns\":[\"id\"],\"rows\":[[\"a\"],[\"b\",[]]]}",
    };
    Rows rows;
    for (size_t i = 0; i < countof(bad); i++) {
        Err err = {0};
        assert_false(rows_read(cJSON_Parse(bad[i]), &rows, &err));
        assert_true(err.kind != ERR_NONE && *err.text);
        rows_free(&rows);
    }
}

static void test_times_here(void **state)
{
    (void)state;
    static const struct {
        const char *text, *here;
    } rows[] = {
        {"", ""},
        {"may run from 2026-11-30T03:00Z, in 2 h", "may run from 22:00 NYT, in 2 h"}, /* still the 29th here */
        {"2026-12-01T03:00Z", "22:00 NYT tomorrow"},
        {"2026-12-02T03:00Z", "2026-12-01 22:00 NYT"},
        {"2028-02-29T23:59Z 2028-03-01T05:00Z", "2028-02-29 18:59 NYT 2028-03-01 00:00 NYT"},
        {"a 2026-11-30T03:00:59Z b", "a 2026-11-29 22:00:59 NYT b"},
        {"2026-11-30T03:00", "2026-11-30T03:00"},
        {"2026-11-30T03:0xZ 12", "2026-11-30T03:0xZ 12"},
        {"x2026-11-30T03:00Zx", "x22:00 NYTx"},
    };
    const Wall now = 1796000400000; /* 2026-11-30T01:00Z */
    setenv("TZ", "NYT5", 1);
    tzset();
    for (size_t i = 0; i < countof(rows); i++) {
        char *here = when_here(rows[i].text, now);
        assert_string_equal(here, rows[i].here);
        free(here);
    }
    unsetenv("TZ");
    tzset();
}

static void test_tree(void **state)
{
    (void)state;
    setenv("LC_ALL", "C", 1);
    cJSON *jobs = cJSON_Parse("[{\"id\":\"d\",\"after\":[\"b\",\"gone\"]},{\"id\":\"c\",\"after\":[\"a\"]},"
                              "{\"id\":\"b\",\"after\":[\"a\"]},{\"id\":\"a\"},{\"id\":\"z\",\"after\":[\"z\",3]}]");
    static const char *const labels[] = {"a", "|- b", "|  `- d", "`- c", "z"};
    int count;
    TreeRow *rows = tree_rows(jobs, &count);
    assert_int_equal(count, countof(labels));
    for (int i = 0; i < count; i++)
        assert_string_equal(rows[i].label, labels[i]);
    assert_string_equal(rows[2].also, "gone");
    assert_null(rows[1].also);
    tree_free(rows, count);
    cJSON_Delete(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_times_here),
        cmocka_unit_test(test_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
