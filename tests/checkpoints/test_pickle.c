/* The pickle machine alone: each opcode leaves the right value, nothing is called, nesting uses no stack. */
#include "tests/test.h"

#include "worker/checkpoints/pickle.h"

static char *print(const PickleValue *value, int depth, Buf *out);

static void print_items(const PickleValue *value, const char *close, int depth, Buf *out)
{
    for (uint32_t i = 0; i < value->count; i++) {
        buf_printf(out, "%s", i == 0 ? "" : value->kind == PICKLE_DICT && i % 2 ? ":" : ",");
        print(value->items[i], depth + 1, out);
    }
    buf_printf(out, "%s", close);
}

/* A short notation of values, for the table below. */
static char *print(const PickleValue *value, int depth, Buf *out)
{
    if (depth > 4) {
        buf_printf(out, "...");
        return out->data;
    }
    switch (value->kind) {
    case PICKLE_NONE:
        buf_printf(out, "None");
        break;
    case PICKLE_BOOL:
        buf_printf(out, value->integer ? "True" : "False");
        break;
    case PICKLE_INT:
        buf_printf(out, "%lld", (long long)value->integer);
        break;
    case PICKLE_LONG:
        buf_printf(out, "long%u", value->len);
        break;
    case PICKLE_FLOAT:
        buf_printf(out, "%gf", value->real);
        break;
    case PICKLE_TEXT:
        buf_printf(out, "'%.*s'", (int)value->len, value->text);
        break;
    case PICKLE_BYTES:
        buf_printf(out, "b'%.*s'", (int)value->len, value->text);
        break;
    case PICKLE_TUPLE:
        buf_printf(out, "(");
        print_items(value, ")", depth, out);
        break;
    case PICKLE_LIST:
        buf_printf(out, "[");
        print_items(value, "]", depth, out);
        break;
    case PICKLE_DICT:
        buf_printf(out, "{");
        print_items(value, "}", depth, out);
        break;
    case PICKLE_GLOBAL:
        buf_printf(out, "%.*s.%.*s", (int)value->len, value->text, (int)value->name_len, value->name);
        break;
    case PICKLE_PERSISTENT:
        buf_printf(out, "@");
        print(value->args, depth + 1, out);
        break;
    case PICKLE_OBJECT:
        buf_printf(out, "<");
        print(value->call, depth + 1, out);
        print(value->args, depth + 1, out);
        if (value->state->kind != PICKLE_NONE) {
            buf_printf(out, "|");
            print(value->state, depth + 1, out);
        }
        if (value->count)
            buf_printf(out, "|");
        print_items(value, ">", depth, out);
        break;
    }
    return out->data;
}

