/* Reading and judging blocks/. writer.c is the only one who makes pieces; here they are found, checked and read.
 *
 * To add an array: an enum value, its row in `arrays`, and who fills it (writer.c). */
#include "worker/job/pieces.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/stall.h"
#include "worker/arrays/npy.h"
#include "worker/files/map.h"

static const struct {
    const char *name;
    Dtype dtype;
} arrays[PIECE_ARRAYS] = {
    [ARRAY_CODES] = {"codes", DTYPE_I32},       [ARRAY_VECTORS] = {"vectors", DTYPE_F32},
    [ARRAY_FEATURES] = {"features", DTYPE_F32}, [ARRAY_FEATURES_TF] = {"features_tf", DTYPE_F32},
    [ARRAY_SPATIAL] = {"spatial", DTYPE_F32},   [ARRAY_HASHES] = {"hashes", DTYPE_U8},
    [ARRAY_PIXELS] = {"pixels", DTYPE_U8},
};

enum { MANIFEST_MAX = 1 << 22 };

const char *piece_array_name(PieceArray array)
{
    return arrays[array].name;
}

Dtype piece_array_dtype(PieceArray array)
{
    return arrays[array].dtype;
}

char *piece_manifest_path(const char *output, int64_t lo, int64_t hi)
{
    return xasprintf("%s/blocks/%06" PRId64 "-%06" PRId64 ".json", output, lo, hi);
}

char *piece_array_path(const char *output, int64_t lo, int64_t hi, PieceArray array)
{
    return xasprintf("%s/blocks/%06" PRId64 "-%06" PRId64 ".%s.npy", output, lo, hi, arrays[array].name);
}

char *piece_image_path(const char *output, int64_t index)
{
    return xasprintf("%s/images/%06" PRId64 ".png", output, index);
}

uint32_t piece_crc32(uint32_t crc, const void *data, size_t size)
{
    return size ? crc32_gzip_refl(crc, data, size) : crc;
}

/* --- judging a manifest --------------------------------------------------------------------------- */

static bool file_has_size(const char *path, const cJSON *bytes)
{
    struct stat st;
    return cJSON_IsNumber(bytes) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (double)st.st_size == bytes->valuedouble;
}

static bool rows_match(const char *path, int64_t count, uint32_t crc)
{
    NpyArray array = {0};
    if (!npy_open(path, &array, NULL))
        return false;
    size_t bytes = dtype_size(array.dtype);
    for (int i = 0; i < array.ndim; i++)
        bytes *= (size_t)array.shape[i];
    bool good = array.ndim > 0 && array.shape[0] == count && piece_crc32(0, array.data, bytes) == crc;
    npy_free(&array);
    return good;
}

static bool array_valid(const char *output, const Piece *piece, PieceArray array, bool contents)
{
    const cJSON *entries = cJSON_GetObjectItemCaseSensitive(piece->manifest, "arrays");
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(entries, arrays[array].name);
    const cJSON *crc = cJSON_GetObjectItemCaseSensitive(entry, "crc32");
    char *path = piece_array_path(output, piece->lo, piece->hi, array);
    bool good = cJSON_IsNumber(crc) && file_has_size(path, cJSON_GetObjectItemCaseSensitive(entry, "bytes")) &&
                (!contents || rows_match(path, piece->hi - piece->lo, (uint32_t)crc->valuedouble));
    free(path);
    return good;
}

static bool images_valid(const char *output, const Piece *piece)
{
    const cJSON *sizes = cJSON_GetObjectItemCaseSensitive(piece->manifest, "png"), *size;
    int64_t index = piece->lo;
    cJSON_ArrayForEach(size, sizes)
    {
        char *path = piece_image_path(output, index++);
        bool good = file_has_size(path, size);
        free(path);
        if (!good)
            return false;
    }
    return index == piece->hi;
}

