/* torch.save since 1.6: a zip of STEM/data.pkl (the object) and STEM/data/KEY (raw storages), all stored, not packed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

typedef struct Folder {
    const Ckpt *ckpt;
    const char *stem;
    int len; /* of stem, without the slash */
} Folder;

static const ZipMember *find_in(const Folder *folder, const char *name, size_t len)
{
    char *full = xasprintf("%.*s/%.*s", folder->len, folder->stem, (int)len, name);
    const ZipMember *member = zip_find(folder->ckpt->zip, full);
    free(full);
    return member;
}

static bool find_storage(void *ctx, const PickleValue *key, CkptStorage *ret_storage, Err *err)
{
    const Folder *folder = ctx;
    char name[128];
    int len = key->len < 100 ? snprintf(name, sizeof name, "data/%.*s", (int)key->len, key->text) : 0;
    const ZipMember *member = len ? find_in(folder, name, (size_t)len) : NULL;
    if (!member)
        return err_set(err, ERR_FORMAT, "its storage %.*s is not in the archive", (int)(key->len < 40 ? key->len : 40),
                       key->text);
    if (member->deflated)
        return err_set(
            err, ERR_FORMAT,
            "its storage %s is compressed, which torch.save never does; unpack the archive and zip it with -0",
            member->name);
    *ret_storage = (CkptStorage){member->data, member->size, member};
    return true;
}

static const ZipMember *find_pickle(const Ckpt *ckpt)
{
    for (int i = 0; i < zip_count(ckpt->zip); i++) {
        const ZipMember *member = zip_at(ckpt->zip, i);
        const char *slash = strchr(member->name, '/');
        if (slash && strcmp(slash, "/data.pkl") == 0)
            return member;
    }
    return NULL;
}

static bool check_order(const Folder *folder, Err *err)
{
    const ZipMember *order = find_in(folder, "byteorder", 9);
    return !order || order->deflated || order->size != 3 || memcmp(order->data, "big", 3) != 0 ||
           err_set(err, ERR_FORMAT, "it was saved on a big-endian machine; load it there and save it as safetensors");
}

bool ckpt_zip_load(Ckpt *ckpt, Err *err)
{
    if (!(ckpt->zip = zip_open(ckpt->data, ckpt->size, err)))
        return false;
    ckpt->checked = arena_take(&ckpt->arena, (size_t)zip_count(ckpt->zip) * sizeof *ckpt->checked);
    const ZipMember *pickle = find_pickle(ckpt);
    if (!pickle)
        return err_set(err, ERR_FORMAT,
                       "a zip archive without data.pkl, so not written by torch.save; its first member is %.100s",
                       zip_count(ckpt->zip) ? zip_at(ckpt->zip, 0)->name : "none");
    if (pickle->deflated)
        return err_set(err, ERR_FORMAT,
                       "%s is compressed, which torch.save never does; unpack the archive and zip it with -0",
                       pickle->name);
    Folder folder = {ckpt, pickle->name, (int)(strchr(pickle->name, '/') - pickle->name)};
    if (find_in(&folder, "constants.pkl", 13))
        return err_set(err, ERR_FORMAT,
                       "a TorchScript archive; wanted the weights alone: torch.save(model.state_dict(), ...)");
    Pickle p;
    if (!check_order(&folder, err) || !zip_check(pickle, err))
        return false;
    if (!pickle_read(&ckpt->arena, pickle->data, (size_t)pickle->size, &p, err))
        return err_wrap(err, "%s", pickle->name);
    return ckpt_torch_collect(ckpt, p.root, &(CkptStorages){&folder, find_storage}, err);
}
