/* Calls that stand for tensors: _rebuild_tensor_v2 and its kin, and the wrappers around them.
 *
 * Owns: which arguments of these calls are honoured. The numbers of a tensor are those of its storage, offset, sizes,
 * strides and dtype. Arguments that change no number are let pass: requires_grad, empty hooks, attributes that were set
 * on a parameter. Any other argument (a conj or neg flag, a class with its own idea of numbers) makes the tensor one
 * that cannot be read, with the reason. To recognise another wrapper: one row in `makers`. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

enum { DEPTH_MAX = 8 };

/* What an argument is, in the order of the call. */
typedef enum Argument {
    END,
    STORAGE,
    OFFSET,
    SIZES,
    STRIDES,
    DTYPE,
    INNER,      /* the tensor that is wrapped */
    FUNCTION,   /* the call that makes it, */
    CLASS,      /* the class of what is made, which must be torch's own, */
    ARGUMENTS,  /* and what FUNCTION is called with */
    GRADIENT,   /* requires_grad, persistent: a bool */
    HOOKS,      /* must be empty */
    ATTRIBUTES, /* of the Python object, which torch gives no meaning */
    METADATA    /* flags, all of which must be off */
} Argument;

static const struct {
    const char *module, *name;
    Argument arguments[9];
} makers[] = {
    {"torch._utils", "_rebuild_tensor", {STORAGE, OFFSET, SIZES, STRIDES}},
    {"torch._utils", "_rebuild_tensor_v2", {STORAGE, OFFSET, SIZES, STRIDES, GRADIENT, HOOKS, METADATA}},
    {"torch._utils", "_rebuild_tensor_v3", {STORAGE, OFFSET, SIZES, STRIDES, GRADIENT, HOOKS, DTYPE, METADATA}},
    {"torch._utils", "_rebuild_parameter", {INNER, GRADIENT, HOOKS}},
    {"torch._utils", "_rebuild_parameter_with_state", {INNER, GRADIENT, HOOKS, ATTRIBUTES}},
    {"torch.nn.parameter", "Parameter", {INNER, GRADIENT}},
    {"torch.nn.parameter", "Buffer", {INNER, GRADIENT}},
    {"torch._tensor", "_rebuild_from_type_v2", {FUNCTION, CLASS, ARGUMENTS, ATTRIBUTES}},
};

/* Classes that are a tensor and nothing more. */
static const struct {
    const char *module, *name;
} plain[] = {
    {"torch", "Tensor"},
    {"torch._tensor", "Tensor"},
    {"torch.nn.parameter", "Parameter"},
    {"torch.nn.parameter", "Buffer"},
    {"torch", "FloatTensor"},
};

/* The innermost call of a value, by what its arguments are. */
typedef struct Made {
    const PickleValue *by[METADATA + 1]; /* NULL: the call has no such argument */
    const PickleValue *array;            /* not NULL: a numpy array, and the above mean nothing */
    bool called;                         /* a call of torch's that is not in `makers` */
    char why[200];                       /* not empty: what is not honoured */
} Made;

/* --- arguments that are not honoured --------------------------------------------------------------- */

static bool is_empty(const PickleValue *value)
{
    return value->kind == PICKLE_NONE ||
           ((value->kind == PICKLE_DICT || value->kind == PICKLE_LIST || value->kind == PICKLE_TUPLE) &&
            value->count == 0);
}

static bool is_off(const PickleValue *value)
{
    int64_t flag;
    return value->kind == PICKLE_NONE || (pickle_is_int(value, &flag) && flag == 0);
}

static bool is_plain(const PickleValue *value)
{
    for (size_t i = 0; i < countof(plain); i++)
        if (pickle_is_global(value, plain[i].module, plain[i].name))
            return true;
    return false;
}

