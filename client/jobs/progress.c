#include "client/jobs/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/terminal/term.h"
#include "core/json.h"
#include "core/mem.h"

static double share_of(const cJSON *job)
{
    double images = json_number(job, "images", 0), done = json_number(job, "done", 0);
    if (job_state(job) == JOB_DONE)
        return 1;
    return images > 0 ? fmin(done / images, 1) : 0; /* an evaluation before its survey */
}

/* "1,240/5,000  31/s  ETA 2m01s", or the reason why it does not run. */
static void add_numbers(Buf *line, const cJSON *job)
{
    char done[TERM_TEXT], images[TERM_TEXT], rate[TERM_TEXT], eta[TERM_TEXT];
    const char *reason = json_text(job, "reason", ""), *stage = job_stage(job);
    double speed = job_rate(job), left = job_eta(job);
    if (json_number(job, "images", 0) > 0)
        buf_printf(line, "%s/%s  ", term_count(json_number(job, "done", 0), done),
                   term_count(json_number(job, "images", 0), images));
    if (left > 0)
        buf_printf(line, "%s  ETA %s", term_rate(speed, rate), term_duration(left, eta));
    else if (job_state(job) == JOB_DONE && isfinite(json_number(job, "seconds", NAN)))
        buf_printf(line, "in %s", term_duration(json_number(job, "seconds", NAN), eta));
    else if (*stage)
        buf_printf(line, "%s", stage);
    else if (*reason)
        buf_printf(line, "%s", reason);
}

static void add_bar(Buf *line, double share, int cells)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bool utf8 = term_utf8();
    int parts = (int)(share * cells * 8);
    for (int i = 0; i < cells; i++) {
        int part = parts - i * 8;
        if (part >= 8)
            buf_printf(line, utf8 ? "█" : "#");
        else if (part > 0)
            buf_printf(line, "%s", utf8 ? eighths[part] : "-");
        else
            buf_printf(line, utf8 ? "░" : ".");
    }
}

/* At most `room` columns, none if there is no room. */
static void put_part(const char *text, int room)
{
    if (room > 0)
        term_put(stderr, text, room);
}

static void draw(Progress *progress, const cJSON *job)
{
    Buf head = {0}, bar = {0}, tail = {0};
    int width = term_width(stderr) - 1;
    double share = share_of(job);
    buf_printf(&head, "%s  %-9s ", json_text(job, "id", ""), json_text(job, "state", ""));
    buf_printf(&tail, " %3d%%  ", (int)(share * 100));
    add_numbers(&tail, job);
    int room = width - term_columns(head.data) - term_columns(tail.data);
    add_bar(&bar, share, room > 30 ? 30 : room > 8 ? room : 8);

    fputs("\r", stderr);
    put_part(head.data, width);
    fputs(term_color(stderr, job_color(job)), stderr);
    put_part(bar.data, width - term_columns(head.data));
    fputs(term_reset(stderr), stderr);
    put_part(tail.data, width - term_columns(head.data) - term_columns(bar.data));
    fputs("\033[K", stderr);
    fflush(stderr);
    progress->drawn = true;
    buf_free(&head);
    buf_free(&bar);
    buf_free(&tail);
}

void progress_show(Progress *progress, const cJSON *job)
{
    if (term_is_terminal(stderr)) {
        draw(progress, job);
        return;
    }
    const char *state = json_text(job, "state", "");
    double share = share_of(job);
    int tenth = (int)(share * 10);
    if (strcmp(state, progress->state) == 0 && tenth <= progress->tenth)
        return;
    Buf line = {0};
    add_numbers(&line, job);
    fprintf(stderr, "%s %s %d%% ", json_text(job, "id", ""), state, (int)(share * 100));
    term_put(stderr, line.data ? line.data : "", 0);
    fputc('\n', stderr);
    buf_free(&line);
    snprintf(progress->state, sizeof progress->state, "%s", state);
    progress->tenth = tenth > progress->tenth ? tenth : progress->tenth;
}

void progress_end(Progress *progress)
{
    if (progress->drawn)
        fputc('\n', stderr);
    progress->drawn = false;
}
