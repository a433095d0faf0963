/* The journal after crashes: torn lines, reports without an answer, leases without a report. */
#include "tests/test.h"

#include "daemon/base/journal.h"

static Journal *reopen(Journal *journal, const char *folder)
{
    Err err = {0};
    Journal *fresh = NULL;
    JournalForeign foreign;
    journal_close(journal);
    assert_ok(journal_open(folder, &fresh, &foreign, &err), err);
    assert_int_equal(foreign.lines, 0);
    return fresh;
}

static void report(Journal *journal, QueueFn fn, const char *token, int upto)
{
    Err err = {0};
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "token", token);
    cJSON_AddNumberToObject(args, "upto", upto);
    assert_ok(journal_report(journal, fn, args, &err), err);
}

/* "T1 T2": tokens of what has to be sent. */
static void check_unsent(Journal *journal, const char *wanted)
{
    Buf found = {0};
    for (JournalReport *r = journal_next(journal, NULL); r; r = journal_next(journal, r))
        buf_printf(&found, "%s%s", found.len ? " " : "", cJSON_GetObjectItem(r->args, "token")->valuestring);
    assert_string_equal(found.data ? found.data : "", wanted);
    buf_free(&found);
}

static char *read_file(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    Buf text = {0};
    for (int c; (c = fgetc(file)) != EOF;)
        buf_printf(&text, "%c", c);
    fclose(file);
    free(path);
    return text.data ? text.data : xstrdup("");
}

static void append_file(const char *folder, const char *text)
{
    char *path = xasprintf("%s/journal", folder);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void unanswered_reports_survive(void **state)
{
    (void)state;
    char *folder = test_folder();
    Err err = {0};
    Journal *journal = reopen(NULL, folder);
    report(journal, QUEUE_FINISH, "T1", 10);
    report(journal, QUEUE_FAIL, "T2", 3);
    report(journal, QUEUE_GIVEBACK, "T3", 5);
    assert_ok(journal_acknowledged(journal, 1, 100, &err), err);
    assert_int_equal(journal_unanswered(journal), 2);
    journal = reopen(journal, folder);
    check_unsent(journal, "T2 T3");
    JournalReport *fail = journal_next(journal, NULL);
    assert_int_equal(fail->fn, QUEUE_FAIL);
    assert_int_equal(cJSON_GetObjectItem(fail->args, "upto")->valueint, 3);
    report(journal, QUEUE_FINISH, "T4", 1);
    assert_int_equal(journal_next(journal, journal_next(journal, journal_next(journal, NULL)))->id, 4); /* ids go on */
    journal_close(journal);
    test_folder_remove(folder);
}

static void answered_reports_are_repeated_for_a_while(void **state)
{
    (void)state;
    char *folder = test_folder();
    Err err = {0};
    Journal *journal = reopen(NULL, folder);
    report(journal, QUEUE_FINISH, "T1", 10);
    journal_next(journal, NULL)->sent = true;
    check_unsent(journal, "");
    assert_ok(journal_acknowledged(journal, 1, 1000, &err), err);
    journal_expire(journal, 2000);
    journal_resend(journal); /* a reconnect one second after the answer */
    check_unsent(journal, "T1");
    assert_int_equal(journal_unanswered(journal), 0);
    journal_expire(journal, 5000);
    journal_resend(journal);
    check_unsent(journal, "");
    assert_ok(journal_acknowledged(journal, 1, 6000, &err), err); /* a late answer to a dropped report */
    journal_close(journal);
    test_folder_remove(folder);
}

static void leases_without_a_report_are_orphans(void **state)
{
    (void)state;
    char *folder = test_folder();
    Err err = {0};
    Journal *journal = reopen(NULL, folder);
    assert_ok(journal_hold(journal, "T1", 0, &err), err);
    assert_ok(journal_hold(journal, "T2", 64, &err), err);
    assert_ok(journal_hold(journal, "T3", 0, &err), err);
    assert_ok(journal_hold(journal, "T2", 80, &err), err);
    report(journal, QUEUE_FINISH, "T1", 64);
    assert_ok(journal_drop(journal, "T3", &err), err);
    journal = reopen(journal, folder);
    const JournalOrphan *orphan = journal_orphan(journal, 0);
    assert_non_null(orphan);
    assert_string_equal(orphan->token, "T2");
    assert_int_equal(orphan->upto, 80);
    assert_null(journal_orphan(journal, 1));
    report(journal, QUEUE_FAIL, "T2", 80);
    journal = reopen(journal, folder);
    assert_null(journal_orphan(journal, 0));
    check_unsent(journal, "T1 T2");
    journal_close(journal);
    test_folder_remove(folder);
}

static void a_torn_last_line_is_dropped(void **state)
{
    (void)state;
    char *folder = test_folder();
    Journal *journal = reopen(NULL, folder);
    report(journal, QUEUE_FINISH, "T1", 10);
    journal_close(journal);
    append_file(folder, "{\"report\":2,\"fn\":\"ddq_fin");
    journal = reopen(NULL, folder);
    check_unsent(journal, "T1");
    report(journal, QUEUE_FINISH, "T2", 10);
    journal = reopen(journal, folder);
    check_unsent(journal, "T1 T2");
    journal_close(journal);
    test_folder_remove(folder);
}

/* A log that was written into the journal, a record of another version, a cut in the middle: the records around such
 * lines are used, and the file as it was is kept. */
static void foreign_lines_are_set_aside(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "hello\n",
        "{\"hold\":7,\"upto\":1}\n",
        "{\"hold\":\"T\"}\n",
        "{\"report\":1,\"fn\":\"ddq_cancel\",\"args\":{\"token\":\"T\"}}\n",
        "{\"report\":1,\"fn\":\"ddq_finish\",\"args\":{}}\n",
        "{\"answer\":\"one\"}\n",
        "{}\n",
        "\n",
        "01:56:41.536 info host=a ready {redis}\n",
        "{\"report\":1,\"fn\":\"ddq_fin\n",
    };
    for (size_t i = 0; i < countof(lines); i++) {
        char *folder = test_folder(), *wanted;
        Err err = {0};
        JournalForeign foreign;
        Journal *journal = reopen(NULL, folder);
        report(journal, QUEUE_FINISH, "BEFORE", 10);
        journal_close(journal);
        append_file(folder, lines[i]);
        append_file(folder, "{\"hold\":\"AFTER\",\"upto\":5}\n");
        wanted = read_file(folder, "journal");
        assert_ok(journal_open(folder, &journal, &foreign, &err), err);
        assert_int_equal(foreign.lines, 1);
        assert_int_equal(foreign.first, 2);
        assert_int_equal(strncmp(foreign.text, lines[i], strcspn(lines[i], "\n")), 0);
        check_unsent(journal, "BEFORE");
        assert_string_equal(journal_orphan(journal, 0)->token, "AFTER");
        assert_null(journal_orphan(journal, 1));
        char *kept = read_file(folder, "journal.foreign-1");
        assert_string_equal(kept, wanted); /* setting aside does not destroy */
        journal = reopen(journal, folder); /* once: the new file has records alone */
        check_unsent(journal, "BEFORE");
        assert_string_equal(journal_orphan(journal, 0)->token, "AFTER");
        journal_close(journal);
        free(foreign.path);
        free(kept);
        free(wanted);
        test_folder_remove(folder);
    }
}

