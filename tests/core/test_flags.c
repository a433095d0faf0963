/* The parser and the help printer of all programs. */
#include "tests/test.h"

#include "core/clock.h"
#include "core/flags.h"
#include "core/help.h"
#include "spec/report/fid_flags.h"
#include "spec/metric.h"

static const Flag own[] = {
    {"limit", 'n', "N", "list at most N jobs"},
    {"name", 0, "[TEXT]", "a name"},
    {"all", 'a', NULL, "list the jobs of all users, also of those who have left, and of those who never submitted one"},
    {NULL, 0, NULL, NULL},
};
static const Flag fields[] = {{"t_list", 0, "LIST", ""}, {NULL, 0, NULL, NULL}};
static const Flag common[] = {
    {"quiet", 'q', NULL, "print only ids"}, {"help", 'h', NULL, "print this help"}, {NULL, 0, NULL, NULL}};
static const Command ls = {
    .program = "prog",
    .verb = "ls",
    .args = "[WORD...]",
    .most = 3,
    .summary = "List",
    .detail = "  prog ls --all      a line whose second column is longer than the terminal is wide\n",
    .tables = {{"flags", own}, {NULL, fields}, {"flags of every verb", common}},
};

enum { WORDS_MAX = 16 };

static int split(const char *line, char *copy, char *words[WORDS_MAX])
{
    int count = 0;
    strcpy(copy, line);
    for (char *rest = copy, *word; *line && (word = strsep(&rest, " ")) && count < WORDS_MAX; count++)
        words[count] = word;
    return count;
}

/* "name=value|name|...;arg,arg", or the error. */
static char *parsed(const char *text)
{
    char copy[200], *words[WORDS_MAX];
    int count = split(text, copy, words);
    CommandLine line;
    Err err = {0};
    Buf out = {0};
    buf_add(&out, "", 0);
    if (!flags_parse(&ls, count, words, &line, &err)) {
        assert_int_equal(err.kind, ERR_USAGE);
        buf_printf(&out, "%s", err.text);
    } else {
        for (int i = 0; i < line.flag_count; i++)
            buf_printf(&out, "%s%s%s%s", i ? "|" : "", line.flags[i].name, line.flags[i].value ? "=" : "",
                       line.flags[i].value ? line.flags[i].value : "");
        for (int i = 0; i < line.arg_count; i++)
            buf_printf(&out, "%s%s", i ? "," : ";", line.args[i]);
    }
    flags_free(&line);
    return out.data;
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *line, *wanted; /* a trailing space in line is an empty last word */
    } rows[] = {
        {"", ""},
        {"--limit=3", "limit=3"},
        {"--limit 3", "limit=3"},
        {"-n 3 x", "limit=3;x"},
        {"x --all y -q", "all|quiet;x,y"},
        {"--name= x", "name=;x"},
        {"--name  x", "name=;x"}, /* the word '' */
        {"--name ", "name="},
        {"--name=a=b", "name=a=b"},
        {"--name=--all", "name=--all"},
        {"--name --unknown", "name=--unknown"},
        {"--name -5", "name=-5"},
        {"--name -.5", "name=-.5"},
        {"--name -", "name=-"},
        {"- -5 -.5", ";-,-5,-.5"},
        {"--limit 1 --limit 2", "limit=1|limit=2"},
        {"--t-list 0,80", "t_list=0,80"},
        {"--t_list=0,80", "t_list=0,80"},
        {"-- --all -q", ";--all,-q"},
        {"--all -- -- x", "all;--,x"},
        {"a b c --help d", "help;a,b,c,d"}, /* help of a wrong line */
        {"--limit= x", "--limit is empty, wanted N; leave the flag out if there is none"},
        {"-n  x", "--limit is empty, wanted N; leave the flag out if there is none"},
        {"--t-list ", "--t_list is empty, wanted LIST; leave the flag out if there is none"},
        {"x ", "argument 2 is empty; usage: prog ls [WORD...]"},
        {"--  x", "argument 1 is empty; usage: prog ls [WORD...]"},
        {"--limit", "--limit needs a value: N"},
        {"-n", "-n needs a value: N"},
        {"--limit --all", "--limit needs a value: N; the next word is --all"},
        {"--limit -q", "--limit needs a value: N; the next word is -q"},
        {"--limit --name=x", "--limit needs a value: N; the next word is --name=x"},
        {"--limit -- x", "--limit needs a value: N; the next word is --"},
        {"--all=", "--all takes no value"},
        {"--all=3", "--all takes no value"},
        {"-aq", "give the short flags of -aq separately"},
        {"-n=3", "give the short flags of -n=3 separately"},
        {"--al", "unknown flag --al. Did you mean '--all'? `prog ls --help` lists them"},
        {"--tlist=0", "unknown flag --tlist. Did you mean '--t-list'? `prog ls --help` lists them"},
        {"--xyzzy", "unknown flag --xyzzy. `prog ls --help` lists them"},
        {"-x", "unknown flag -x. `prog ls --help` lists them"},
        {"--=3", "unknown flag --. `prog ls --help` lists them"},
        {"a b c d", "too many arguments: 'd' is not expected; usage: prog ls [WORD...]"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *found = parsed(rows[i].line);
        if (strcmp(found, rows[i].wanted) != 0)
            fail_msg("%s: %s, wanted %s", rows[i].line, found, rows[i].wanted);
        free(found);
    }
}

