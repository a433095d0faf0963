/* Opens a checkpoint, recognises its container, and finds tensors by name. Owns the index by name and the messages
 * about names. Refuses files of other formats, and names the format where it is easy to recognise. To add a container:
 * a loader (worker/checkpoints/parts.h) and a row in `containers`. */
#include "worker/checkpoints/checkpoint.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

static int by_name(const void *a, const void *b, void *ctx)
{
    const CkptEntry *entries = ctx;
    return strcmp(entries[*(const int *)a].tensor.name, entries[*(const int *)b].tensor.name);
}

static bool build_index(Ckpt *ckpt, Err *err)
{
    ckpt->used = xcalloc((size_t)ckpt->count + 1, sizeof *ckpt->used);
    ckpt->sorted = xmalloc((size_t)ckpt->count * sizeof *ckpt->sorted);
    for (int i = 0; i < ckpt->count; i++)
        ckpt->sorted[i] = i;
    qsort_r(ckpt->sorted, (size_t)ckpt->count, sizeof *ckpt->sorted, by_name, ckpt->entries);
    for (int i = 1; i < ckpt->count; i++)
        if (by_name(&ckpt->sorted[i - 1], &ckpt->sorted[i], ckpt->entries) == 0)
            return err_set(err, ERR_FORMAT, "it has two tensors with the name %s",
                           ckpt->entries[ckpt->sorted[i]].tensor.name);
    return true;
}

/* The first bytes of files that are often given by mistake. */
static const char *describe(const uint8_t *data, size_t size)
{
    static const struct {
        size_t offset;
        const char *bytes, *what;
    } signs[] = {
        {0, "version https://git-lfs", "a Git LFS pointer, not the file it stands for; run git lfs pull"},
        {0, "<", "a web page or XML; the download went wrong"},
        {0, "{", "JSON text"},
        {0, "\x93NUMPY", "a numpy array (.npy)"},
        {0, "\x1f\x8b", "compressed with gzip; unpack it"},
        {0, "\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"},
        {0, "GGUF", "a GGUF file"},
        {0, "\x89HDF", "an HDF5 file"},
        {257, "ustar", "a tar archive (torch.save before 0.2); load and save it with a newer torch"},
    };
    if (!size)
        return "an empty file";
    for (size_t i = 0; i < countof(signs); i++)
        if (size >= signs[i].offset + strlen(signs[i].bytes) &&
            memcmp(data + signs[i].offset, signs[i].bytes, strlen(signs[i].bytes)) == 0)
            return signs[i].what;
    for (size_t i = 0; i < size && i < 256; i++)
        if (!isprint(data[i]) && !isspace(data[i]))
            return "no container that is known";
    return "a text file";
}

