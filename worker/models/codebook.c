/* quantize.embedding.weight, normalised once. Duplicate rows are found by sorting. */
#include "worker/models/codebook.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static void normalise(float *row, int channels)
{
    double squares = 0;
    for (int c = 0; c < channels; c++)
        squares += (double)row[c] * (double)row[c];
    double length = sqrt(squares) > 1e-12 ? sqrt(squares) : 1e-12;
    for (int c = 0; c < channels; c++)
        row[c] = (float)((double)row[c] / length) + 0.0f; /* no -0: equal rows have equal bits */
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
    const Codebook *book = ctx;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    size_t width = (size_t)book->channels;
    int order = memcmp(book->rows + (size_t)i * width, book->rows + (size_t)j * width, width * sizeof(float));
    return order ? order : (i > j) - (i < j);
}

static void find_first(Codebook *book)
{
    size_t n = (size_t)book->codes, width = (size_t)book->channels;
    int32_t *order = xmalloc(n * sizeof *order);
    book->first = xmalloc(n * sizeof *book->first);
    for (size_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    qsort_r(order, n, sizeof *order, compare_rows, book);
    for (size_t i = 0; i < n; i++) {
        bool same = i && !memcmp(book->rows + (size_t)order[i] * width, book->rows + (size_t)order[i - 1] * width,
                                 width * sizeof(float));
        book->first[order[i]] = same ? book->first[order[i - 1]] : order[i];
    }
    free(order);
}

bool codebook_load(Codebook *ret_codebook, const Weights *weights, Backend *be, Err *err)
{
    int64_t shape[] = {-1, -1};
    Codebook book = {.be = be};
    if (!weights_shape(weights, "quantize.embedding.weight", 2, shape, err))
        return false;
    if (shape[0] < 1 || shape[0] > 1 << 24 || shape[1] < 1 || shape[1] > 4096)
        return err_set(err, ERR_FORMAT,
                       "tokenizer %s: quantize.embedding.weight has [%lld,%lld], wanted up to 16777216 codes of up to "
                       "4096 channels",
                       weights->path, (long long)shape[0], (long long)shape[1]);
    book.codes = (int)shape[0];
    book.channels = (int)shape[1];
    book.rows = weights_take(weights, "quantize.embedding.weight", shape[0], shape[1], 0, 0, err);
    if (!book.rows)
        return false;
    for (int i = 0; i < book.codes; i++)
        normalise(book.rows + (size_t)i * (size_t)book.channels, book.channels);
    find_first(&book);
    if (!weights_place(be, book.rows, shape[0], shape[1], &book.device, err)) {
        codebook_free(&book);
        return false;
    }
    *ret_codebook = book;
    return true;
}

void codebook_free(Codebook *codebook)
{
    if (codebook->be)
        be_free(codebook->be, codebook->device.data);
    free(codebook->rows);
    free(codebook->first);
    memset(codebook, 0, sizeof *codebook);
}