static void test_arguments(void **state)
{
    (void)state;
    const Command program = {.program = "prog", .args = "A B", .least = 2, .most = 2};
    char *words[] = {"a"};
    CommandLine line;
    Err err = {0};
    assert_false(flags_parse(&program, 1, words, &line, &err));
    assert_string_equal(err.text, "an argument is missing; usage: prog A B");
    flags_free(&line);
}

static void test_values(void **state)
{
    (void)state;
    static const char *const choices[] = {"pt", "tf", "both", NULL};
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"3", NULL},
        {"0", "--limit is '0', wanted a whole number from 1 to 1000"},
        {"1.5", "--limit is '1.5', wanted a whole number from 1 to 1000"},
        {"", "--limit is '', wanted a whole number from 1 to 1000"},
        {"nan", "--limit is 'nan', wanted a whole number from 1 to 1000"},
        {"3x", "--limit is '3x', wanted a whole number from 1 to 1000"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        FlagValue values[] = {{"limit", "7"}, {"limit", rows[i].text}}; /* the last one counts */
        const CommandLine line = {.flags = values, .flag_count = 2};
        int whole = -1;
        Err err = {0};
        assert_int_equal(flags_whole(&line, "limit", 1, 1000, &whole, &err), !rows[i].wanted);
        assert_int_equal(whole, rows[i].wanted ? -1 : 3);
        assert_string_equal(err.text, rows[i].wanted ? rows[i].wanted : "");
    }
    FlagValue values[] = {{"a", "tf"}, {"b", "bth"}, {"c", "tf,pt"}, {"d", ""}, {"e", NULL}, {"f", "0.5"}};
    const CommandLine line = {.flags = values, .flag_count = countof(values)};
    int index = -1;
    unsigned bits = 0;
    double number = 0;
    Err err = {0};
    assert_true(flags_choice(&line, "a", choices, &index, &err) && index == 1);
    assert_true(flags_choices(&line, "c", choices, &bits, &err) && bits == 3);
    assert_true(flags_number(&line, "f", 0, 1, &number, &err) && number == 0.5);
    assert_true(flags_whole(&line, "absent", 0, 1, &index, &err) && index == 1);
    assert_true(flags_has(&line, "e") && !flags_has(&line, "absent") && !flags_value(&line, "absent"));
    assert_string_equal(flags_value(&line, "e"), "");
    assert_false(flags_choice(&line, "b", choices, &index, &err));
    assert_string_equal(err.text, "--b is 'bth', wanted pt, tf or both. Did you mean 'both'?");
    assert_false(flags_choices(&line, "d", choices, &bits, &err));
    assert_string_equal(err.text, "--d is '', wanted pt, tf or both.");
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds; /* -1: none */
    } rows[] = {{"5", 5},      {"5s", 5},      {"0", 0},       {".5", .5},      {"250ms", .25},   {"30m", 1800},
                {"2min", 120}, {"1.5h", 5400}, {"2d", 172800}, {"1h30m", 5400}, {"30m00s", 1800}, {"1h5", -1},
                {"", -1},      {"s", -1},      {"-5s", -1},    {"+5s", -1},     {"5 s", -1},      {" 5s", -1},
                {"5x", -1},    {"2w", -1},     {"5S", -1},     {"nan", -1},     {"inf", -1},      {"5s ", -1},
                {"1e99d", -1}, {"..", -1},     {"2mm", -1}};
    for (size_t i = 0; i < countof(rows); i++) {
        double seconds = -1;
        if (clock_span(rows[i].text, true, &seconds) != (rows[i].seconds >= 0) || seconds != rows[i].seconds)
            fail_msg("'%s': %g, wanted %g", rows[i].text, seconds, rows[i].seconds);
    }
    double none = 7;
    assert_false(clock_span("5", false, &none) || clock_span("1h5", false, &none));
    assert_true(none == 7 && clock_span("5s", false, &none) && none == 5);
    FlagValue values[] = {{"a", "2m"}, {"b", "2w"}, {"c", "0.5"}, {"d", "3d"}};
    const CommandLine line = {.flags = values, .flag_count = countof(values)};
    double seconds = 0;
    int whole = 0;
    Err err = {0};
    assert_true(flags_span(&line, "a", 0.001, 86400, &seconds, &err) && seconds == 120);
    assert_true(flags_seconds(&line, "a", 0, 600, &whole, &err) && whole == 120);
    assert_false(flags_span(&line, "b", 0.001, 86400, &seconds, &err));
    assert_string_equal(err.text, "--b is '2w', wanted a time such as 90s, 30m, 1.5h or 2d, from 1ms to 1d; a bare "
                                  "number means seconds");
    assert_false(flags_seconds(&line, "c", 0, 600, &whole, &err));
    assert_string_equal(err.text, "--c is '0.5', wanted whole seconds");
    assert_false(flags_seconds(&line, "d", 0, 86400, &whole, &err));
    assert_true(seconds == 120 && whole == 120);
}

