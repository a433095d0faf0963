/* The object inside a torch.save file or a pickle, walked for tensors: dicts in dicts, whose keys are the names. Which
 * calls stand for tensors is in rebuild.c; which of the dicts holds the weights, in part.c. Any other object stays what
 * it is, a name for a message. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

/* A file may name one dict many times: what is walked is bounded, not only what is stored. Each value takes a byte of
 * the file, so a file in which none is named more than VISITS_EACH times is never cut off. */
enum { DEPTH_MAX = 8, VISITS_MAX = 1 << 22, VISITS_EACH = 16 };

typedef struct Walk {
    Ckpt *ckpt;
    const CkptStorages *storages;
    Buf name; /* of where it is */
    size_t visits, most;
    Err *err;
} Walk;

static void note_other(Walk *walk, const PickleValue *value)
{
    Ckpt *ckpt = walk->ckpt;
    char what[170];
    bool call = value->kind == PICKLE_OBJECT;
    if (ckpt->other_count == (int)countof(ckpt->others) || walk->name.len > CKPT_NAME_MAX || !walk->name.len)
        return;
    pickle_print_global(value, what, sizeof what);
    char *text = xasprintf(call ? "a call of %s, which is not made" : "no tensor", what);
    ckpt->others[ckpt->other_count++] = (CkptOther){arena_text(&ckpt->arena, walk->name.data, walk->name.len),
                                                    arena_text(&ckpt->arena, text, strlen(text)), call};
    free(text);
}

static bool add_tensor(Walk *walk, const PickleValue *value, int depth, bool listed)
{
    CkptTensor view = {0};
    const ZipMember *member = NULL;
    Err why = {0};
    CkptPlace place = {walk->name.data ? walk->name.data : "", walk->name.len, depth > 1, listed};
    bool fits = ckpt_tensor_view(walk->ckpt, value, walk->storages, &view, &member, &why);
    return ckpt_add(walk->ckpt, &place, &view, member, fits ? NULL : why.text, walk->err);
}

static bool walk_value(Walk *walk, const PickleValue *value, int depth, bool listed);

static bool walk_child(Walk *walk, const char *key, size_t len, const PickleValue *child, int depth, bool listed)
{
    size_t mark = walk->name.len, most = 2 * CKPT_NAME_MAX; /* of a key that is too long: a file may name it often */
    ckpt_name_add(&walk->name, key, len < most ? len : most);
    bool good = walk_value(walk, child, depth + 1, listed);
    walk->name.len = mark;
    if (walk->name.data)
        walk->name.data[mark] = 0;
    return good;
}

static bool walk_dict(Walk *walk, const PickleValue *dict, int depth, bool listed)
{
    for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
        const PickleValue *key = dict->items[i];
        int64_t number;
        char digits[24];
        if (key->kind == PICKLE_TEXT) {
            if (!walk_child(walk, key->text, key->len, dict->items[i + 1], depth, listed))
                return false;
        } else if (pickle_is_int(key, &number)) {
            int len = snprintf(digits, sizeof digits, "%" PRId64, number);
            if (!walk_child(walk, digits, (size_t)len, dict->items[i + 1], depth, listed))
                return false;
        }
    }
    return true;
}

static bool walk_list(Walk *walk, const PickleValue *list, int depth)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%u", i);
        if (!walk_child(walk, digits, (size_t)len, list->items[i], depth, true))
            return false;
    }
    return true;
}

/* listed: a list is on the way to the value, so its name says nothing. */
static bool walk_value(Walk *walk, const PickleValue *value, int depth, bool listed)
{
    if (++walk->visits > walk->most)
        return err_set(walk->err, ERR_FORMAT, "its dicts name one another more than %zu times", walk->most);
    if (depth > DEPTH_MAX || walk->name.len > 4 * CKPT_NAME_MAX)
        return true;
    if (ckpt_is_tensor(value))
        return add_tensor(walk, value, depth, listed);
    if (value->kind == PICKLE_DICT || (value->kind == PICKLE_OBJECT && value->count))
        return walk_dict(walk, value, depth, listed);
    if (value->kind == PICKLE_LIST || value->kind == PICKLE_TUPLE)
        return walk_list(walk, value, depth);
    if (!listed)
        note_other(walk, value);
    return true;
}

static bool nothing_found(const Ckpt *ckpt, const PickleValue *root, Err *err)
{
    char what[170];
    pickle_print_global(root, what, sizeof what);
    if (root->kind == PICKLE_OBJECT)
        return err_set(
            err, ERR_FORMAT,
            "it holds a call of %s, which is not made; wanted a dict of tensors, as model.state_dict() gives", what);
    if (root->kind != PICKLE_DICT)
        return err_set(err, ERR_FORMAT,
                       "it holds a single value; wanted a dict of tensors, as model.state_dict() gives");
    Buf keys = {0};
    for (uint32_t i = 0; i + 1 < root->count && keys.len < 200; i += 2)
        if (root->items[i]->kind == PICKLE_TEXT)
            buf_printf(&keys, "%s%.*s", keys.len ? ", " : "",
                       (int)(root->items[i]->len < 60 ? root->items[i]->len : 60), root->items[i]->text);
    const CkptOther *call = NULL;
    for (int i = 0; i < ckpt->other_count && !call; i++)
        call = ckpt->others[i].call ? &ckpt->others[i] : NULL;
    err_set(err, ERR_FORMAT, "no tensors in it; its top level has %s%s%s%s%s", keys.len ? keys.data : "nothing",
            call ? "; " : "", call ? call->name : "", call ? " is " : "", call ? call->text : "");
    buf_free(&keys);
    return false;
}

bool ckpt_torch_collect(Ckpt *ckpt, const PickleValue *root, const CkptStorages *storages, Err *err)
{
    size_t most = ckpt->size < VISITS_MAX / VISITS_EACH ? ckpt->size * VISITS_EACH : VISITS_MAX;
    Walk walk = {.ckpt = ckpt, .storages = storages, .most = most, .err = err};
    bool dict = root->kind == PICKLE_DICT || (root->kind == PICKLE_OBJECT && root->count && !ckpt_is_tensor(root));
    bool good = !dict || walk_dict(&walk, root, 0, false);
    buf_free(&walk.name);
    return good && (ckpt->count || nothing_found(ckpt, root, err));
}
