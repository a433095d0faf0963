#include "client/jobs/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "spec/jobkind.h"

/* A line with the path, if the file exists or the folder is not visible from here. */
static void print_path(const char *label, const char *folder, const char *file, bool visible)
{
    char *path = xasprintf("%s/%s", folder, file);
    if (!visible || access(path, F_OK) == 0)
        printf("%-9s %s\n", label, path);
    free(path);
}

bool result_figures(const cJSON *job)
{
    Buf text = {0};
    figures_table(&text, cJSON_GetObjectItemCaseSensitive(job, "metrics"),
                  cJSON_GetObjectItemCaseSensitive(job, "spec"));
    if (text.data)
        fputs(text.data, stdout);
    bool any = text.len > 0;
    buf_free(&text);
    return any;
}

/* For a job whose worker reported only the FID. */
static void print_fid(const cJSON *job)
{
    double fid = json_number(job, "fid", NAN);
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(job, "spec");
    double published = figure_published(spec, figure_at(0));
    if (!isfinite(fid))
        return;
    printf("%-9s %s%.4f%s", "FID", term_color(stdout, COLOR_BOLD), fid, term_reset(stdout));
    if (isfinite(published))
        printf("  published %.4g, difference %+.4f", published, fid - published);
    putchar('\n');
    char *sentence = figures_not_compared(spec);
    if (sentence)
        printf("%s\n", sentence);
    free(sentence);
}

void result_print(const cJSON *job)
{
    const char *folder = json_text(job, "output", "");
    const JobKindRow *kind = jobkind_named(json_text(job, "kind", ""));
    bool sample = kind && kind->makes_images, visible = access(folder, F_OK) == 0;
    if (*folder) {
        if (sample)
            print_path("images", folder, "images", visible);
        print_path("grid", folder, "grid.png", visible && sample);
        print_path("report", folder, "report.html", visible);
        print_path("numbers", folder, "report.json", visible);
    }
    if (!result_figures(job))
        print_fid(job);
    if (*json_text(job, "reason", "")) {
        printf("%-9s ", "note");
        term_put(stdout, json_text(job, "reason", ""), 0);
        putchar('\n');
    }
    fflush(stdout);
    if (*folder && !visible)
        fprintf(stderr, "ddq: %s is not visible from this machine; look on the host that runs ddqd\n", folder);
}