static void test_verb(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int wanted;
    } rows[] = {{"", -1},
                {"ls", 0},
                {"-q ls", 1},
                {"--limit 3 ls", 2},
                {"--limit=3 ls", 1},
                {"-n 3 ls", 2},
                {"--limit -5 ls", 2},
                {"--unknown ls", 1},
                {"--all -q", -1},
                {"--limit ls", -1},
                {"- ls", 0}};
    for (size_t i = 0; i < countof(rows); i++) {
        char copy[200], *words[WORDS_MAX];
        int count = split(rows[i].line, copy, words);
        if (flags_verb(ls.tables, COMMAND_TABLES, count, words) != rows[i].wanted)
            fail_msg("%s: wanted %d", rows[i].line, rows[i].wanted);
    }
}

static void test_help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    Help help = {.to = open_memstream(&text, &len), .width = 60, .bold = "<", .plain = ">"};
    help_command(&help, &ls);
    fclose(help.to);
    assert_string_equal(text, "<usage>  prog ls [WORD...] [FLAGS]\n"
                              "\n"
                              "List\n"
                              "\n"
                              "  prog ls --all      a line whose second column is longer\n"
                              "                     than the terminal is wide\n"
                              "\n"
                              "<flags>\n"
                              "  -n, --limit N          list at most N jobs\n"
                              "  --name [TEXT]          a name\n"
                              "  -a, --all              list the jobs of all users, also of\n"
                              "                         those who have left, and of those\n"
                              "                         who never submitted one\n"
                              "\n"
                              "<flags of every verb>\n"
                              "  -q, --quiet            print only ids\n"
                              "  -h, --help             print this help\n");
    free(text);
}

static void test_help_rows(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    Help help = {.to = open_memstream(&text, &len), .width = 40, .bold = "", .plain = ""};
    help_row(&help, "a-head-that-is-too-long", 10, "fünf Wörter in äöü und dann noch mehr");
    help_text(
        &help,
        "one-word-that-is-longer-than-the-whole-line and more\n\n    indented words go on under the first of them\n");
    fclose(help.to);
    assert_string_equal(text, "a-head-that-is-too-long\n"
                              "          fünf Wörter in äöü und dann\n"
                              "          noch mehr\n"
                              "one-word-that-is-longer-than-the-whole-line\n"
                              "and more\n"
                              "\n"
                              "    indented words go on under the first\n"
                              "    of them\n");
    free(text);
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        const char *columns;
        int wanted;
    } rows[] = {{"72", 72}, {"300", HELP_WIDEST}, {"x", 80}, {"0", 80}};
    FILE *file = tmpfile(); /* no terminal */
    for (size_t i = 0; i < countof(rows); i++) {
        setenv("COLUMNS", rows[i].columns, 1);
        assert_int_equal(help_to(file).width, rows[i].wanted);
    }
    unsetenv("COLUMNS");
    assert_int_equal(help_to(file).width, 80);
    fclose(file);
}

static void test_fid_flags(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++)
        assert_non_null(strstr(flags_find(fid_flags, "metrics")->help, metric_words[i]));
    assert_null(flags_find(fid_flags, "metric"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),     cmocka_unit_test(test_arguments), cmocka_unit_test(test_values),
        cmocka_unit_test(test_spans),     cmocka_unit_test(test_verb),      cmocka_unit_test(test_help),
        cmocka_unit_test(test_help_rows), cmocka_unit_test(test_width),     cmocka_unit_test(test_fid_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
