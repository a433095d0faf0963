/* Names, and the part of a file that is read. Owns: which words of a name are wrappers', under which words weights are
 * kept and which of them is preferred, and the message about the other parts.
 *
 * A part is everything whose full name begins with the same keys, whether a dict stands behind a key (a pickle) or a
 * dot (safetensors, Lightning). Averaged weights come first. To know another word: a row in `words`. */
#include <fnmatch.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

/* In the order of preference. */
static const char *const words[] = {
    "ema",   "ema_model", "model_ema", "ema_state_dict", "state_dict_ema",   "ema_params", "params_ema",
    "g_ema", "model",     "module",    "state_dict",     "model_state_dict", "params",
};

/* What wrappers of modules (torch.compile, FSDP, activation checkpointing, DataParallel, DeepSpeed) put into names. */
static const char *const wrappers[] = {
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_wrapped_module"};

/* Keys behind which tensors lie that are no weights: a part of this name is not a rival. */
static const char *const training[] = {
    "optimizer", "optimizers",   "optimizer_states", "optimizer_state_dict", "optim",  "opt",       "opt_state",
    "scheduler", "lr_scheduler", "lr_schedulers",    "amp_scaler",           "scaler", "callbacks", "loops",
    "rng_state", "trainer",
};

enum { DEPTH_MAX = 3, GROUPS_MAX = 32 };

static bool is_one_of(const char *text, size_t len, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == len && memcmp(list[i], text, len) == 0)
            return true;
    return false;
}

/* --- names ---------------------------------------------------------------------------------------- */

static size_t word_length(const char *text, size_t len)
{
    const char *dot = memchr(text, '.', len);
    return dot ? (size_t)(dot - text) : len;
}

void ckpt_name_add(Buf *name, const char *key, size_t len)
{
    size_t before = name->len, last = 0;
    for (size_t at = 0; at <= len;) {
        size_t word = word_length(key + at, len - at);
        if (!is_one_of(key + at, word, wrappers, countof(wrappers))) {
            buf_add(name, ".", name->len > 0);
            buf_add(name, key + at, word);
        }
        last = at;
        at += word + 1;
    }
    if (name->len == before) { /* nothing but wrappers: the last is a key like any other */
        buf_add(name, ".", before > 0);
        buf_add(name, key + last, len - last);
    }
}

/* --- which part ----------------------------------------------------------------------------------- */

static bool is_inside(const char *name, const char *part, size_t len)
{
    return !len || (strncmp(name, part, len) == 0 && name[len] == '.');
}

static const char *inside(const char *name, size_t part_len)
{
    return name + part_len + (part_len > 0);
}

/* Tensors with names in a part; dotted: only those that are named as modules name their weights, "layer.weight". */
static int count_named(const Ckpt *ckpt, const char *part, size_t len, bool dotted)
{
    int count = 0;
    for (int i = 0; i < ckpt->count; i++) {
        const CkptEntry *entry = &ckpt->entries[i];
        if (!entry->listed && is_inside(entry->tensor.name, part, len) &&
            (!dotted || strchr(inside(entry->tensor.name, len), '.')))
            count++;
    }
    return count;
}

/* Extends the part by the first word behind which there are weights, again and again. */
static bool descend(const Ckpt *ckpt, Buf *part, int depth, bool dotted)
{
    for (size_t i = 0; i < countof(words) && depth < DEPTH_MAX; i++) {
        size_t mark = part->len;
        buf_printf(part, "%s%s", mark ? "." : "", words[i]);
        if (count_named(ckpt, part->data, part->len, dotted) && descend(ckpt, part, depth + 1, dotted))
            return true;
        part->len = mark;
        part->data[mark] = 0;
    }
    return count_named(ckpt, part->data ? part->data : "", part->len, dotted) > 0;
}

/* --- the other parts ------------------------------------------------------------------------------ */

typedef struct Group {
    const char *name;
    size_t len;
    int count;
    bool listed;
} Group;

/* The part that a tensor belongs to: as many known words as its name begins with; else the dict that it lies in. */
static size_t group_length(const CkptEntry *entry)
{
    const char *name = entry->tensor.name;
    if (entry->listed)
        return (size_t)(strrchr(name, '.') ? strrchr(name, '.') - name : 0);
    size_t len = 0;
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const char *at = inside(name, len), *dot = strchr(at, '.');
        if (!dot || !is_one_of(at, (size_t)(dot - at), words, countof(words)))
            break;
        len = (size_t)(dot - name);
    }
    return len || !entry->nested ? len : word_length(name, strlen(name));
}

static bool is_training(const char *name, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t word = word_length(name + at, len - at);
        if (is_one_of(name + at, word, training, countof(training)))
            return true;
        at += word + 1;
    }
    return false;
}

/* The parts that weights may be in, the first GROUPS_MAX. Returns how many. */
static int find_groups(const Ckpt *ckpt, Group groups[GROUPS_MAX])
{
    int count = 0;
    for (int i = 0; i < ckpt->count; i++) {
        const CkptEntry *entry = &ckpt->entries[i];
        Group one = {entry->tensor.name, group_length(entry), 1, entry->listed};
        int at = 0;
        while (at < count && (groups[at].len != one.len || memcmp(groups[at].name, one.name, one.len) != 0))
            at++;
        if (at < count)
            groups[at].count++;
        else if (count < GROUPS_MAX && !is_training(one.name, one.len))
            groups[count++] = one;
    }
    return count;
}

