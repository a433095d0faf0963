/* Small files that other processes or people leave in folders, from arbitrary bytes; the first byte says which: the
 * daemon's journal, a job's job.json, its report.json, a manifest of a shard, a registered reference, statistics as
 * .npz or as a torch.save file. Each is read or refused with a sentence. */
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/jobs/jobfolder.h"
#include "core/json.h"
#include "core/mem.h"
#include "daemon/base/journal.h"
#include "spec/references.h"
#include "worker/job/shards.h"
#include "worker/metrics/statistics.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/dev/shm/ddq-fuzz-XXXXXX";

static const char *const files[] = {"journal", "job.json", "report.json", "blocks/000000-000008.json",
                                    "x.json",  "s.npz",    "s.pth",       "s"};

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void put(const char *name, const void *bytes, size_t size)
{
    char *path = path_of(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
    free(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static void at_exit(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    assert(mkdtemp(folder));
    char *blocks = path_of("blocks");
    assert(mkdir(blocks, 0700) == 0);
    free(blocks);
    atexit(at_exit);
    return 0;
}

static void read_journal(void)
{
    Journal *journal;
    JournalForeign foreign = {0};
    Err err = {0};
    if (!journal_open(folder, &journal, &foreign, &err)) {
        assert(err.kind != ERR_NONE && err.text[0]);
        return;
    }
    for (const JournalReport *report = journal_next(journal, NULL); report; report = journal_next(journal, report))
        assert(json_text(report->args, "token", NULL));
    const JournalOrphan *orphan;
    for (int i = 0; (orphan = journal_orphan(journal, i)); i++)
        assert(orphan->token);
    journal_close(journal);
    if (foreign.path)
        unlink(foreign.path);
    free(foreign.path);
}

static void read_folder(void)
{
    JobFolder job;
    Err err = {0};
    if (!jobfolder_read(folder, &job, &err)) {
        assert(err.kind != ERR_NONE && err.text[0]);
        return;
    }
    assert(job.submitted && job.spec && job.there >= 0 && job.there <= job.images);
    jobfolder_done(&job);
}

static void read_shards(void)
{
    Shards shards = {0};
    Err err = {0};
    ShardNeeds needs = {.identity = "f00d"};
    if (!shards_scan(folder, &needs, 0, 100, &shards, &err))
        assert(err.kind != ERR_NONE && err.text[0]);
    for (int i = 0; i < shards.count; i++)
        assert(shards.items[i].lo < shards.items[i].hi);
    shards_done(&shards);
}

static void read_reference(void)
{
    Err err = {0};
    cJSON *entry = NULL;
    if (references_read(folder, "x", &entry, &err))
        assert(json_text(entry, "path", NULL));
    else
        assert(err.kind != ERR_NONE && err.text[0]);
    cJSON_Delete(entry);
}

static void read_statistics(const char *name)
{
    char *path = path_of(name);
    Statistics *stats = NULL;
    Err err = {0};
    if (statistics_load(path, &stats, &err))
        statistics_free(stats);
    else
        assert(err.kind != ERR_NONE && err.text[0]);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static const char job[] =
        "{\"identity\":\"f00d\",\"submitted\":{\"id\":\"aaaaaa0001\",\"user\":\"ada\",\"images\":8,"
        "\"kind\":\"sample\",\"spec\":{\"kind\":\"sample\",\"model\":\"m\",\"t_list\":[0],"
        "\"split_t\":1,\"images\":8}}}";
    size_t which = data[0] % countof(files);
    put("job.json", job, sizeof job - 1);
    put(files[which], data + 1, size - 1);
    if (which == 0)
        read_journal();
    else if (which < 4)
        read_folder();
    if (which == 3)
        read_shards();
    if (which == 4)
        read_reference();
    if (which > 4)
        read_statistics(files[which]);
    char *path = path_of(files[which]);
    unlink(path);
    free(path);
    return 0;
}