static void refuse_metadata(Made *made, const PickleValue *value)
{
    if (value->kind != PICKLE_DICT && !is_off(value)) {
        snprintf(made->why, sizeof made->why, "it has metadata of a kind that is not known");
        return;
    }
    for (uint32_t i = 0; value->kind == PICKLE_DICT && i + 1 < value->count; i += 2) {
        const PickleValue *key = value->items[i];
        if (!is_off(value->items[i + 1]))
            snprintf(made->why, sizeof made->why, "it has the flag %.*s, which is not honoured",
                     key->kind == PICKLE_TEXT ? (int)(key->len < 60 ? key->len : 60) : 1,
                     key->kind == PICKLE_TEXT ? key->text : "?");
    }
}

/* Notes in made->why the first argument that would change the numbers and is not honoured. */
static void check_argument(Made *made, const char *call, Argument argument, const PickleValue *value)
{
    int64_t flag;
    char what[170];
    if (*made->why)
        return;
    if (argument == METADATA)
        refuse_metadata(made, value);
    if (argument == END)
        snprintf(made->why, sizeof made->why, "%s has more arguments than are known", call);
    if (argument == GRADIENT && value->kind != PICKLE_NONE && !pickle_is_int(value, &flag))
        snprintf(made->why, sizeof made->why, "requires_grad of its %s is no bool", call);
    if (argument == HOOKS && !is_empty(value))
        snprintf(made->why, sizeof made->why, "%s has hooks, which are not honoured", call);
    if (argument == CLASS && !is_plain(value)) {
        pickle_print_global(value, what, sizeof what);
        snprintf(made->why, sizeof made->why, "it is of the class %.120s, whose numbers may mean something else", what);
    }
}

/* --- recognising ----------------------------------------------------------------------------------- */

static int maker_of(const PickleValue *call)
{
    for (size_t i = 0; i < countof(makers); i++)
        if (pickle_is_global(call, makers[i].module, makers[i].name))
            return (int)i;
    return -1;
}

/* A call such as torch._utils._rebuild_qtensor: a tensor of another kind. */
static bool is_other_rebuild(const PickleValue *call)
{
    return call->kind == PICKLE_GLOBAL && call->len >= 5 && memcmp(call->text, "torch", 5) == 0 &&
           call->name_len >= 8 && memcmp(call->name, "_rebuild", 8) == 0;
}

/* One call into made->by. False: it lacks arguments. */
static bool take_arguments(Made *made, int maker, const PickleValue *value)
{
    const PickleValue *args = value->args;
    memset(made->by, 0, sizeof made->by);
    if (args->kind != PICKLE_TUPLE)
        return false;
    for (uint32_t i = 0, known = 0; i < args->count; i++) {
        Argument argument = known < 8 ? makers[maker].arguments[known] : END;
        known += argument != END;
        check_argument(made, makers[maker].name, argument, args->items[i]);
        made->by[argument] = args->items[i];
    }
    if (!*made->why && value->state && !is_empty(value->state))
        snprintf(made->why, sizeof made->why, "its state, set after %s made it, is not honoured", makers[maker].name);
    return made->by[INNER] || (made->by[FUNCTION] && made->by[ARGUMENTS]) || makers[maker].arguments[0] == STORAGE;
}

/* False for a value that is neither a tensor nor an array. */
static bool unwrap(const PickleValue *value, Made *made)
{
    PickleValue inner;
    *made = (Made){.array = NULL};
    for (int depth = 0; value->kind == PICKLE_OBJECT && depth < DEPTH_MAX; depth++) {
        if (ckpt_numpy_is_array(value)) {
            made->array = value;
            return depth == 0 || value != &inner;
        }
        int maker = maker_of(value->call);
        if (maker < 0) {
            if ((made->called = is_other_rebuild(value->call))) {
                char what[170];
                pickle_print_global(value, what, sizeof what);
                snprintf(made->why, sizeof made->why, "a call of %.120s, which is not made", what);
            }
            return made->called;
        }
        if (!take_arguments(made, maker, value))
            return false;
        if (makers[maker].arguments[0] == STORAGE)
            return true;
        if (made->by[INNER]) {
            value = made->by[INNER];
        } else {
            inner = (PickleValue){.kind = PICKLE_OBJECT, .call = made->by[FUNCTION], .args = made->by[ARGUMENTS]};
            value = &inner;
        }
    }
    return false;
}

