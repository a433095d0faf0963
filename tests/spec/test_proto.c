/* The worker protocol, fed whole, byte by byte, and with invalid input. */
#include "spec/proto.h"

#include "tests/test.h"

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    char *text = cJSON_PrintUnformatted(message);
    buf_printf(ctx, "%s %s\n", proto_name(type), text);
    cJSON_free(text);
}

static const char traffic[] =
    "{\"type\":\"hello\",\"version\":3,\"pid\":7,\"device\":\"cpu\",\"name\":\"a b\",\"memory_mib\":4096}\n"
    "{\"type\":\"loaded\",\"job\":\"k\",\"seconds\":0.25,\"warm\":[\"s.pt\"]}\n"
    "{\"type\":\"work\",\"token\":\"t\",\"job\":\"k\",\"phase\":\"images\",\"lo\":0,\"hi\":10,\"n\":10,\"spec\":{}}\n"
    "{\"type\":\"progress\",\"token\":\"t\",\"upto\":4,\"rate\":1.5,\"stage\":\"decode\"}\n"
    "{\"type\":\"yield\",\"token\":\"t\"}\n"
    "{\"type\":\"cancel\",\"token\":\"t\"}\n"
    "{\"type\":\"yielded\",\"token\":\"t\",\"upto\":5}\n"
    "{\"type\":\"finished\",\"token\":\"t\",\"upto\":10,\"ms\":1200,\"fid\":1.5,\"metrics\":{\"kid\":0.5}}\n"
    "{\"type\":\"finished\",\"token\":\"t\",\"upto\":10,\"ms\":1200,\"fid\":null}\n"
    "{\"type\":\"finished\",\"token\":\"t\",\"upto\":1,\"ms\":3,\"images\":50000}\n"
    "{\"type\":\"failed\",\"token\":\"t\",\"upto\":0,\"kind\":\"io\",\"policy\":\"hold\",\"text\":\"x\"}\n"
    "{\"type\":\"log\",\"level\":\"info\",\"text\":\"one\\nline\"}\n"
    "{\"type\":\"alive\"}\n"
    "{\"type\":\"stop\"}\n";

static char *expected_of(const char *lines)
{
    Buf buf = {0};
    while (*lines) {
        int len = (int)strcspn(lines, "\n");
        const char *name = lines + strlen("{\"type\":\"");
        buf_printf(&buf, "%.*s %.*s\n", (int)strcspn(name, "\""), name, len, lines);
        lines += len + 1;
    }
    return buf.data;
}

static void test_pieces_of_any_size(void **state)
{
    (void)state;
    char *expected = expected_of(traffic);
    for (size_t step = 1; step <= sizeof traffic; step += step < 20 ? 1 : 97) {
        ProtoReader reader = {0};
        Buf got = {0};
        Err err = {0};
        for (size_t at = 0; at < sizeof traffic - 1; at += step) {
            size_t len = sizeof traffic - 1 - at < step ? sizeof traffic - 1 - at : step;
            assert_ok(proto_feed(&reader, traffic + at, len, on_message, &got, &err), err);
        }
        assert_string_equal(got.data, expected);
        buf_free(&got);
        proto_reader_free(&reader);
    }
    free(expected);
}

static void test_encode(void **state)
{
    (void)state;
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "token", "a\nb");
    cJSON_AddNumberToObject(fields, "upto", 999999999999999.0);
    char *line = proto_encode(PROTO_YIELDED, fields);
    assert_string_equal(line, "{\"type\":\"yielded\",\"token\":\"a\\nb\",\"upto\":999999999999999}\n");
    ProtoReader reader = {0};
    Buf got = {0};
    Err err = {0};
    assert_ok(proto_feed(&reader, line, strlen(line), on_message, &got, &err), err);
    assert_non_null(strstr(got.data, "yielded {"));
    buf_free(&got);
    proto_reader_free(&reader);
    free(line);
    line = proto_encode(PROTO_ALIVE, NULL);
    assert_string_equal(line, "{\"type\":\"alive\"}\n");
    free(line);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *line, *word;
    } rows[] = {
        {"\n", "not a JSON object"},
        {"hello\n", "not a JSON object"},
        {"[]\n", "not a JSON object"},
        {"{\"type\":\"alive\"} {}\n", "not a JSON object"},
        {"{}\n", "without \"type\""},
        {"{\"type\":7}\n", "without \"type\""},
        {"{\"type\":\"halt\"}\n", "unknown message \"halt\""},
        {"{\"type\":\"yield\"}\n", "\"yield\" lacks \"token\""},
        {"{\"type\":\"yield\",\"token\":7}\n", "\"token\" is not text"},
        {"{\"type\":\"yielded\",\"token\":\"t\",\"upto\":1.5}\n", "\"upto\" is not a whole number"},
        {"{\"type\":\"yielded\",\"token\":\"t\",\"upto\":-1}\n", "\"upto\" is not a whole number"},
        {"{\"type\":\"finished\",\"token\":\"t\",\"upto\":1,\"ms\":1e999}\n", "\"ms\" is not a number"},
        {"{\"type\":\"finished\",\"token\":\"t\",\"upto\":1,\"ms\":1,\"fid\":\"x\"}\n", "\"fid\" is not a number"},
        {"{\"type\":\"finished\",\"token\":\"t\",\"upto\":1,\"ms\":1,\"metrics\":[1]}\n",
         "\"metrics\" is not an object"},
        {"{\"type\":\"load\",\"spec\":{}}\n", "unknown message \"load\""},
        {"{\"type\":\"work\",\"token\":\"t\",\"job\":\"k\",\"phase\":\"images\",\"lo\":0,\"hi\":1,\"n\":1,\"spec\":[]}"
         "\n",
         "\"spec\" is not an object"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        ProtoReader reader = {0};
        Buf got = {0};
        Err err = {0};
        assert_err(proto_feed(&reader, rows[i].line, strlen(rows[i].line), on_message, &got, &err), err, rows[i].word);
        assert_int_equal(err.kind, ERR_PROTOCOL);
        assert_null(got.data);
        assert_err(proto_feed(&reader, traffic, sizeof traffic - 1, on_message, &got, &err), err, "could not be read");
        proto_reader_free(&reader);
    }
    ProtoReader reader = {0};
    Err err = {0};
    assert_err(proto_feed(&reader, "{\"type\":\"stop\"}\0x\n", 18, on_message, NULL, &err), err, "not a JSON object");
    proto_reader_free(&reader);
}

static void test_long_line(void **state)
{
    (void)state;
    enum { CHUNK = 1000 };
    char chunk[CHUNK];
    memset(chunk, ' ', sizeof chunk);
    ProtoReader reader = {0};
    Err err = {0};
    size_t fed = 0;
    while (proto_feed(&reader, chunk, sizeof chunk, on_message, NULL, &err)) {
        fed += sizeof chunk;
        assert_true(fed < PROTO_LINE_MAX);
    }
    assert_true(fed > PROTO_LINE_MAX - 2 * CHUNK);
    assert_non_null(strstr(err.text, "more than 1048576 bytes"));
    assert_null(reader.line.data); /* invalid input leaves no state behind */
    proto_reader_free(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_any_size),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