/* Text without an end of line, before a record and at the end of the file; and a zero byte. */
static void foreign_text_hides_no_record(void **state)
{
    (void)state;
    char *folder = test_folder();
    Err err = {0};
    Journal *journal;
    JournalForeign foreign;
    append_file(folder, "core dumped {1} {\"hold\":\"T1\",\"upto\":5}\n"
                        "x{\"report\":3,\"fn\":\"ddq_fail\",\"args\":{\"token\":\"T2\",\"upto\":1}}\n");
    static const char zeros[] = "\0\0{\"hold\":\"T3\",\"upto\":6}\nGoodbye";
    char *path = xasprintf("%s/journal", folder);
    FILE *file = fopen(path, "a");
    fwrite(zeros, 1, sizeof zeros - 1, file);
    fclose(file);
    assert_ok(journal_open(folder, &journal, &foreign, &err), err);
    assert_int_equal(foreign.lines, 4);
    check_unsent(journal, "T2");
    assert_string_equal(journal_orphan(journal, 0)->token, "T1");
    assert_int_equal(journal_orphan(journal, 0)->upto, 5);
    assert_string_equal(journal_orphan(journal, 1)->token, "T3");
    assert_null(journal_orphan(journal, 2));
    journal_close(journal);
    free(foreign.path);
    append_file(folder, "again\n"); /* every file is kept */
    assert_ok(journal_open(folder, &journal, &foreign, &err), err);
    assert_string_equal(strrchr(foreign.path, '/'), "/journal.foreign-2");
    journal_close(journal);
    free(foreign.path);
    free(path);
    test_folder_remove(folder);
}

static void the_file_stays_small(void **state)
{
    (void)state;
    char *folder = test_folder();
    Err err = {0};
    Journal *journal = reopen(NULL, folder);
    report(journal, QUEUE_FINISH, "KEEP", 1);
    for (int i = 0; i < 20000; i++)
        assert_ok(journal_hold(journal, "a-token-of-usual-length", i, &err), err);
    char *text = read_file(folder, "journal");
    assert_in_range(strlen(text), 1, 70000);
    free(text);
    journal = reopen(journal, folder);
    check_unsent(journal, "KEEP");
    assert_int_equal(journal_orphan(journal, 0)->upto, 19999);
    journal_close(journal);
    test_folder_remove(folder);
}

static void a_full_disk_loses_nothing_in_memory(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = xasprintf("%s/journal", folder), *part = xasprintf("%s/journal.part", folder);
    Err err = {0};
    Journal *journal = reopen(NULL, folder);
    /* /dev/full is used as the disk: every write to it fails with ENOSPC. */
    assert_int_equal(symlink("/dev/full", part), 0);
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "token", "T1");
    for (int i = 0; i < 2000; i++) /* until the file is to be rewritten, which fails */
        journal_hold(journal, "a-token-of-usual-length-a-token-of-usual-length", i, &err);
    assert_err(journal_report(journal, QUEUE_FINISH, args, &err), err, "journal.part", "No space left");
    assert_int_equal(err.kind, ERR_DISK_FULL);
    check_unsent(journal, "T1");
    assert_int_equal(unlink(part), 0);
    report(journal, QUEUE_FINISH, "T2", 1); /* room again: everything is on disk with the next line */
    journal = reopen(journal, folder);
    check_unsent(journal, "T1 T2");
    journal_close(journal);
    free(path);
    free(part);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unanswered_reports_survive),
        cmocka_unit_test(answered_reports_are_repeated_for_a_while),
        cmocka_unit_test(leases_without_a_report_are_orphans),
        cmocka_unit_test(a_torn_last_line_is_dropped),
        cmocka_unit_test(foreign_lines_are_set_aside),
        cmocka_unit_test(foreign_text_hides_no_record),
        cmocka_unit_test(the_file_stays_small),
        cmocka_unit_test(a_full_disk_loses_nothing_in_memory),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