bool ckpt_is_tensor(const PickleValue *value)
{
    Made made;
    return unwrap(value, &made);
}

/* --- storages -------------------------------------------------------------------------------------- */

bool ckpt_persistent(const PickleValue *value, CkptPersistent *ret_id)
{
    const PickleValue *id = value->kind == PICKLE_PERSISTENT ? value->args : value;
    CkptPersistent p = {0};
    if (id->kind != PICKLE_TUPLE || id->count < 5 || !pickle_is_text(id->items[0], "storage") || id->count > 6 ||
        id->items[1]->kind != PICKLE_GLOBAL || id->items[2]->kind != PICKLE_TEXT ||
        !pickle_is_int(id->items[4], &p.count) || p.count < 0)
        return false;
    p.type = ckpt_type(id->items[1]->name, id->items[1]->name_len);
    p.storage_class = id->items[1];
    p.key = id->items[2];
    p.view_count = p.count;
    const PickleValue *view = id->count > 5 ? id->items[5] : id;
    if (id->count > 5 && view->kind == PICKLE_TUPLE &&
        (view->count != 3 || !pickle_is_int(view->items[1], &p.view_offset) ||
         !pickle_is_int(view->items[2], &p.view_count)))
        return false;
    *ret_id = p;
    return true;
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

static const CkptType *type_of(const Made *made, const CkptPersistent *id)
{
    const PickleValue *dtype = made->by[DTYPE];
    const CkptType *type = id->type;
    if (dtype)
        type = dtype->kind == PICKLE_GLOBAL ? ckpt_type(dtype->name, dtype->name_len) : NULL;
    return type && type->torch ? type : NULL;
}

static bool unknown_type(Ckpt *ckpt, const Made *made, const CkptPersistent *id, CkptTensor *view)
{
    char what[170];
    pickle_print_global(made->by[DTYPE] ? made->by[DTYPE] : id->storage_class, what, sizeof what);
    return ckpt_unreadable(ckpt, view, "its numbers are of a type that is not known, %s", what);
}

/* --- views ----------------------------------------------------------------------------------------- */

static bool torch_view(Ckpt *ckpt, const Made *made, const CkptStorages *storages, CkptTensor *view,
                       const ZipMember **ret_member, Err *err)
{
    CkptPersistent id;
    CkptStorage storage = {0};
    int64_t offset;
    if (*made->why)
        return ckpt_unreadable(ckpt, view, "%s", made->why);
    if (!made->by[STRIDES] || !pickle_is_int(made->by[OFFSET], &offset))
        return err_set(err, ERR_FORMAT, "its call does not have a storage, an offset, sizes and strides");
    if (!ckpt_persistent(made->by[STORAGE], &id))
        return err_set(err, ERR_FORMAT, "its storage is of a kind that is not known");
    const CkptType *type = type_of(made, &id);
    if (!id.type || !type)
        return unknown_type(ckpt, made, &id, view);
    if (!find_part(&id, storages, &storage, err) || !ckpt_axes(view, made->by[SIZES], made->by[STRIDES], err) ||
        !check_bounds(view, offset, type->size, &storage, err))
        return false;
    view->dtype = type->dtype;
    view->type = type->torch;
    view->data = type->dtype == DTYPES ? NULL : storage.data + (uint64_t)offset * (uint64_t)type->size;
    *ret_member = storage.member;
    return true;
}

bool ckpt_tensor_view(Ckpt *ckpt, const PickleValue *value, const CkptStorages *storages, CkptTensor *ret_view,
                      const ZipMember **ret_member, Err *err)
{
    Made made;
    unwrap(value, &made);
    if (made.array && *made.why)
        return ckpt_unreadable(ckpt, ret_view, "%s", made.why);
    return made.array ? ckpt_numpy_view(ckpt, made.array, ret_view, err)
                      : torch_view(ckpt, &made, storages, ret_view, ret_member, err);
}
