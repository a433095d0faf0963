/* The CPU backend: opening, memory, scratch, and the table. Each op's loop is in the file of its family.
 *
 * Ops run when they are called, on OpenMP threads. Loops are compiled for several vector widths and chosen when the
 * program starts (CPU_CLONES) or a backend opens (Isa), so one binary runs on any x86-64. */
#include "kernels/cpu/cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/mem.h"

/* --- the machine ----------------------------------------------------------------------------------- */

/* One number of a /proc file: the rest of the line that starts with `key`. False when there is none. */
static bool proc_line(const char *path, const char *key, char *ret_text, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[512];
    bool found = false;
    while (file && !found && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, strlen(key)))
            continue;
        const char *text = line + strlen(key);
        text += strspn(text, " \t:");
        snprintf(ret_text, size, "%.*s", (int)strcspn(text, "\n"), text);
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

static int64_t memory_mib(const char *key)
{
    char text[64];
    return proc_line("/proc/meminfo", key, text, sizeof(text)) ? atoll(text) / 1024 : 0;
}

static int cpu_devices(DeviceInfo *ret_devices, int max)
{
    if (max < 1)
        return 0;
    *ret_devices = (DeviceInfo){.uuid = "cpu", .name = "CPU"};
    proc_line("/proc/cpuinfo", "model name", ret_devices->name, sizeof(ret_devices->name));
    ret_devices->memory_mib = memory_mib("MemTotal:");
    ret_devices->free_mib = memory_mib("MemAvailable:");
    return 1;
}

/* --- memory ---------------------------------------------------------------------------------------- */

/* From this size on memory is worth huge pages: fewer TLB misses in products that stream weights. */
enum { HUGE_PAGE = 2 << 20 };

static void *cpu_alloc(Backend *be, size_t bytes, Err *err)
{
    (void)be;
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    size_t size = (size_t)round_up((int64_t)(bytes ? bytes : 1), (int64_t)align);
    int64_t wanted = (int64_t)(size >> 20), have = memory_mib("MemAvailable:");
    /* Linux overcommits memory and kills the process later; so large requests are compared with the free memory. */
    void *memory = size < HUGE_PAGE || have == 0 || wanted <= have ? aligned_alloc(align, size) : NULL;
    if (!memory)
        err_set(err, ERR_MEMORY, "cpu: wanted %lld MiB, %lld MiB are free; a smaller batch needs less",
                (long long)wanted, (long long)have);
    else if (align == HUGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

static void cpu_free(Backend *be, void *memory)
{
    (void)be;
    free(memory);
}

static void cpu_copy(Backend *be, void *dst, const void *src, size_t bytes)
{
    (void)be;
    memmove(dst, src, bytes);
}

static size_t cpu_map_bytes(const Backend *be, int b, int h, int w, int c)
{
    (void)be;
    return (size_t)b * (size_t)h * (size_t)w * (size_t)map_blocks(c) * BLOCK * sizeof(float);
}

void *cpu_scratch(Cpu *cpu, CpuScratch which, size_t bytes)
{
    if (cpu->scratch[which].size >= bytes && cpu->scratch[which].data)
        return cpu->scratch[which].data;
    Err err = {0};
    be_free(&cpu->base, cpu->scratch[which].data);
    cpu->scratch[which].data = be_alloc(&cpu->base, bytes, &err);
    cpu->scratch[which].size = cpu->scratch[which].data ? bytes : 0;
    if (!cpu->scratch[which].data)
        backend_fail(&cpu->base, err.kind, "scratch: %s", err.text);
    return cpu->scratch[which].data;
}

int cpu_thread(void)
{
    return omp_get_thread_num();
}

/* --- life -------------------------------------------------------------------------------------------- */

static void cpu_sync(Backend *be)
{
    (void)be; /* ops have run when they return */
}

static void cpu_close(Backend *be)
{
    Cpu *cpu = cpu_of(be);
    for (int i = 0; i < SCRATCHES; i++)
        be_free(be, cpu->scratch[i].data);
    free(cpu);
}

static const BackendOps cpu_ops = {
    .name = "cpu",
    .close = cpu_close,
    .sync = cpu_sync,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_copy,
    .download = cpu_copy,
    .copy = cpu_copy,
    .map_bytes = cpu_map_bytes,
    .linear_pack = cpu_linear_pack,
    .linear_free = cpu_linear_free,
    .conv_pack = cpu_conv_pack,
    .conv_free = cpu_conv_free,
    .linear = cpu_linear,
    .rms_norm = cpu_rms_norm,
    .layer_norm_modulate = cpu_layer_norm_modulate,
    .swiglu = cpu_swiglu,
    .embed_latents = cpu_embed_latents,
    .gather = cpu_gather,
    .slice = cpu_slice,
    .rope_split = cpu_rope_split,
    .attention = cpu_attention,
    .argmax_linear = cpu_argmax_linear,
    .cfg = cpu_cfg,
    .sample = cpu_sample,
    .nearest_code = cpu_nearest_code,
    .conv = cpu_conv,
    .group_norm = cpu_group_norm,
    .pixel_attention = cpu_pixel_attention,
    .map_from_rows = cpu_map_from_rows,
    .map_to_rows = cpu_map_to_rows,
    .to_u8 = cpu_to_u8,
    .resize_inception = cpu_resize_inception,
    .pool = cpu_pool,
    .concat = cpu_concat,
    .global_mean = cpu_global_mean,
};

static bool precision_offered(Precision precision, Err *err)
{
    switch (precision) {
    case PREC_F32:
        return true;
    case PREC_BF16:
        if (__builtin_cpu_supports("avx512bf16"))
            return true;
        return err_set(err, ERR_USAGE, "device cpu: precision bf16 needs a CPU with AVX512_BF16; use fp32");
    case PREC_TF32:
        return err_set(err, ERR_USAGE, "device cpu: precision tf32 is a GPU's; the CPU offers fp32 and bf16");
    case PREC_F16:
        return err_set(err, ERR_USAGE, "device cpu: precision fp16 is a GPU's; the CPU offers fp32 and bf16");
    }
    return err_set(err, ERR_USAGE, "device cpu: precision %d is unknown", (int)precision);
}

/* The widest vectors of the machine, or of DDQ_CPU_ISA (base, x86-64-v3, x86-64-v4) if that is narrower: tests run the
 * narrow ones on a wide machine so. */
static const Isa *choose_isa(void)
{
#ifdef __x86_64__
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const Isa *const offered[] = {v4 ? &isa_v4 : NULL, v3 ? &isa_v3 : NULL};
    const char *limit = getenv("DDQ_CPU_ISA");
    for (size_t i = 0; i < countof(offered); i++)
        if (offered[i] && (!limit || strcmp(limit, offered[i]->name) >= 0) && (!limit || strcmp(limit, isa_base.name)))
            return offered[i];
#endif
    return &isa_base;
}

static Backend *cpu_open(const DeviceInfo *device, Precision precision, int threads, Err *err)
{
    if (!precision_offered(precision, err))
        return NULL;
    Cpu *cpu = xcalloc(1, sizeof(*cpu));
    cpu->base = (Backend){.ops = &cpu_ops, .info = *device, .precision = precision, .host = true};
    cpu->threads = threads > 0 ? threads : omp_get_max_threads(); /* OMP_NUM_THREADS, or the affinity mask's CPUs */
    cpu->isa = choose_isa();
    return &cpu->base;
}

const BackendDriver cpu_driver = {.name = "cpu", .devices = cpu_devices, .open = cpu_open};
