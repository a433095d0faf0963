/* One token a row: temperature, top-k, nucleus, softmax, draw.
 *
 * Order of floats: a key is the float's bits made to rise with its value, so that selecting and sorting are radix
 * passes over integers. The k-th largest is found byte by byte from the top; the nucleus sorts what top-k left (stable,
 * so equal logits stay in id order). Sums of probabilities are in double. NaN logits count as minus infinity. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/math.h"

enum { RADIX = 256 };

typedef struct Entry {
    uint32_t key;
    int32_t id;
} Entry;

/* One thread's memory for a row of V logits. */
typedef struct PickWork {
    float *weight;            /* [V] e^(z - max) of kept entries, 0 of dropped ones */
    uint32_t *key;            /* [V] */
    Entry *entries, *sorting; /* [V] each */
} PickWork;

static size_t work_bytes(int64_t v)
{
    return (size_t)round_up(v * (int64_t)(sizeof(float) + sizeof(uint32_t) + 2 * sizeof(Entry)), CACHE_LINE);
}

static PickWork work_at(char *memory, int64_t v)
{
    Entry *entries = (Entry *)memory;
    uint32_t *key = (uint32_t *)(entries + 2 * v);
    return (PickWork){.entries = entries, .sorting = entries + v, .key = key, .weight = (float *)(key + v)};
}

/* Scaled logits into weight, their keys into key. */
CPU_CLONES static void scale_logits(const float *restrict logits, float temperature, int64_t v, float *restrict z,
                                    uint32_t *restrict key)
{
    for (int64_t i = 0; i < v; i++) {
        float value = logits[i] / temperature;
        z[i] = value != value ? -INFINITY : value + 0.0f; /* + 0: -0 and 0 are ties */
        uint32_t bits;
        memcpy(&bits, z + i, sizeof(bits));
        key[i] = bits ^ (0x80000000u | (0u - (bits >> 31)));
    }
}

/* The k-th largest key, 1 <= k <= n. */
static uint32_t kth_largest(const uint32_t *key, int64_t n, int64_t k)
{
    uint32_t prefix = 0, mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        int64_t count[RADIX] = {0};
        for (int64_t i = 0; i < n; i++)
            if ((key[i] & mask) == prefix)
                count[key[i] >> shift & (RADIX - 1)]++;
        int digit = RADIX - 1;
        for (; k > count[digit]; digit--)
            k -= count[digit];
        prefix |= (uint32_t)digit << shift;
        mask |= (uint32_t)(RADIX - 1) << shift;
    }
    return prefix;
}

/* Largest key first, equal keys in their old order. Four passes, so the result is in `entries` again. */
static void sort_entries(Entry *entries, Entry *other, int64_t n)
{
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t start[RADIX] = {0}, sum = 0;
        for (int64_t i = 0; i < n; i++)
            start[entries[i].key >> shift & (RADIX - 1)]++;
        for (int digit = RADIX - 1; digit >= 0; digit--) {
            int64_t count = start[digit];
            start[digit] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++)
            other[start[entries[i].key >> shift & (RADIX - 1)]++] = entries[i];
        Entry *swap = entries;
        entries = other;
        other = swap;
    }
}

/* Drops entries whose mass before them, in falling order, exceeds top_p; the first always stays. weight: e^(z - max).
 */
static void nucleus(const PickWork *work, int64_t v, float top_p)
{
    int64_t n = 0;
    double total = 0, before = 0;
    for (int64_t i = 0; i < v; i++)
        if (work->weight[i] > 0) {
            work->entries[n++] = (Entry){.key = work->key[i], .id = (int32_t)i};
            total += work->weight[i];
        }
    sort_entries(work->entries, work->sorting, n);
    for (int64_t i = 0; i < n; i++) {
        int32_t id = work->entries[i].id;
        double mass = work->weight[id];
        if (i > 0 && before > top_p * total)
            work->weight[id] = 0;
        before += mass;
    }
}

/* In place: scaled logits to e^(z - max) where the key reaches `least`, 0 elsewhere. */
CPU_CLONES static void weigh(float *restrict z, const uint32_t *restrict key, uint32_t least, float max, int64_t v)
{
    for (int64_t i = 0; i < v; i++)
        z[i] = key[i] >= least && z[i] - max > -80.0f ? exp_f32(z[i] - max) : 0.0f;
}

static int64_t first_largest(const uint32_t *key, int64_t v)
{
    int64_t best = 0;
    for (int64_t i = 1; i < v; i++)
        if (key[i] > key[best])
            best = i;
    return best;
}

static int32_t draw(const float *weight, int64_t v, double total, float uniform)
{
    double sum = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < v; i++) {
        if (weight[i] <= 0)
            continue;
        sum += weight[i];
        last = i;
        if (sum > uniform * total)
            break;
    }
    return (int32_t)last;
}

typedef struct PickRow {
    int64_t v;
    int top_k;
    float top_p, temperature;
    const float *uniform; /* NULL: argmax */
    float *probs;         /* NULL: not wanted */
} PickRow;

static int32_t pick_row(const PickRow *row, const float *logits, const PickWork *work)
{
    int64_t v = row->v;
    scale_logits(logits, fmaxf(row->temperature, 1e-5f), v, work->weight, work->key);
    int64_t best = first_largest(work->key, v);
    if (!row->uniform && !row->probs)
        return (int32_t)best;
    uint32_t least = row->top_k > 0 && row->top_k < v ? kth_largest(work->key, v, row->top_k) : 0;
    float max = work->weight[best];
    if (isinf(max)) { /* all mass on the infinite ones; without any finite or infinite logit, on the first id */
        memset(work->weight, 0, (size_t)v * sizeof(float));
        work->weight[best] = 1;
    } else {
        weigh(work->weight, work->key, least, max, v);
    }
    if (row->top_p < 1)
        nucleus(work, v, row->top_p);
    double total = 0;
    for (int64_t i = 0; i < v; i++)
        total += work->weight[i];
    for (int64_t i = 0; row->probs && i < v; i++)
        row->probs[i] = (float)(work->weight[i] / total);
    return row->uniform ? draw(work->weight, v, total, *row->uniform) : (int32_t)best;
}

void cpu_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
                Tensor probs)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = logits.shape[0], v = logits.shape[1];
    size_t bytes = work_bytes(v);
    char *memory = cpu_scratch(cpu, SCRATCH_WORK, (size_t)cpu->threads * bytes);
    if (!memory)
        return;
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic)
    for (int64_t r = 0; r < rows; r++) {
        PickWork work = work_at(memory + (size_t)cpu_thread() * bytes, v);
        PickRow row = {.v = v,
                       .top_k = top_k,
                       .top_p = top_p,
                       .temperature = temperature,
                       .uniform = uniform.data ? (const float *)uniform.data + r : NULL,
                       .probs = probs.data ? (float *)probs.data + r * v : NULL};
        ((int32_t *)ids.data)[r] = pick_row(&row, (const float *)logits.data + r * v, &work);
    }
}
