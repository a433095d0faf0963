#include "client/jobs/lost.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobs/jobfolder.h"
#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"

enum { LOOKS = 1000 }; /* at most, so that the doctor stays fast */

static bool is_known(Cmd *cmd, const char *id, bool *ret_known, Err *err)
{
    Err why = {0};
    cJSON *job = NULL;
    *ret_known = job_show(cmd, id, &job, &why);
    cJSON_Delete(job);
    if (*ret_known || why.kind == ERR_NOT_FOUND)
        return true;
    *err = why;
    return false;
}

/* False: stop. */
static bool look(Cmd *cmd, const char *path, const char *since, int *lost, Err *err)
{
    JobFolder folder;
    bool known = true;
    if (!jobfolder_is(path) || !jobfolder_peek(path, &folder, NULL))
        return true;
    bool ok = folder.finished || strcmp(folder.created, since) >= 0 ||
              is_known(cmd, json_text(folder.submitted, "id", ""), &known, err);
    *lost += ok && !known;
    jobfolder_done(&folder);
    return ok;
}

int lost_jobs(Cmd *cmd, const char *root, const char *user, Wall born, Err *err)
{
    char since[25], *home = xasprintf("%s/%s", root, user);
    int lost = 0, looks = 0;
    bool ok = true;
    wall_iso(born, since);
    DIR *dir = born ? opendir(home) : NULL;
    for (struct dirent *entry; ok && dir && looks < LOOKS && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') {
            char *path = xasprintf("%s/%s", home, entry->d_name);
            ok = look(cmd, path, since, &lost, err);
            looks++;
            free(path);
        }
    if (dir)
        closedir(dir);
    free(home);
    return ok ? lost : -1;
}
