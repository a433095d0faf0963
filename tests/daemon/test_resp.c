/* Commands as bytes of any user: whole, in parts, and wrong. */
#include "tests/test.h"

#include "daemon/gate/resp.h"
#include "daemon/gate/rules.h"
#include "daemon/redis/reply.h"

static const char call[] = "*5\r\n$5\r\nFCALL\r\n$8\r\nddq_show\r\n$1\r\n1\r\n$5\r\n{ddq}\r\n$2\r\n{}\r\n";

static void every_beginning_of_a_command_wants_more(void **state)
{
    (void)state;
    RespCommand command;
    size_t need;
    const char *why;
    for (size_t len = 0; len < sizeof call - 1; len++) {
        assert_int_equal(resp_parse(call, len, &command, &need, &why), RESP_MORE);
        assert_true(need > len && need < sizeof call);
    }
    assert_int_equal(resp_parse(call, sizeof call - 1, &command, &need, &why), RESP_COMPLETE);
    assert_int_equal(command.count, 5);
    assert_int_equal(command.size, sizeof call - 1);
    assert_true(resp_word_is(command.words[1], "ddq_show") && resp_word_is(command.words[0], "fcall"));
    assert_int_equal(gate_judge(&command).action, GATE_CALL);
}

static void words_are_any_bytes(void **state)
{
    (void)state;
    const char bytes[] = "*2\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n*1\r\n";
    RespCommand command;
    size_t need;
    const char *why;
    assert_int_equal(resp_parse(bytes, sizeof bytes - 1, &command, &need, &why), RESP_COMPLETE);
    assert_int_equal(command.size, sizeof bytes - 5);
    assert_int_equal(command.words[0].len, 4);
    assert_memory_equal(command.words[0].data, "a\0\r\n", 4);
    assert_int_equal(command.words[1].len, 0);
    assert_int_equal(gate_judge(&command).action, GATE_REFUSE);
}

static void wrong_bytes_are_refused_as_soon_as_they_are_seen(void **state)
{
    (void)state;
    const char *const rows[] = {"PING\r\n",
                                "+",
                                "*x",
                                "*9",
                                "*0\r\n",
                                "*-1\r\n",
                                "*1\n",
                                "*\r\n",
                                "*1\r\r",
                                "*1\r\n*",
                                "*1\r\n$-1",
                                "*1\r\n$2621441",
                                "*1\r\n$2\r\nabc\r\n",
                                "*00000000000000001\r\n"};
    for (size_t i = 0; i < countof(rows); i++) {
        RespCommand command;
        size_t need;
        const char *why = NULL;
        assert_int_equal(resp_parse(rows[i], strlen(rows[i]), &command, &need, &why), RESP_INVALID);
        assert_non_null(why);
    }
}

/* Two words may each be allowed and together be too long. */
static void a_command_has_a_limit_as_a_whole(void **state)
{
    (void)state;
    Buf bytes = {0};
    char *half = xcalloc(1, 1400000);
    buf_printf(&bytes, "*2\r\n$1400000\r\n");
    buf_add(&bytes, half, 1400000);
    buf_printf(&bytes, "\r\n$1400000\r\n");
    RespCommand command;
    size_t need;
    const char *why;
    assert_int_equal(resp_parse(bytes.data, bytes.len, &command, &need, &why), RESP_INVALID);
    assert_non_null(strstr(why, "2,621,440"));
    free(half);
    buf_free(&bytes);
}

static void an_error_is_one_line(void **state)
{
    (void)state;
    Buf out = {0};
    reply_add_error(&out, "ERR a\r\n+OK\x7f");
    buf_add(&out, "", 1);
    assert_string_equal(out.data, "-ERR a  +OK \r\n");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_beginning_of_a_command_wants_more),
        cmocka_unit_test(words_are_any_bytes),
        cmocka_unit_test(wrong_bytes_are_refused_as_soon_as_they_are_seen),
        cmocka_unit_test(a_command_has_a_limit_as_a_whole),
        cmocka_unit_test(an_error_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