/* "model (37 tensors), ema.shadow_params (37 tensors without names)": those outside of `part` with `least` or more. */
static void list_groups(const Ckpt *ckpt, const char *part, size_t len, int least, Buf *text)
{
    Group groups[GROUPS_MAX];
    int count = find_groups(ckpt, groups), listed = 0;
    for (int i = 0; i < count && listed < 6; i++) {
        const Group *g = &groups[i];
        bool same =
            part && g->len >= len && memcmp(g->name, part, len) == 0 && (!len || g->len == len || g->name[len] == '.');
        if (same && (len || !g->listed))
            continue;
        if (g->count < least)
            continue;
        buf_printf(text, "%s%.*s (%d tensor%s%s)", listed++ ? ", " : "",
                   g->len ? (int)(g->len < 100 ? g->len : 100) : 1, g->len ? g->name : ".", g->count,
                   g->count == 1 ? "" : "s", g->listed ? " without names" : "");
    }
}

/* --- choosing ------------------------------------------------------------------------------------- */

static bool no_such_part(const Ckpt *ckpt, const char *wanted, Err *err)
{
    Buf parts = {0};
    list_groups(ckpt, NULL, 0, 1, &parts);
    err_set(err, ERR_FORMAT, "it has no part '%s' with named tensors; its parts are %s", wanted,
            parts.data ? parts.data : "none");
    buf_free(&parts);
    return false;
}

/* The names of what is beside the tensors of the part, without the part. */
static void cut_others(Ckpt *ckpt, size_t len)
{
    int kept = 0;
    for (int i = 0; i < ckpt->other_count; i++)
        if (is_inside(ckpt->others[i].name, ckpt->root, len))
            ckpt->others[kept++] =
                (CkptOther){inside(ckpt->others[i].name, len), ckpt->others[i].text, ckpt->others[i].call};
    ckpt->other_count = kept;
}

/* Lists under a known word and the state of an optimizer beside weights at the top level are other parts. */
static bool belongs(const CkptEntry *entry, const char *part, size_t len)
{
    if (!is_inside(entry->tensor.name, part, len))
        return false;
    const char *name = inside(entry->tensor.name, len);
    size_t word = word_length(name, strlen(name));
    return !(entry->nested && is_one_of(name, word, training, countof(training))) &&
           !(entry->listed && is_one_of(name, word, words, countof(words)));
}

static bool keep_part(Ckpt *ckpt, size_t len, Err *err)
{
    int kept = 0;
    for (int i = 0; i < ckpt->count; i++) {
        CkptEntry *entry = &ckpt->entries[i];
        if (!belongs(entry, ckpt->root, len))
            continue;
        entry->tensor.name = inside(entry->tensor.name, len);
        if (entry->damage)
            return err_set(err, ERR_FORMAT, "tensor %s: %s", entry->tensor.name, entry->damage);
        ckpt->entries[kept++] = *entry;
    }
    ckpt->count = kept;
    cut_others(ckpt, len);
    return true;
}

bool ckpt_choose_part(Ckpt *ckpt, const char *wanted, Err *err)
{
    Buf part = {0}, rivals = {0};
    bool top = wanted && strcmp(wanted, ".") == 0;
    if (wanted && !top)
        buf_add(&part, wanted, strlen(wanted));
    size_t mark = part.len;
    bool found = top ? count_named(ckpt, "", 0, false) > 0 : descend(ckpt, &part, 0, true);
    if (!found && !top) {
        part.len = mark;
        found = descend(ckpt, &part, 0, false);
    }
    if (!found && wanted) {
        buf_free(&part);
        return no_such_part(ckpt, wanted, err);
    }
    size_t len = found ? part.len : 0;
    ckpt->root = arena_text(&ckpt->arena, part.data, len);
    list_groups(ckpt, ckpt->root, len, count_named(ckpt, ckpt->root, len, false), &rivals);
    ckpt->rivals = rivals.len && found && !wanted ? arena_text(&ckpt->arena, rivals.data, rivals.len) : NULL;
    buf_free(&part);
    buf_free(&rivals);
    return keep_part(ckpt, len, err);
}

/* --- what was read -------------------------------------------------------------------------------- */

static int row_of(const char *name, const CkptUnneeded *table, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        if (fnmatch(table[i].pattern, name, 0) == 0)
            return (int)i;
    return -1;
}

bool ckpt_all_read(const Ckpt *ckpt, const CkptUnneeded *table, size_t rows, int *ret_counts, Err *err)
{
    enum { NAMED = 4 };
    Buf names = {0};
    int unread = 0;
    for (int i = 0; i < ckpt->count; i++) {
        const CkptTensor *t = &ckpt->entries[i].tensor;
        int row = atomic_load(&ckpt->used[i]) ? -1 : row_of(t->name, table, rows);
        if (row >= 0)
            ret_counts[row]++;
        else if (!atomic_load(&ckpt->used[i]) && unread++ < NAMED)
            buf_printf(&names, "%s%.100s%s%.100s%s", unread > 1 ? ", " : "", t->name, t->why ? " (" : "",
                       t->why ? t->why : "", t->why ? ")" : "");
    }
    if (!unread)
        return true;
    err_set(
        err, ERR_FORMAT,
        "checkpoint %s%s%s%s: %d of its tensors are no part of this model, which would be another one without them: "
        "%s%s; remove what the model does not need from the file",
        ckpt->path, *ckpt->root ? " (" : "", ckpt->root, *ckpt->root ? ")" : "", unread, names.data,
        unread > NAMED ? ", ..." : "");
    buf_free(&names);
    return false;
}