static bool manifest_valid(const char *output, const Piece *piece, const PieceNeeds *needs)
{
    const cJSON *lo = cJSON_GetObjectItemCaseSensitive(piece->manifest, "lo");
    const cJSON *hi = cJSON_GetObjectItemCaseSensitive(piece->manifest, "hi");
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(piece->manifest, "identity");
    if (!cJSON_IsNumber(lo) || lo->valuedouble != (double)piece->lo || !cJSON_IsNumber(hi) ||
        hi->valuedouble != (double)piece->hi || !cJSON_IsString(identity) ||
        strcmp(identity->valuestring, needs->identity) != 0)
        return false;
    if (needs->readable && cJSON_GetObjectItemCaseSensitive(piece->manifest, "bad"))
        return false;
    for (int array = 0; array < PIECE_ARRAYS; array++) {
        bool needed = needs->arrays[array] && (array != ARRAY_PIXELS || piece->lo < needs->pixels_below);
        if (needed && !array_valid(output, piece, (PieceArray)array, needs->contents))
            return false;
    }
    return !needs->png || images_valid(output, piece);
}

static cJSON *read_manifest(const char *path)
{
    FileMap map;
    if (!file_map(path, &map, NULL))
        return NULL;
    cJSON *manifest = map.size <= MANIFEST_MAX ? cJSON_ParseWithLength((const char *)map.data, map.size) : NULL;
    file_unmap(&map);
    return manifest;
}

/* "000000-000256.json" */
static bool parse_name(const char *name, int64_t *ret_lo, int64_t *ret_hi)
{
    int used = 0;
    return name[0] != '.' && sscanf(name, "%" SCNd64 "-%" SCNd64 ".json%n", ret_lo, ret_hi, &used) == 2 && used > 0 &&
           !name[used] && *ret_lo >= 0 && *ret_lo < *ret_hi;
}

/* --- finding them --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const Piece *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi > y->hi ? -1 : x->hi < y->hi;
}

static void append(Pieces *pieces, Piece piece)
{
    if ((pieces->count & (pieces->count - 1)) == 0) /* at 0, 1, 2, 4, ... */
        pieces->items = xrealloc(pieces->items, (size_t)(pieces->count ? 2 * pieces->count : 1) * sizeof piece);
    pieces->items[pieces->count++] = piece;
}

bool pieces_scan(const char *output, const PieceNeeds *needs, int64_t lo, int64_t hi, Pieces *ret_pieces, Err *err)
{
    Pieces pieces = {.output = xstrdup(output)};
    char *folder = xasprintf("%s/blocks", output);
    stall_enter(folder);
    DIR *dir = opendir(folder);
    stall_leave();
    if (!dir && errno != ENOENT) {
        err_errno(err, "folder %s", folder);
        free(folder);
        pieces_done(&pieces);
        return false;
    }
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        Piece piece = {0};
        if (!parse_name(entry->d_name, &piece.lo, &piece.hi) || piece.lo >= hi || piece.hi <= lo)
            continue;
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        stall_enter(path); /* its images are looked at as well */
        piece.manifest = read_manifest(path);
        if (piece.manifest && manifest_valid(output, &piece, needs)) {
            append(&pieces, piece);
        } else {
            cJSON_Delete(piece.manifest);
            if (needs->contents)
                unlink(path);
        }
        stall_leave();
        free(path);
    }
    if (dir)
        closedir(dir);
    free(folder);
    if (pieces.count)
        qsort(pieces.items, (size_t)pieces.count, sizeof *pieces.items, compare);
    *ret_pieces = pieces;
    return true;
}

void pieces_done(Pieces *pieces)
{
    for (int i = 0; i < pieces->count; i++)
        cJSON_Delete(pieces->items[i].manifest);
    free(pieces->items);
    free(pieces->output);
    *pieces = (Pieces){0};
}

int64_t pieces_reach(const Pieces *pieces, int64_t at)
{
    for (int i = 0; i < pieces->count && pieces->items[i].lo <= at; i++)
        if (pieces->items[i].hi > at)
            at = pieces->items[i].hi;
    return at;
}

int64_t pieces_next(const Pieces *pieces, int64_t at, int64_t end)
{
    for (int i = 0; i < pieces->count; i++)
        if (pieces->items[i].hi > at)
            return pieces->items[i].lo > at ? (pieces->items[i].lo < end ? pieces->items[i].lo : end) : at;
    return end;
}

