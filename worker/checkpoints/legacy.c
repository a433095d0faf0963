/* torch.save before 1.6: five pickles back to back (magic number, protocol, system, object, list of storage keys),
 * then, in the order of that list, each storage as an int64 count and its raw elements. A storage does not say how wide
 * its elements are; the persistent ids of the object do. A file whose first pickle is no magic number is a plain
 * pickle: its object may hold numpy arrays. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"
#include "worker/files/bytes.h"

static const uint8_t magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

typedef struct Stored {
    const PickleValue *key, *storage_class;
    const CkptType *type; /* NULL: not known, and so is the size of its elements */
    CkptStorage storage;  /* data is NULL until its place in the file is known */
} Stored;

typedef struct Table { /* sorted by key */
    Stored *rows;
    size_t count;
} Table;

static int by_key(const void *a, const void *b)
{
    const PickleValue *x = ((const Stored *)a)->key, *y = ((const Stored *)b)->key;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static Stored *table_find(const Table *table, const PickleValue *key)
{
    return table->count ? bsearch(&(Stored){.key = key}, table->rows, table->count, sizeof *table->rows, by_key) : NULL;
}

static int size_of(const Stored *row)
{
    return row->type ? row->type->size : 0;
}

/* One row for each storage that the object names. */
static bool table_fill(Table *table, const Pickle *object, Err *err)
{
    table->rows = xcalloc(object->persistent_count, sizeof *table->rows);
    for (uint32_t i = 0; i < object->persistent_count; i++) {
        CkptPersistent id;
        if (ckpt_persistent(object->persistent[i], &id))
            table->rows[table->count++] = (Stored){.key = id.key, .storage_class = id.storage_class, .type = id.type};
    }
    qsort(table->rows, table->count, sizeof *table->rows, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (!kept || by_key(&table->rows[kept - 1], &table->rows[i]) != 0)
            table->rows[kept++] = table->rows[i];
        else if (size_of(&table->rows[kept - 1]) != size_of(&table->rows[i]))
            return err_set(err, ERR_FORMAT, "it names one storage with two element sizes");
    }
    table->count = kept;
    return true;
}

static bool table_place(Table *table, const PickleValue *keys, const uint8_t *at, const uint8_t *end, Err *err)
{
    if (keys->kind != PICKLE_LIST)
        return err_set(err, ERR_FORMAT, "its fifth pickle is not a list of storage keys");
    for (uint32_t i = 0; i < keys->count; i++) {
        Stored *row = keys->items[i]->kind == PICKLE_TEXT ? table_find(table, keys->items[i]) : NULL;
        if (!row)
            return err_set(err, ERR_FORMAT,
                           "its list of storages has a key that no tensor uses, so its size is not known");
        if (!row->type && i + 1 == keys->count)
            return true; /* nothing follows that its size would be needed for */
        if (!row->type)
            return err_set(err, ERR_FORMAT,
                           "storage %u of %u is a %.*s, whose size is not known, so what follows it cannot be found",
                           i + 1, keys->count,
                           (int)(row->storage_class->name_len < 60 ? row->storage_class->name_len : 60),
                           row->storage_class->name);
        uint64_t left = (uint64_t)(end - at), count = left < 8 ? 0 : bytes_get(at, 8), size = (uint64_t)row->type->size;
        if (left < 8 || count > (left - 8) / size)
            return err_set(err, ERR_FORMAT,
                           "it was cut short: storage %u of %u wants %llu elements of %llu bytes, %llu bytes are left",
                           i + 1, keys->count, (unsigned long long)count, (unsigned long long)size,
                           (unsigned long long)(left < 8 ? left : left - 8));
        row->storage = (CkptStorage){.data = at + 8, .bytes = count * size};
        at += 8 + count * size;
    }
    return true;
}

static bool find_storage(void *ctx, const PickleValue *key, CkptStorage *ret_storage, Err *err)
{
    const Stored *row = table_find(ctx, key);
    if (!row || !row->storage.data)
        return err_set(err, ERR_FORMAT, "its storage %.*s is not in the file", (int)(key->len < 40 ? key->len : 40),
                       key->text);
    *ret_storage = row->storage;
    return true;
}

/* A plain pickle has no storages. */
static bool find_none(void *ctx, const PickleValue *key, CkptStorage *ret_storage, Err *err)
{
    (void)ctx, (void)key, (void)ret_storage;
    return err_set(err, ERR_FORMAT, "it is a torch tensor inside a plain pickle, whose numbers are elsewhere");
}

static bool next_pickle(Ckpt *ckpt, const uint8_t **at, const char *what, Pickle *ret_pickle, Err *err)
{
    if (!pickle_read(&ckpt->arena, *at, (size_t)(ckpt->data + ckpt->size - *at), ret_pickle, err))
        return err_wrap(err, "in the %s", what);
    *at += ret_pickle->used;
    return true;
}

bool ckpt_legacy_load(Ckpt *ckpt, Err *err)
{
    Pickle first, protocol, system, object, keys;
    const uint8_t *at = ckpt->data;
    if (!next_pickle(ckpt, &at, "first pickle", &first, err))
        return false;
    if (first.root->kind != PICKLE_LONG || first.root->len != sizeof magic ||
        memcmp(first.root->text, magic, sizeof magic) != 0)
        return ckpt_torch_collect(ckpt, first.root, &(CkptStorages){NULL, find_none}, err);
    if (!next_pickle(ckpt, &at, "protocol number", &protocol, err) ||
        !next_pickle(ckpt, &at, "system information", &system, err) ||
        !next_pickle(ckpt, &at, "object", &object, err) || !next_pickle(ckpt, &at, "list of storages", &keys, err))
        return false;
    const PickleValue *little = pickle_get(system.root, "little_endian");
    int64_t is_little = 1;
    if (little && pickle_is_int(little, &is_little) && !is_little)
        return err_set(err, ERR_FORMAT,
                       "it was saved on a big-endian machine; load it there and save it as safetensors");
    Table table = {0};
    bool ok = table_fill(&table, &object, err) && table_place(&table, keys.root, at, ckpt->data + ckpt->size, err) &&
              ckpt_torch_collect(ckpt, object.root, &(CkptStorages){&table, find_storage}, err);
    free(table.rows);
    return ok;
}
