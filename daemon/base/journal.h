/* The leases that this daemon holds and the reports that Redis has not acknowledged, in one small file that survives a
 * crash.
 *
 *     journal_open(state_folder, &journal, &foreign, &err);
 *     journal_hold(journal, token, lo, upto);           records a lease, and each change of upto
 *     journal_report(journal, QUEUE_FINISH, args);      how it ended; on disk before it is sent
 *     for (r = journal_next(journal, NULL); r; r = journal_next(journal, r)) send r, mark r->sent
 *     journal_acknowledged(journal, id);                Redis answered
 *
 * After a crash journal_open finds the reports without an answer, to be sent again, and the leases without a report:
 * leases of the dead daemon, which are given back at once instead of expiring. After a reconnect everything that Redis
 * acknowledged within the last seconds is sent once more (journal_resend): a server that syncs its file once a second
 * may have lost it. The queue answers a repeated report with "already".
 *
 * A journal that cannot be written is no reason to stop: reports are kept in memory and the caller logs. */
#ifndef DAEMON_BASE_JOURNAL_H
#define DAEMON_BASE_JOURNAL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "core/err.h"
#include "queue/queue.h"

typedef struct Journal Journal;

typedef struct JournalReport {
    uint64_t id;
    QueueFn fn; /* finish, giveback or fail */
    cJSON *args;
    bool sent;     /* on the present connection */
    Mono answered; /* 0: not yet */
} JournalReport;

typedef struct JournalOrphan {
    char *token;
    int64_t upto;
} JournalOrphan;

/* Lines of the journal that are no records, which something else must have written. */
typedef struct JournalForeign {
    int lines;
    int first;     /* line number of the first one */
    char text[80]; /* how it begins; not for printing without cleaning */
    char *path;    /* the copy of the file as it was found; the caller frees it. NULL: no such line */
} JournalForeign;

/* Reads what a predecessor left. A torn last line, the mark of a crash while writing, is dropped. If a line is no
 * record, a copy of the file is kept aside (journal.foreign-N), and every record before and after that line counts, one
 * that the foreign text stands in front of included. */
bool journal_open(const char *folder, Journal **ret_journal, JournalForeign *ret_foreign, Err *err);
void journal_close(Journal *journal); /* NULL is fine */

bool journal_hold(Journal *journal, const char *token, int64_t upto, Err *err);
bool journal_drop(Journal *journal, const char *token, Err *err);         /* no longer held, nothing to report */
bool journal_report(Journal *journal, QueueFn fn, cJSON *args, Err *err); /* consumes args, which has the token */
bool journal_acknowledged(Journal *journal, uint64_t id, Mono now, Err *err);

/* Reports that are not sent yet, oldest first. NULL starts and ends the walk. */
JournalReport *journal_next(Journal *journal, const JournalReport *after);
JournalReport *journal_find(Journal *journal, uint64_t id);
void journal_resend(Journal *journal);
void journal_expire(Journal *journal, Mono now); /* those answered long enough ago */
int journal_unanswered(const Journal *journal);

/* Leases without a report, found by journal_open; NULL past the end. */
const JournalOrphan *journal_orphan(const Journal *journal, int i);

#endif
