/* The object inside a torch.save file: which dict holds the weights, and which calls represent tensors. A tensor is a
 * call of torch._utils._rebuild_tensor_v2 on (storage, offset, sizes, strides, ...); wrappers such as
 * _rebuild_parameter carry one. Any other call is kept as a name for messages. To recognise another wrapper: one row in
 * `makers`. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

static const char *const roots[] = {"ema", "model", "module", "state_dict"};

enum {
    DEPTH_MAX = 8,
    GROUPS_MAX = 64
}; /* a file may name one dict many times: what is walked is bounded, not only what is stored */

typedef enum MakerKind {
    TENSOR,     /* (storage, offset, sizes, strides, ...) */
    TENSOR_V3,  /* the same, and the dtype is argument 6 */
    ARGUMENT_0, /* wraps its first argument */
    TYPED       /* (call, class, its arguments, attributes): a tensor of a subclass or with attributes */
} MakerKind;

static const struct {
    const char *module, *name;
    MakerKind kind;
} makers[] = {
    {"torch._utils", "_rebuild_tensor_v2", TENSOR},
    {"torch._utils", "_rebuild_tensor", TENSOR},
    {"torch._utils", "_rebuild_tensor_v3", TENSOR_V3},
    {"torch._utils", "_rebuild_parameter", ARGUMENT_0},
    {"torch._utils", "_rebuild_parameter_with_state", ARGUMENT_0},
    {"torch.nn.parameter", "Parameter", ARGUMENT_0},
    {"torch.nn.parameter", "Buffer", ARGUMENT_0},
    {"torch._tensor", "_rebuild_from_type_v2", TYPED},
};

typedef struct Made { /* the innermost call of a value */
    const PickleValue *args;
    MakerKind kind;
    const PickleValue *array; /* not NULL: a numpy array, and the above mean nothing */
} Made;

/* False for a value that is neither a tensor nor an array. */
static bool unwrap(const PickleValue *value, Made *ret_made)
{
    PickleValue inner;
    for (int depth = 0; value->kind == PICKLE_OBJECT && depth < DEPTH_MAX; depth++) {
        if (ckpt_numpy_is_array(value)) {
            *ret_made = (Made){.array = value};
            return depth == 0 || value != &inner;
        }
        size_t i = 0;
        while (i < countof(makers) && !pickle_is_global(value->call, makers[i].module, makers[i].name))
            i++;
        if (i == countof(makers))
            return false;
        const PickleValue *args = value->args;
        *ret_made = (Made){args, makers[i].kind, NULL};
        if (makers[i].kind == TENSOR || makers[i].kind == TENSOR_V3)
            return true;
        if (args->count < (makers[i].kind == TYPED ? 3u : 1u))
            return false;
        if (makers[i].kind == ARGUMENT_0) {
            value = args->items[0];
        } else {
            inner = (PickleValue){.kind = PICKLE_OBJECT, .call = args->items[0], .args = args->items[2]};
            value = &inner;
        }
    }
    return false;
}

static bool is_tensor(const PickleValue *value)
{
    Made made;
    return unwrap(value, &made);
}

bool ckpt_persistent(const PickleValue *value, CkptPersistent *ret_id)
{
    const PickleValue *id = value->kind == PICKLE_PERSISTENT ? value->args : value;
    CkptPersistent p = {0};
    if (id->kind != PICKLE_TUPLE || id->count < 5 || !pickle_is_text(id->items[0], "storage") ||
        id->items[1]->kind != PICKLE_GLOBAL || id->items[2]->kind != PICKLE_TEXT ||
        !pickle_is_int(id->items[4], &p.count) || p.count < 0)
        return false;
    p.type = ckpt_type(id->items[1]->name, id->items[1]->name_len);
    p.key = id->items[2];
    p.view_count = p.count;
    const PickleValue *view = id->count > 5 ? id->items[5] : id;
    if (id->count > 5 && view->kind == PICKLE_TUPLE &&
        (view->count != 3 || !pickle_is_int(view->items[1], &p.view_offset) ||
         !pickle_is_int(view->items[2], &p.view_count)))
        return false;
    *ret_id = p;
    return p.type != NULL;
}