/* --- reading arrays ------------------------------------------------------------------------------- */

static bool same_row(const NpyArray *array, PieceArray which, const PieceRow *row)
{
    if (array->dtype != arrays[which].dtype || array->ndim != row->ndim + 1)
        return false;
    for (int i = 0; i < row->ndim; i++)
        if (array->shape[i + 1] != row->shape[i])
            return false;
    return true;
}

static PieceRow row_of(const NpyArray *array)
{
    PieceRow row = {.ndim = array->ndim - 1, .bytes = dtype_size(array->dtype)};
    for (int i = 0; i < row.ndim; i++) {
        row.shape[i] = array->shape[i + 1];
        row.bytes *= (size_t)row.shape[i];
    }
    return row;
}

/* Rows at..end-1 out of one piece. */
static bool read_piece(const Pieces *pieces, const Piece *piece, PieceArray which, int64_t at, int64_t end,
                       PieceRow *row, PieceRowsFn on_rows, void *ctx, Err *err)
{
    char *path = piece_array_path(pieces->output, piece->lo, piece->hi, which);
    NpyArray array = {0};
    bool good = npy_open(path, &array, err);
    if (good) {
        if (!row->bytes)
            *row = row_of(&array);
        if (!same_row(&array, which, row) || array.shape[0] != piece->hi - piece->lo)
            good = err_set(err, ERR_FORMAT,
                           "%s: its shape does not fit the other blocks of this job; remove it and run the "
                           "job again",
                           path);
    }
    if (good)
        good = on_rows((const char *)array.data + (size_t)(at - piece->lo) * row->bytes, end - at, row, ctx, err);
    npy_free(&array);
    free(path);
    return good;
}

bool pieces_read(const Pieces *pieces, PieceArray array, int64_t lo, int64_t hi, PieceRowsFn on_rows, void *ctx,
                 Err *err)
{
    PieceRow row = {0};
    int64_t at = lo;
    for (int i = 0; i < pieces->count && at < hi; i++) {
        const Piece *piece = &pieces->items[i];
        if (piece->lo > at)
            break;
        if (piece->hi <= at)
            continue;
        int64_t end = piece->hi < hi ? piece->hi : hi;
        if (!read_piece(pieces, piece, array, at, end, &row, on_rows, ctx, err))
            return false;
        at = end;
    }
    return at >= hi ||
           err_set(err, ERR_INTERNAL, "%s/blocks: no %s of image %" PRId64, pieces->output, arrays[array].name, at);
}

/* --- cleaning up ---------------------------------------------------------------------------------- */

static bool named_by(const Pieces *pieces, const char *name)
{
    int64_t lo, hi;
    if (name[0] == '.' || sscanf(name, "%" SCNd64 "-%" SCNd64 ".", &lo, &hi) != 2)
        return false;
    for (int i = 0; i < pieces->count; i++)
        if (pieces->items[i].lo == lo && pieces->items[i].hi == hi)
            return true;
    return false;
}

/* Hidden files are unfinished ones (file.h). */
static void sweep_folder(const char *folder, const Pieces *known)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        size_t len = strlen(name);
        bool unfinished = len > 5 && strcmp(name + len - 5, ".part") == 0;
        bool stray = known && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !named_by(known, name);
        if (unfinished || stray)
            unlinkat(dirfd(dir), name, 0);
    }
    if (dir)
        closedir(dir);
}

void pieces_sweep(const Pieces *pieces)
{
    char *images = xasprintf("%s/images", pieces->output), *blocks = xasprintf("%s/blocks", pieces->output);
    sweep_folder(pieces->output, NULL);
    sweep_folder(images, NULL);
    sweep_folder(blocks, pieces);
    free(images);
    free(blocks);
}

void pieces_drop_array(const Pieces *pieces, PieceArray array)
{
    for (int i = 0; i < pieces->count; i++) {
        char *path = piece_array_path(pieces->output, pieces->items[i].lo, pieces->items[i].hi, array);
        unlink(path);
        free(path);
    }
}
