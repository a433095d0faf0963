/* ddq refs: the references that jobs may name; one row per action. */
#include "client/verbs/refs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"

static char *hosts_of(const cJSON *reference)
{
    Buf text = {0};
    const cJSON *host;
    cJSON_ArrayForEach(host, cJSON_GetObjectItemCaseSensitive(reference, "hosts"))
        buf_printf(&text, "%s%s", text.len ? " " : "", host->valuestring);
    return text.data;
}

static void print_table(const cJSON *references)
{
    static const Column columns[] = {{"NAME", false, 0},  {"KIND", false, 3},   {"PIPELINE", false, 2},
                                     {"IMAGES", true, 2}, {"SHA256", false, 4}, {"OF", false, 5},
                                     {"WHERE", false, 6}, {"HOSTS", false, 1}};
    Table *table = table_new(columns, countof(columns));
    const cJSON *item;
    cJSON_ArrayForEach(item, references)
    {
        char count[TERM_TEXT], *hosts = hosts_of(item);
        char *hash = xasprintf("%.12s", *json_text(item, "fault", "") ? "unreadable" : json_text(item, "sha256", ""));
        double images = json_number(item, "images", NAN);
        table_cell(table, COLOR_BOLD, json_text(item, "name", ""));
        table_cell(table, COLOR_PLAIN, json_text(item, "kind", ""));
        table_cell(table, COLOR_PLAIN, json_text(item, "pipeline", ""));
        table_cell(table, COLOR_PLAIN, isfinite(images) ? term_count(images, count) : "");
        table_cell(table, COLOR_DIM, hash);
        table_cell(table, COLOR_PLAIN,
                   *json_text(item, "user", "") ? json_text(item, "user", "") : json_text(item, "from", ""));
        table_cell(table, COLOR_DIM, json_text(item, "path", ""));
        table_cell(table, COLOR_PLAIN, hosts);
        free(hosts);
        free(hash);
    }
    table_print(table, stdout);
    table_free(table);
}

static bool list(Cmd *cmd, Err *err)
{
    cJSON *references;
    const cJSON *item;
    if (!refs_known(cmd, &references, err))
        return false;
    if (!cmd->quiet)
        refs_learn(cmd, references);
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "references", references);
        cmd_json(object);
        return true;
    }
    if (cmd->quiet)
        cJSON_ArrayForEach(item, references) puts(json_text(item, "name", ""));
    else
        print_table(references);
    cJSON_Delete(references);
    return true;
}

static void print_fact(const cJSON *fact)
{
    char count[TERM_TEXT];
    if (!cJSON_IsString(fact) && !cJSON_IsNumber(fact) && !cJSON_IsBool(fact))
        return;
    printf("%-14s ", fact->string);
    term_put(stdout,
             cJSON_IsString(fact)   ? fact->valuestring
             : cJSON_IsNumber(fact) ? term_count(fact->valuedouble, count)
             : cJSON_IsTrue(fact)   ? "yes"
                                    : "no",
             0);
    putchar('\n');
}

static bool show(Cmd *cmd, const char *name, Err *err)
{
    cJSON *references;
    const cJSON *fact;
    if (!refs_known(cmd, &references, err))
        return false;
    refs_learn(cmd, references);
    const cJSON *found = refs_find(references, name);
    bool good = found || err_set(err, ERR_NOT_FOUND, "no reference %.64s; `ddq refs` lists them", name);
    if (good && cmd->json) {
        cmd_json(cJSON_Duplicate(found, true));
    } else if (good) {
        char *hosts = hosts_of(found);
        cJSON_ArrayForEach(fact, found) print_fact(fact);
        printf("%-14s %s\n", "hosts", hosts ? hosts : "-");
        free(hosts);
    }
    cJSON_Delete(references);
    return good;
}

static bool show_word(Cmd *cmd, const char *name, const char *path, Err *err)
{
    (void)path;
    return show(cmd, name, err);
}

static bool remove_word(Cmd *cmd, const char *name, const char *path, Err *err)
{
    (void)path;
    return refs_remove(cmd, name, err);
}

static const struct {
    const char *word, *args;
    int count;
    bool (*run)(Cmd *cmd, const char *name, const char *path, Err *err);
} words[] = {
    {"show", "NAME", 1, show_word},
    {"add", "NAME PATH", 2, refs_add},
    {"make", "NAME PATH", 2, refs_make},
    {"remove", "NAME", 1, remove_word},
};

static bool refs_run(Cmd *cmd, Err *err)
{
    if (cmd->arg_count == 0)
        return list(cmd, err);
    const char *names[countof(words)], *word = cmd->args[0];
    for (size_t i = 0; i < countof(words); i++) {
        names[i] = words[i].word;
        if (strcmp(word, words[i].word) != 0)
            continue;
        if (cmd->arg_count != 1 + words[i].count)
            return err_set(err, ERR_USAGE, "usage: ddq refs %s %s", words[i].word, words[i].args);
        return words[i].run(cmd, cmd->args[1], words[i].count > 1 ? cmd->args[2] : NULL, err);
    }
    char meant[MEANT_TEXT];
    return err_set(err, ERR_USAGE,
                   "ddq refs: unknown action '%.40s'%s It is show, add, make or remove; without one, `ddq refs` lists "
                   "the references",
                   word, nearest_meant(nearest_name(word, names, countof(words)), meant));
}

static const Flag flags[] = {
    {"pipeline", 0, "P", "pt or tf: how images are resized (default: as the file says, else pt)"},
    {"replace", 0, NULL, "add, make: replace your own reference of that name"},
    {"local", 0, NULL, "make: measure on this machine now, without a daemon"},
    {"spatial", 0, NULL, "make --local: also compute the statistics for sFID"},
    {"inception", 0, "FILE",
     "add: weights of the network it was made with; make --local: weights to use (default: [inception] in ddq.conf)"},
    {"device", 0, "D", "make: the device to measure on"},
    {"cache", 0, "DIR", "cache of measured images (default ~/.cache/ddq)"},
    {"watch", 'w', NULL, "make: show progress until it is registered"},
    {"wait", 0, NULL, "make: wait until it is registered"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_refs = {
    .name = "refs",
    .args = "[show NAME | add NAME PATH | make NAME PATH | remove NAME]",
    .most = 3,
    .summary = "List, show, add, make or remove references to compare images with",
    .detail =
        "  ddq refs                                 list the references of all hosts\n"
        "  ddq refs add imagenet256 statistic.pth   check statistics and copy them for all hosts\n"
        "  ddq refs add photos /data/photos         register a folder of images, which is measured at first use\n"
        "  ddq refs make photos /data/photos        queue a job that measures images and registers the result\n"
        "Only the user who registered a name can replace or remove it, and not while an unfinished job needs it.\n",
    .flags = flags,
    .run = refs_run,
};