/* A small file with strides of 0 could claim terabytes, which a reader that sizes itself by the file would ask for.
 * Views that repeat elements are fine up to this many. */
enum { REPEATED_MAX = 1 << 24 };

static bool check_bounds(const CkptTensor *view, int64_t offset, int size, const CkptStorage *storage, Err *err)
{
    int64_t count, reach, have = (int64_t)(storage->bytes / (uint64_t)size);
    if (!ckpt_extent(view, &count, &reach))
        return err_set(err, ERR_FORMAT, "its sizes and strides reach beyond 64 bits");
    if (offset < 0 || offset > have || reach > have - offset)
        return err_set(err, ERR_FORMAT,
                       "its sizes and strides reach over %lld elements from %lld on, its storage has %lld",
                       (long long)reach, (long long)offset, (long long)have);
    if (count > have && count > REPEATED_MAX)
        return err_set(err, ERR_FORMAT, "it repeats the %lld elements of its storage to %lld", (long long)have,
                       (long long)count);
    return true;
}

/* The part of the file that the tensor's offset and strides count in. */
static bool find_part(const CkptPersistent *id, const CkptStorages *storages, CkptStorage *ret_storage, Err *err)
{
    CkptStorage storage = {0};
    uint64_t size = (uint64_t)id->type->size;
    if (!storages->find(storages->ctx, id->key, &storage, err))
        return false;
    if ((uint64_t)id->count > storage.bytes / size)
        return err_set(err, ERR_FORMAT,
                       "its storage should have %lld elements of %d bytes, the file has %llu bytes of it",
                       (long long)id->count, id->type->size, (unsigned long long)storage.bytes);
    if (id->view_offset < 0 || id->view_count < 0 || id->view_offset > id->count ||
        id->view_count > id->count - id->view_offset)
        return err_set(err, ERR_FORMAT, "it views elements %lld to %lld of its storage, which has %lld",
                       (long long)id->view_offset, (long long)id->view_count, (long long)id->count);
    storage.data += (uint64_t)id->view_offset * size;
    storage.bytes = (uint64_t)id->view_count * size;
    *ret_storage = storage;
    return true;
}

static bool tensor_view(const Made *made, const CkptStorages *storages, CkptTensor *view, const ZipMember **ret_member,
                        Err *err)
{
    const PickleValue *args = made->args;
    bool has_dtype = made->kind == TENSOR_V3;
    CkptPersistent id;
    CkptStorage storage = {0};
    int64_t offset;
    if (args->kind != PICKLE_TUPLE || args->count < (has_dtype ? 7u : 4u) || !pickle_is_int(args->items[1], &offset))
        return err_set(err, ERR_FORMAT, "its call does not have a storage, an offset, sizes and strides");
    if (!ckpt_persistent(args->items[0], &id))
        return err_set(err, ERR_FORMAT, "its storage is of a kind that is not known");
    const CkptType *type = id.type;
    if (has_dtype && args->items[6]->kind == PICKLE_GLOBAL)
        type = ckpt_type(args->items[6]->name, args->items[6]->name_len);
    if (!type || !type->torch)
        return err_set(err, ERR_FORMAT, "its numbers are of a type that is not known");
    if (!find_part(&id, storages, &storage, err) || !ckpt_axes(view, args->items[2], args->items[3], err) ||
        !check_bounds(view, offset, type->size, &storage, err))
        return false;
    view->dtype = type->dtype;
    view->type = type->torch;
    view->data = type->dtype == DTYPES ? NULL : storage.data + (uint64_t)offset * (uint64_t)type->size;
    *ret_member = storage.member;
    return true;
}

static void note_other(Ckpt *ckpt, const PickleValue *key, const PickleValue *value)
{
    char what[170];
    if (ckpt->other_count == (int)countof(ckpt->others) || key->len > 200)
        return;
    pickle_print_global(value, what, sizeof what);
    char *text = xasprintf(value->kind == PICKLE_OBJECT ? "a call of %s, which is not made" : "no tensor", what);
    ckpt->others[ckpt->other_count++] =
        (CkptOther){arena_text(&ckpt->arena, key->text, key->len), arena_text(&ckpt->arena, text, strlen(text))};
    free(text);
}