static bool is_zip(const uint8_t *data, size_t size)
{
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

static bool is_pickle(const uint8_t *data, size_t size)
{
    return size >= 2 && data[0] == 0x80 && data[1] >= 1 && data[1] <= 5;
}

static bool is_safetensors(const uint8_t *data, size_t size)
{
    return size >= 9 && data[8] == '{';
}

static const struct {
    bool (*is)(const uint8_t *data, size_t size);
    bool (*load)(Ckpt *ckpt, Err *err);
} containers[] = {
    {is_zip, ckpt_zip_load},
    {is_pickle, ckpt_legacy_load},
    {is_safetensors, ckpt_safetensors_load},
};

static bool load(Ckpt *ckpt, const char *part, Err *err)
{
    for (size_t i = 0; i < countof(containers); i++)
        if (containers[i].is(ckpt->data, ckpt->size))
            return containers[i].load(ckpt, err) && ckpt_choose_part(ckpt, part, err) && build_index(ckpt, err);
    return err_set(err, ERR_FORMAT, "it is %s; wanted a file of torch.save or safetensors",
                   describe(ckpt->data, ckpt->size));
}

static Ckpt *open_bytes(Ckpt *ckpt, const void *data, size_t size, const char *part, Err *err)
{
    ckpt->data = data;
    ckpt->size = size;
    if (load(ckpt, part, err))
        return ckpt;
    err_wrap(err, "checkpoint %s", ckpt->path);
    ckpt_close(ckpt);
    return NULL;
}

Ckpt *ckpt_open(const char *path, Err *err)
{
    return ckpt_open_part(path, NULL, err);
}

Ckpt *ckpt_open_part(const char *path, const char *part, Err *err)
{
    FileMap map;
    if (!file_map(path, &map, err)) {
        err_wrap(err, "checkpoint");
        return NULL;
    }
    Ckpt *ckpt = xcalloc(1, sizeof *ckpt);
    ckpt->path = xstrdup(path);
    ckpt->map = map;
    return open_bytes(ckpt, map.data, map.size, part, err);
}

Ckpt *ckpt_open_memory(const void *data, size_t size, const char *path, Err *err)
{
    Ckpt *ckpt = xcalloc(1, sizeof *ckpt);
    ckpt->path = xstrdup(path);
    return open_bytes(ckpt, data, size, NULL, err);
}

void ckpt_close(Ckpt *ckpt)
{
    if (!ckpt)
        return;
    zip_close(ckpt->zip);
    arena_free(&ckpt->arena);
    file_unmap(&ckpt->map);
    free(ckpt->entries);
    free(ckpt->sorted);
    free(ckpt->used);
    free(ckpt->path);
    free(ckpt);
}

const char *ckpt_path(const Ckpt *ckpt)
{
    return ckpt->path;
}

const char *ckpt_root(const Ckpt *ckpt)
{
    return ckpt->root;
}

const char *ckpt_rivals(const Ckpt *ckpt)
{
    return ckpt->rivals;
}

int ckpt_count(const Ckpt *ckpt)
{
    return ckpt->count;
}

const CkptTensor *ckpt_at(const Ckpt *ckpt, int i)
{
    return &ckpt->entries[i].tensor;
}

/* The first tensor in order of names that is not before `name`. */
static const CkptTensor *lower_bound(const Ckpt *ckpt, const char *name)
{
    int low = 0, high = ckpt->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(ckpt->entries[ckpt->sorted[middle]].tensor.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ckpt->count ? &ckpt->entries[ckpt->sorted[low]].tensor : NULL;
}

const CkptTensor *ckpt_find(const Ckpt *ckpt, const char *name)
{
    const CkptTensor *tensor = lower_bound(ckpt, name);
    return tensor && strcmp(tensor->name, name) == 0 ? tensor : NULL;
}

const CkptTensor *ckpt_find_prefix(const Ckpt *ckpt, const char *prefix)
{
    const CkptTensor *tensor = lower_bound(ckpt, prefix);
    return tensor && strncmp(tensor->name, prefix, strlen(prefix)) == 0 ? tensor : NULL;
}

/* Edit distance of two names, at most CKPT_NAME_MAX long; 0 for names of which one ends in the other. */
static int distance(const char *a, const char *b)
{
    int row[CKPT_NAME_MAX + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > CKPT_NAME_MAX || m > CKPT_NAME_MAX)
        return CKPT_NAME_MAX;
    if (strcmp(n > m ? a + n - m : a, n > m ? b : b + m - n) == 0)
        return 0;
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

/* "checkpoint p.pt (ema): no tensor x; the nearest of 23 names are a, b, c" */
bool ckpt_missing(const Ckpt *ckpt, const char *name, Err *err)
{
    enum { NEAREST = 3, COMPARED = 20000 };
    int best[NEAREST], far[NEAREST], found = 0;
    for (int i = 0; i < ckpt->count && i < COMPARED; i++) {
        int d = distance(name, ckpt->entries[i].tensor.name), at = found < NEAREST ? found++ : NEAREST;
        for (; at > 0 && far[at - 1] > d; at--)
            if (at < NEAREST)
                best[at] = best[at - 1], far[at] = far[at - 1];
        if (at < NEAREST)
            best[at] = i, far[at] = d;
    }
    Buf near = {0};
    for (int i = 0; i < found; i++)
        buf_printf(&near, "%s%.100s", i ? ", " : "", ckpt->entries[best[i]].tensor.name);
    const char *other = NULL;
    for (int i = 0; i < ckpt->other_count; i++)
        if (strcmp(ckpt->others[i].name, name) == 0)
            other = ckpt->others[i].text;
    err_set(err, ERR_FORMAT, "checkpoint %s%s%s%s: %s%s %s; the nearest of %d names: %s", ckpt->path,
            *ckpt->root ? " (" : "", ckpt->root, *ckpt->root ? ")" : "", other ? "" : "no tensor ", name,
            other ? other : "", ckpt->count, near.data ? near.data : "none");
    buf_free(&near);
    return false;
}
