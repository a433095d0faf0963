#include "tests/ops/rig.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { GUARD = 192, GUARD_BYTE = 0xA5, POISON = 0xFF /* as f32 and f64: NaN */ };

void rig_fail(Rig *rig, const char *format, ...)
{
    if (rig->text[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(rig->text, sizeof(rig->text), format, args);
    va_end(args);
}

void rig_check(Rig *rig)
{
    Err err = {0};
    if (!be_check(rig->be, &err))
        rig_fail(rig, "%s", err.text);
}

/* --- values ------------------------------------------------------------------------------------------ */

static uint32_t random_bits(Rig *rig)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rig->random >> 33);
}

double rig_uniform(Rig *rig)
{
    return random_bits(rig) / 2147483648.0;
}

static float normal(Rig *rig, float scale)
{
    double u = 1 - rig_uniform(rig), v = rig_uniform(rig);
    return (float)(scale * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

float *rig_values(Rig *rig, float scale, int64_t n)
{
    float *values = xcalloc((size_t)n, sizeof(*values));
    for (int64_t i = 0; i < n; i++)
        values[i] = normal(rig, scale);
    return values;
}

/* --- slots ------------------------------------------------------------------------------------------- */

static Slot *add_slot(Rig *rig, size_t bytes, size_t host_bytes)
{
    assert(rig->nslots < RIG_SLOTS);
    Slot *slot = &rig->slots[rig->nslots++];
    Err err = {0};
    slot->bytes = bytes;
    slot->host_bytes = host_bytes;
    slot->host = xcalloc(1, host_bytes);
    slot->block = be_alloc(rig->be, bytes + 2 * GUARD, &err);
    if (!slot->block)
        rig_fail(rig, "%s", err.text);
    return slot;
}

static Slot *add_tensor(Rig *rig, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = {.dtype = dtype, .ndim = ndim, .shape = {a, b, c, d}};
    Slot *slot = add_slot(rig, tensor_bytes(&t), tensor_bytes(&t));
    slot->t = t;
    slot->t.data = slot->block + GUARD;
    return slot;
}

static Slot *add_map(Rig *rig, int b, int h, int w, int c)
{
    Slot *slot = add_slot(rig, be_map_bytes(rig->be, b, h, w, c), (size_t)b * (size_t)h * (size_t)w * (size_t)c * 4);
    slot->is_map = true;
    slot->m = (FeatureMap){.data = slot->block + GUARD, .b = b, .h = h, .w = w, .c = c};
    return slot;
}

static void move_map(Rig *rig, const Slot *slot, void *host, bool to_map);

void rig_hold(Rig *rig, int index)
{
    Slot *slot = &rig->slots[index];
    if (rig->text[0])
        return;
    move_map(rig, slot, slot->host, true);
    move_map(rig, slot, slot->host, false);
}

static void fill(Rig *rig, float scale, Slot *slot)
{
    for (size_t i = 0; i < slot->host_bytes / sizeof(float); i++)
        ((float *)slot->host)[i] = normal(rig, scale);
}

float *rig_tensor(Rig *rig, float scale, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Slot *slot = add_tensor(rig, DTYPE_F32, ndim, a, b, c, d);
    fill(rig, scale, slot);
    return slot->host;
}

int32_t *rig_ids(Rig *rig, int64_t n, int32_t below)
{
    int32_t *ids = add_tensor(rig, DTYPE_I32, 1, n, 0, 0, 0)->host;
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)(random_bits(rig) % (uint32_t)below);
    return ids;
}

float *rig_map(Rig *rig, float scale, int b, int h, int w, int c)
{
    Slot *slot = add_map(rig, b, h, w, c);
    fill(rig, scale, slot);
    rig_hold(rig, rig->nslots - 1);
    return slot->host;
}

uint8_t *rig_bytes(Rig *rig, int b, int h, int w, int c)
{
    Slot *slot = add_tensor(rig, DTYPE_U8, 4, b, h, w, c);
    for (size_t i = 0; i < slot->bytes; i++)
        ((uint8_t *)slot->host)[i] = (uint8_t)random_bits(rig);
    return slot->host;
}

static Slot *as_output(Slot *slot, size_t count)
{
    slot->output = true;
    memset(slot->host, POISON, slot->host_bytes);
    slot->want = xcalloc(count, sizeof(double));
    return slot;
}

Slot *rig_output(Rig *rig, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Slot *slot = add_tensor(rig, dtype, ndim, a, b, c, d);
    return as_output(slot, (size_t)tensor_count(&slot->t));
}

Slot *rig_output_map(Rig *rig, int b, int h, int w, int c)
{
    Slot *slot = add_map(rig, b, h, w, c);
    return as_output(slot, slot->host_bytes / sizeof(float));
}

static double value_at(const Slot *slot, const void *values, size_t i)
{
    switch (slot->is_map ? DTYPE_F32 : slot->t.dtype) {
    case DTYPE_F32:
        return ((const float *)values)[i];
    case DTYPE_F64:
        return ((const double *)values)[i];
    case DTYPE_I32:
        return ((const int32_t *)values)[i];
    case DTYPE_U8:
        return ((const uint8_t *)values)[i];
    default:
        abort();
    }
}

static size_t slot_count(const Slot *slot)
{
    return slot->is_map ? slot->host_bytes / sizeof(float) : (size_t)tensor_count(&slot->t);
}

void rig_inout(Rig *rig, int index)
{
    Slot *slot = &rig->slots[index];
    if (!slot->is_map && slot->t.dtype == DTYPE_F64)
        for (size_t i = 0; i < slot_count(slot); i++)
            ((double *)slot->host)[i] = normal(rig, 1);
    else
        fill(rig, 1, slot);
    if (slot->is_map)
        rig_hold(rig, index);
    for (size_t i = 0; i < slot_count(slot); i++)
        slot->want[i] = value_at(slot, slot->host, i);
}

void rig_shared(Rig *rig, int slot)
{
    rig->slots[slot].shared = true;
}

Tensor rig_part(const Rig *rig, int index, int64_t from, int64_t n)
{
    const Slot *slot = &rig->slots[index];
    Tensor t = slot->t;
    if (slot->shared)
        return t;
    t.data = (char *)t.data + tensor_bytes(&t) / (size_t)t.shape[0] * (size_t)from;
    t.shape[0] = n;
    return t;
}

FeatureMap rig_map_part(const Rig *rig, int index, int64_t from, int64_t n)
{
    FeatureMap m = rig->slots[index].m;
    m.data = (char *)m.data + be_map_bytes(rig->be, 1, m.h, m.w, m.c) * (size_t)from;
    m.b = (int)n;
    return m;
}

/* --- to the backend and back ------------------------------------------------------------------------- */

static Tensor bytes_at(void *data, size_t bytes)
{
    return (Tensor){.data = data, .dtype = DTYPE_U8, .ndim = 1, .shape = {(int64_t)bytes}};
}

/* A map's rows through a tensor of the backend; way: true to the map. */
static void move_map(Rig *rig, const Slot *slot, void *host, bool to_map)
{
    Err err = {0};
    void *memory = be_alloc(rig->be, slot->host_bytes, &err);
    Tensor rows = tensor_f32(memory, 2, (int64_t)slot->m.b * slot->m.h * slot->m.w, slot->m.c, 0, 0);
    if (to_map) {
        be_upload(rig->be, rows, host);
        be_map_from_rows(rig->be, rows, slot->m);
    } else {
        be_map_to_rows(rig->be, slot->m, rows);
        be_download(rig->be, host, rows);
    }
    rig_check(rig);
    be_free(rig->be, memory);
}

static bool poisoned(const Slot *slot)
{
    return slot->output && slot->host_bytes && ((const unsigned char *)slot->host)[0] == POISON &&
           !memcmp(slot->host, (const char *)slot->host + 1, slot->host_bytes - 1);
}

static void fill_slot(Rig *rig, const Slot *slot)
{
    size_t all = slot->bytes + 2 * GUARD;
    unsigned char *bytes = xmalloc(all);
    memset(bytes, GUARD_BYTE, all);
    memset(bytes + GUARD, POISON, slot->bytes);
    if (!slot->is_map)
        memcpy(bytes + GUARD, slot->host, slot->bytes);
    be_upload(rig->be, bytes_at(slot->block, all), bytes);
    rig_check(rig);
    free(bytes);
    if (slot->is_map && !poisoned(slot))
        move_map(rig, slot, slot->host, true);
}

static void check_guards(Rig *rig, const Slot *slot)
{
    size_t all = slot->bytes + 2 * GUARD;
    unsigned char *bytes = xmalloc(all);
    be_download(rig->be, bytes, bytes_at(slot->block, all));
    rig_check(rig);
    for (size_t i = 0; i < GUARD; i++) {
        if (bytes[i] != GUARD_BYTE)
            rig_fail(rig, "slot %d: byte %zu before it was overwritten", (int)(slot - rig->slots), GUARD - i);
        if (bytes[all - 1 - i] != GUARD_BYTE)
            rig_fail(rig, "slot %d: byte %zu after it was overwritten", (int)(slot - rig->slots), GUARD - i);
    }
    if (!slot->output && !slot->is_map && memcmp(bytes + GUARD, slot->host, slot->bytes))
        rig_fail(rig, "slot %d: an input was overwritten", (int)(slot - rig->slots));
    free(bytes);
}

static void read_slot(Rig *rig, const Slot *slot, void *host)
{
    if (slot->is_map) {
        move_map(rig, slot, host, false);
        return;
    }
    be_download(rig->be, host, slot->t);
    rig_check(rig);
}

/* NaN in the padding of a written map would reach every output of this convolution. */
static void check_padding(Rig *rig, const Slot *slot)
{
    const FeatureMap *m = &slot->m;
    const ConvShape shape = {.c_in = m->c, .c_out = 1, .kh = 1, .kw = 1, .stride = 1};
    Err err = {0};
    float *ones = xcalloc((size_t)m->c, sizeof(*ones));
    for (int i = 0; i < m->c; i++)
        ones[i] = 1;
    Conv *conv = be_conv_pack(rig->be, ones, NULL, &shape, m->h, m->w, &err);
    FeatureMap sum = {.data = be_alloc(rig->be, be_map_bytes(rig->be, m->b, m->h, m->w, 1), &err),
                      .b = m->b,
                      .h = m->h,
                      .w = m->w,
                      .c = 1};
    Slot view = {.m = sum, .host_bytes = (size_t)m->b * (size_t)m->h * (size_t)m->w * sizeof(float)};
    float *values = xmalloc(view.host_bytes);
    if (conv && sum.data) {
        be_conv(rig->be, conv, *m, (FeatureMap){0}, sum);
        move_map(rig, &view, values, false);
        for (size_t i = 0; i < view.host_bytes / sizeof(float); i++)
            if (isnan(values[i]))
                rig_fail(rig, "slot %d: the map's padding is not clean", (int)(slot - rig->slots));
    } else {
        rig_fail(rig, "%s", err.text);
    }
    be_conv_free(rig->be, conv);
    be_free(rig->be, sum.data);
    free(values);
    free(ones);
}

/* --- judging ----------------------------------------------------------------------------------------- */

void rig_near(Rig *rig, int index, const double *want, double nmse, double max)
{
    const Slot *slot = &rig->slots[index];
    size_t n = slot_count(slot), worst_at = 0;
    double squares = 0, errors = 0, worst = 0;
    void *got = xmalloc(slot->host_bytes);
    read_slot(rig, slot, got);
    for (size_t i = 0; i < n; i++) {
        double error = value_at(slot, got, i) - want[i];
        squares += want[i] * want[i];
        errors += error * error;
        if (!(fabs(error) <= worst)) { /* NaN too, for good */
            worst = error == error ? fabs(error) : INFINITY;
            worst_at = i;
        }
    }
    double rms = sqrt(squares / (double)n), found = errors / (squares > 0 ? squares : 1),
           most = worst / (rms > 0 ? rms : 1);
    if (!(found <= nmse) || !(most <= max))
        rig_fail(rig, "slot %d: nmse %.3g (bound %.3g), largest error %.3g (bound %.3g) at %zu: got %.9g, wanted %.9g",
                 index, found, nmse, most, max, worst_at, value_at(slot, got, worst_at), want[worst_at]);
    rig->nmse = fmax(rig->nmse, nmse > 0 ? found / nmse : found);
    rig->max = fmax(rig->max, max > 0 ? most / max : most);
    free(got);
}

double rig_nmse(const Rig *rig, const OpTest *test)
{
    switch (backend_precision(rig->be)) {
    case PREC_F32:
        return test->nmse;
    case PREC_BF16:
        return test->nmse_bf16;
    default: /* tf32 and fp16 keep three bits more: errors 8 times smaller */
        return test->nmse_bf16 / 64;
    }
}

static void judge(Rig *rig, const OpTest *test)
{
    double nmse = rig_nmse(rig, test);
    bool exact = backend_precision(rig->be) == PREC_F32;
    for (int i = 0; i < rig->nslots; i++)
        if (rig->slots[i].output && rig->slots[i].want)
            rig_near(rig, i, rig->slots[i].want, nmse, exact ? test->max : 10 * sqrt(nmse));
}

/* --- a run ------------------------------------------------------------------------------------------- */

static void fill_all(Rig *rig)
{
    for (int i = 0; i < rig->nslots; i++)
        fill_slot(rig, &rig->slots[i]);
}

static void run_in_pieces(Rig *rig, const OpTest *test)
{
    static const int64_t sizes[] = {1, 3, 2, 7, 1, 16, 5, 64, 100};
    int64_t from = 0;
    for (size_t i = 0; from < rig->count; i++) {
        int64_t n = sizes[i % countof(sizes)];
        n = n < rig->count - from ? n : rig->count - from;
        test->call(rig, from, n);
        from += n;
    }
    rig_check(rig);
}

static void check_invariance(Rig *rig, const OpTest *test)
{
    void *whole[RIG_SLOTS] = {0};
    for (int i = 0; i < rig->nslots; i++)
        if (rig->slots[i].output) {
            whole[i] = xcalloc(1, rig->slots[i].host_bytes);
            read_slot(rig, &rig->slots[i], whole[i]);
            for (size_t j = 0; j < rig->slots[i].host_bytes; j++)
                rig->digest = (rig->digest ^ ((const unsigned char *)whole[i])[j]) * 1099511628211u;
        }
    fill_all(rig);
    run_in_pieces(rig, test);
    for (int i = 0; i < rig->nslots; i++)
        if (whole[i]) {
            void *pieces = xcalloc(1, rig->slots[i].host_bytes);
            read_slot(rig, &rig->slots[i], pieces);
            if (memcmp(whole[i], pieces, rig->slots[i].host_bytes))
                rig_fail(rig, "slot %d: other bytes when the same %lld rows come in parts", i, (long long)rig->count);
            free(pieces);
            free(whole[i]);
        }
}

static void done(Rig *rig)
{
    for (int i = 0; i < rig->nslots; i++) {
        be_free(rig->be, rig->slots[i].block);
        free(rig->slots[i].host);
        free(rig->slots[i].want);
    }
    be_linear_free(rig->be, rig->linear);
    be_conv_free(rig->be, rig->conv);
    free(rig->w);
    free(rig->bias);
}

bool rig_run(Rig *rig, Backend *be, const Case *row)
{
    const OpTest *test = op_tests[row->op];
    *rig = (Rig){.be = be, .row = row, .p = row->p, .random = 88172645463325252u + (uint64_t)row->p[0]};
    test->setup(rig);
    if (!rig->text[0]) {
        fill_all(rig);
        test->call(rig, 0, rig->count);
        rig_check(rig);
        if (test->judge)
            test->judge(rig);
        else
            judge(rig, test);
        for (int i = 0; i < rig->nslots && !rig->text[0]; i++) {
            check_guards(rig, &rig->slots[i]);
            if (rig->slots[i].is_map && rig->slots[i].output)
                check_padding(rig, &rig->slots[i]);
        }
    }
    if (!rig->text[0])
        check_invariance(rig, test);
    done(rig);
    return !rig->text[0];
}