#define P(pickle, text)                                                                                                \
    {                                                                                                                  \
        pickle, sizeof pickle - 1, text                                                                                \
    }

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } rows[] = {
        P("N.", "None"),
        P("\x80\x02\x88.", "True"),
        P("\x80\x02\x89.", "False"),
        P("I01\n.", "True"),
        P("I00\n.", "False"),
        P("I1\n.", "1"),
        P("I-77\n.", "-77"),
        P("L123456789012L\n.", "123456789012"),
        P("K\xff.", "255"),
        P("M\x01\x02.", "513"),
        P("J\xff\xff\xff\xff.", "-1"),
        P("J\x00\x00\x00\x80.", "-2147483648"),
        P("\x8a\x00.", "0"),
        P("\x8a\x01\xff.", "-1"),
        P("\x8a\x02\x00\xff.", "-256"),
        P("\x8a\x02\xff\x00.", "255"),
        P("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", "9223372036854775807"),
        P("\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80.", "-9223372036854775808"),
        P("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "long9"),
        P("G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5f"),
        P("X\x03\x00\x00\x00"
          "abc.",
          "'abc'"),
        P("\x8c\x03"
          "abc.",
          "'abc'"),
        P("\x8d\x03\x00\x00\x00\x00\x00\x00\x00"
          "abc.",
          "'abc'"),
        P("U\x03"
          "abc.",
          "'abc'"),
        P("T\x03\x00\x00\x00"
          "abc.",
          "'abc'"),
        P("C\x03"
          "abc.",
          "b'abc'"),
        P("B\x03\x00\x00\x00"
          "abc.",
          "b'abc'"),
        P("\x8e\x03\x00\x00\x00\x00\x00\x00\x00"
          "abc.",
          "b'abc'"),
        P("\x96\x03\x00\x00\x00\x00\x00\x00\x00"
          "abc.",
          "b'abc'"),
        P("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x05.", "5"),
        P(").", "()"),
        P("(K\x01K\x02t.", "(1,2)"),
        P("K\x01K\x02K\x03\x87.", "(1,2,3)"),
        P("(K\x01(K\x02tt.", "(1,(2))"),
        P("].", "[]"),
        P("]K\x01"
          "a(K\x02K\x03"
          "e.",
          "[1,2,3]"),
        P("(K\x01K\x02l.", "[1,2]"),
        P("\x8f(K\x01K\x02\x90.", "[1,2]"),
        P("(K\x01K\x02\x91.", "[1,2]"),
        P("}K\x01K\x02s(K\x03K\x04K\x05K\x06u.", "{1:2,3:4,5:6}"),
        P("(K\x01K\x02"
          "d.",
          "{1:2}"),
        P("K\x01K\x02"
          "0.",
          "1"),
        P("K\x01(K\x02K\x03"
          "1.",
          "1"),
        P("K\x01(0.", "1"),
        P("K\x01"
          "2\x86.",
          "(1,1)"),
        P("K\x07q\x05"
          "0h\x05.",
          "7"),
        P("K\x07r\x05\x00\x00\x00"
          "0j\x05\x00\x00\x00.",
          "7"),
        P("K\x07\x94K\x08\x94\x86h\x00h\x01\x87.", "((7,8),7,8)"),
        P("K\x07\x94K\x08\x94h\x00\x87.", "(7,8,7)"),
        P("cos\nsystem\n.", "os.system"),
        P("\x8c\x02os\x8c\x06system\x93.", "os.system"),
        P("cos\nsystem\n\x8c\x02ls\x85R.", "<os.system('ls')>"),
        P("ca\nB\n)\x81}\x8c\x01xK\x01sb.", "<a.B()|{'x':1}>"),
        P("ca\nB\n)}\x92.", "<a.B()>"),
        P("ca\nB\n)R\x8c\x01kK\x01s.", "<a.B()|'k',1>"),
        P("(ca\nB\nK\x01o.", "<a.B(a.B,1)>"),
        P("(K\x01ia\nB\n.", "<a.B(1)>"),
        P("ccollections\nOrderedDict\n)R(K\x01K\x02u}b.", "{1:2}"),
        P("ccollections\nOrderedDict\n]](K\x01K\x02"
          "ea\x85R.",
          "{1:2}"),
        P("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01K\x02s.", "{1:2}"),
        P("(\x8c\x07storageK\x01tQ.", "@('storage',1)"),
        P("}q\x00\x8c\x01xh\x00s.", "{'x':{'x':{'x':{'x':{...:...}}}}}"),
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        Arena arena = {0};
        Pickle p;
        Buf out = {0};
        char *copy = xmalloc(rows[i].size);
        memcpy(copy, rows[i].bytes, rows[i].size);
        assert_ok(pickle_read(&arena, (uint8_t *)copy, rows[i].size, &p, &err), err);
        assert_int_equal(p.used, rows[i].size);
        assert_string_equal(print(p.root, 0, &out), rows[i].text);
        for (size_t cut = 0; cut < rows[i].size; cut++)
            assert_false(pickle_read(&arena, (uint8_t *)copy, cut, &p, &err)); /* STOP is the last byte */
        buf_free(&out);
        arena_free(&arena);
        free(copy);
    }
}

static void test_queries(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x02}(\x8c\x01"
                                "aK\x01\x8c\x01"
                                "bca\nB\n\x8c\x01"
                                "aK\x02K\x05Nu.";
    Err err = {0};
    Arena arena = {0};
    Pickle p;
    int64_t number = 0;
    char text[20];
    assert_ok(pickle_read(&arena, (const uint8_t *)bytes, sizeof bytes - 1, &p, &err), err);
    assert_true(pickle_is_int(pickle_get(p.root, "a"), &number));
    assert_int_equal(number, 2); /* the last of equal keys */
    assert_true(pickle_is_global(pickle_get(p.root, "b"), "a", "B"));
    assert_false(pickle_is_global(pickle_get(p.root, "b"), "a", "Bc"));
    assert_null(pickle_get(p.root, "c"));
    assert_null(pickle_get(pickle_get(p.root, "a"), "x"));
    pickle_print_global(pickle_get(p.root, "b"), text, sizeof text);
    assert_string_equal(text, "a.B");
    pickle_print_global(p.root, text, sizeof text);
    assert_string_equal(text, "?");
    arena_free(&arena);
}

/* A million nested containers, and a call of a call of a call: deep, but flat for the machine. */
static void test_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 400000 };
    Err err = {0};
    Arena arena = {0};
    Pickle p;
    Buf file = {0};
    buf_add(&file, "N", 1);
    for (int i = 0; i < DEPTH; i++)
        buf_add(&file, "\x85", 1);
    buf_add(&file, ".", 1);
    assert_ok(pickle_read(&arena, (uint8_t *)file.data, file.len, &p, &err), err);
    assert_int_equal(p.root->kind, PICKLE_TUPLE);
    file.len = 0;
    buf_add(&file, "N", 1);
    for (int i = 0; i < DEPTH; i++)
        buf_add(&file, ")R", 2);
    buf_add(&file, ".", 1);
    char text[20];
    assert_ok(pickle_read(&arena, (uint8_t *)file.data, file.len, &p, &err), err);
    pickle_print_global(p.root, text, sizeof text);
    assert_string_equal(text, "?");
    buf_free(&file);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