/* Adds the tensors of one dict; `group` (or NULL) goes in front of their names. */
static bool add_all(Ckpt *ckpt, const PickleValue *dict, const PickleValue *group, const CkptStorages *storages,
                    Err *err)
{
    for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
        const PickleValue *key = dict->items[i], *value = dict->items[i + 1];
        if (key->kind != PICKLE_TEXT)
            continue;
        Made made;
        if (!unwrap(value, &made)) {
            note_other(ckpt, key, value);
            continue;
        }
        CkptTensor view = {0};
        const ZipMember *member = NULL;
        bool ok = made.array ? ckpt_numpy_view(ckpt, made.array, &view, err)
                             : tensor_view(&made, storages, &view, &member, err);
        if (!ok)
            return err_wrap(err, "tensor %.*s", (int)(key->len < 200 ? key->len : 200), key->text);
        Buf name = {0};
        if (group)
            buf_printf(&name, "%.*s.", (int)group->len, group->text);
        buf_add(&name, key->text, key->len);
        ok = ckpt_add(ckpt, name.data, name.len, &view, member, err);
        buf_free(&name);
        if (!ok)
            return false;
    }
    return true;
}

static bool has_tensor(const PickleValue *value)
{
    if (value->kind == PICKLE_DICT || value->kind == PICKLE_OBJECT)
        for (uint32_t i = 0; i + 1 < value->count; i += 2)
            if (value->items[i]->kind == PICKLE_TEXT && is_tensor(value->items[i + 1]))
                return true;
    return false;
}

/* The dict that holds the weights, depth first in the order of `roots`; path collects the keys on the way. */
static const PickleValue *find_root(const PickleValue *value, int depth, Buf *path)
{
    for (size_t i = 0; i < countof(roots) && depth < 3; i++) {
        const PickleValue *child = pickle_get(value, roots[i]);
        if (!child || is_tensor(child))
            continue;
        size_t mark = path->len;
        buf_printf(path, "%s%s", mark ? "." : "", roots[i]);
        const PickleValue *found = find_root(child, depth + 1, path);
        if (found)
            return found;
        path->len = mark;
    }
    return has_tensor(value) ? value : NULL;
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
    err_set(
        err, ERR_FORMAT, "no tensors under ema, model, module, state_dict or at its top level, which has %s%s%s%s%s",
        keys.len ? keys.data : "nothing", ckpt->other_count ? "; " : "", ckpt->other_count ? ckpt->others[0].name : "",
        ckpt->other_count ? " is " : "", ckpt->other_count ? ckpt->others[0].text : "");
    buf_free(&keys);
    return false;
}

bool ckpt_torch_collect(Ckpt *ckpt, const PickleValue *root, const CkptStorages *storages, Err *err)
{
    Buf path = {0};
    const PickleValue *dict = find_root(root, 0, &path);
    ckpt->root = arena_text(&ckpt->arena, path.data, dict ? path.len : 0);
    buf_free(&path);
    if (dict)
        return add_all(ckpt, dict, NULL, storages, err);
    int groups = 0;
    for (uint32_t i = 0; root->kind == PICKLE_DICT && i + 1 < root->count && groups < GROUPS_MAX; i += 2) {
        const PickleValue *key = root->items[i], *value = root->items[i + 1];
        groups += value->count > 0;
        if (key->kind == PICKLE_TEXT && key->len < 100 && has_tensor(value) &&
            !add_all(ckpt, value, key, storages, err))
            return false;
    }
    if (ckpt->count)
        return true;
    for (uint32_t i = 0; root->kind == PICKLE_DICT && i + 1 < root->count && !ckpt->other_count; i += 2)
        if (root->items[i]->kind == PICKLE_TEXT && root->items[i + 1]->kind == PICKLE_OBJECT)
            note_other(ckpt, root->items[i], root->items[i + 1]);
    return nothing_found(ckpt, root, err);
}
