#include "client/queue/tree.h"

#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"

/* Everything by index into the list; -1: none. */
typedef struct Tree {
    const cJSON **jobs;
    int *parent, *first, *next;
    int count;
    TreeRow *rows;
    int made;
} Tree;

typedef struct Name {
    const char *id;
    int index;
} Name;

static int by_id(const void *a, const void *b)
{
    return strcmp(((const Name *)a)->id, ((const Name *)b)->id);
}

static void link_up(Tree *tree, const Name *names)
{
    for (int i = 0; i < tree->count; i++) {
        const cJSON *after;
        cJSON_ArrayForEach(after, cJSON_GetObjectItemCaseSensitive(tree->jobs[i], "after"))
        {
            const Name wanted = {cJSON_GetStringValue(after), 0};
            const Name *found = wanted.id ? bsearch(&wanted, names, (size_t)tree->count, sizeof *names, by_id) : NULL;
            if (found && found->index != i)
                tree->parent[i] = found->index;
        }
    }
    for (int i = 0; i < tree->count; i++) { /* a list is newest first; children read better in order of arrival */
        int p = tree->parent[i];
        if (p < 0)
            continue;
        tree->next[i] = tree->first[p];
        tree->first[p] = i;
    }
}

static char *also_of(const Tree *tree, int i)
{
    const char *parent = tree->parent[i] < 0 ? "" : json_text(tree->jobs[tree->parent[i]], "id", "");
    const cJSON *after;
    Buf text = {0};
    cJSON_ArrayForEach(after, cJSON_GetObjectItemCaseSensitive(tree->jobs[i], "after"))
    {
        const char *id = cJSON_GetStringValue(after);
        if (id && strcmp(id, parent) != 0)
            buf_printf(&text, "%s%s", text.len ? ", " : "", id);
    }
    return text.data;
}

/* branch: the text before a child's corner. There are no cycles, because a job waits for older ones. */
static void put(Tree *tree, int i, const char *branch, bool root, bool last)
{
    bool utf8 = term_utf8();
    const char *corner = root ? "" : last ? (utf8 ? "└─ " : "`- ") : (utf8 ? "├─ " : "|- ");
    const char *beam = root ? "" : last ? "   " : (utf8 ? "│  " : "|  ");
    tree->rows[tree->made++] = (TreeRow){
        tree->jobs[i], xasprintf("%s%s%s", branch, corner, json_text(tree->jobs[i], "id", "")), also_of(tree, i)};
    char *deeper = xasprintf("%s%s", branch, beam);
    for (int child = tree->first[i]; child >= 0; child = tree->next[child])
        put(tree, child, deeper, false, tree->next[child] < 0);
    free(deeper);
}

TreeRow *tree_rows(const cJSON *jobs, int *ret_count)
{
    int count = cJSON_GetArraySize(jobs), i = 0;
    size_t room = (size_t)count + 1;
    Tree tree = {.jobs = xcalloc(room, sizeof *tree.jobs), .count = count, .rows = xcalloc(room, sizeof *tree.rows)};
    int *all = xcalloc(3 * room, sizeof *all);
    memset(all, -1, 3 * room * sizeof *all);
    tree.parent = all, tree.first = all + room, tree.next = all + 2 * room;
    Name *names = xcalloc(room, sizeof *names);
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs)
    {
        tree.jobs[i] = job;
        names[i] = (Name){json_text(job, "id", ""), i};
        i++;
    }
    qsort(names, (size_t)count, sizeof *names, by_id);
    link_up(&tree, names);
    for (i = 0; i < count; i++)
        if (tree.parent[i] < 0)
            put(&tree, i, "", true, false);
    free(tree.jobs);
    free(all);
    free(names);
    *ret_count = tree.made;
    return tree.rows;
}

void tree_free(TreeRow *rows, int count)
{
    for (int i = 0; i < count; i++) {
        free(rows[i].label);
        free(rows[i].also);
    }
    free(rows);
}
