/* The part of a backend that all backends share: finding devices, sticky errors, counters, memory.
 * The ops' wrappers with their shape checks are in backend_rows.c and backend_maps.c.
 * To add a backend: a BackendDriver beside cpu_driver (backend_ops.h) and its row in `drivers`. */
#include "kernels/backend.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/backend_ops.h"
#include "kernels/device_memory.h"

enum { DEVICES_MAX = 64, DRIVERS_MAX = 4 };

static const BackendDriver *drivers[DRIVERS_MAX] = {
    &cpu_driver,
#ifdef DDQ_CUDA
    &cuda_driver,
#endif
};

#define OP_NAME(name) #name,
static const char *const op_names[] = {BACKEND_OPS(OP_NAME)};

const char *backend_op_name(BackendOp op)
{
    return (unsigned)op < BACKEND_OP_COUNT ? op_names[op] : "?";
}

/* --- devices ------------------------------------------------------------------------------------ */

void backend_register(const BackendDriver *driver)
{
    size_t at = 0;
    while (at < DRIVERS_MAX && drivers[at] && drivers[at] != driver)
        at++;
    assert(at < DRIVERS_MAX);
    drivers[at] = driver;
}

int backend_devices(DeviceInfo *ret_devices, int max)
{
    int n = 0;
    for (size_t i = 0; i < DRIVERS_MAX && drivers[i] && n < max; i++)
        if (!drivers[i]->unlisted)
            n += drivers[i]->devices(ret_devices + n, max - n);
    return n;
}

void backend_inspect(DeviceInfo *info)
{
    for (size_t i = 0; i < DRIVERS_MAX && drivers[i]; i++) {
        DeviceInfo devices[DEVICES_MAX];
        int n = drivers[i]->inspect ? drivers[i]->devices(devices, DEVICES_MAX) : 0;
        for (int j = 0; j < n; j++)
            if (!strcmp(devices[j].uuid, info->uuid))
                drivers[i]->inspect(info);
    }
}

int backend_absent(Err *ret_whys, int max)
{
    int n = 0;
    for (size_t i = 0; i < DRIVERS_MAX && drivers[i] && n < max; i++) {
        DeviceInfo device;
        if (!drivers[i]->unlisted && drivers[i]->why_none && drivers[i]->devices(&device, 1) == 0)
            drivers[i]->why_none(&ret_whys[n++]);
    }
    return n;
}

/* Lists the devices that exist, and why other kinds do not: the driver may be too old for a requested UUID. */
static Backend *open_refused(const char *device, Err *err)
{
    DeviceInfo devices[DEVICES_MAX];
    Err whys[DRIVERS_MAX] = {0};
    int n = backend_devices(devices, DEVICES_MAX), absent = backend_absent(whys, DRIVERS_MAX);
    Buf have = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&have, "%s%s (%s)", i ? ", " : "", devices[i].uuid, devices[i].name);
    for (int i = 0; i < absent; i++)
        buf_printf(&have, "; %s", whys[i].text);
    err_set(err, ERR_NOT_FOUND, "device %s: not on this machine or not in this build; there is %s", device,
            have.data ? have.data : "none");
    buf_free(&have);
    return NULL;
}

Backend *backend_open(const char *device, Precision precision, int threads, Err *err)
{
    for (size_t i = 0; i < DRIVERS_MAX && drivers[i]; i++) {
        DeviceInfo devices[DEVICES_MAX];
        int n = drivers[i]->devices(devices, DEVICES_MAX);
        if (n == 0 && !strcmp(device, drivers[i]->name) && drivers[i]->why_none) {
            drivers[i]->why_none(err);
            return NULL;
        }
        for (int j = 0; j < n; j++)
            if (!strcmp(device, devices[j].uuid) || !strcmp(device, drivers[i]->name))
                return drivers[i]->open(&devices[j], precision, threads, err);
    }
    return open_refused(device, err);
}

void backend_close(Backend *be)
{
    if (be)
        be->ops->close(be);
}

const DeviceInfo *backend_device(const Backend *be)
{
    return &be->info;
}

Precision backend_precision(const Backend *be)
{
    return be->precision;
}

bool backend_is_host(const Backend *be)
{
    return be->host;
}

const BackendCounters *backend_counters(const Backend *be)
{
    return &be->counters;
}

/* --- sticky errors ------------------------------------------------------------------------------- */

void backend_fail(Backend *be, ErrKind kind, const char *format, ...)
{
    if (be->failed)
        return;
    char text[sizeof(be->error.text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err_set(&be->error, kind, "%s", text);
    be->failed = true;
}

bool be_check(Backend *be, Err *err)
{
    be->ops->sync(be);
    if (!be->failed)
        return true;
    if (err)
        *err = be->error;
    be->failed = false;
    err_clear(&be->error);
    return false;
}

bool backend_begin(Backend *be, BackendOp op)
{
    be->counters.calls[op] += !be->failed;
    return !be->failed;
}

static void print_axis(char *text, size_t size, size_t *used, const char *before, int64_t axis)
{
    if (*used >= size)
        return;
    *used += (size_t)(axis < 0 ? snprintf(text + *used, size - *used, "%s*", before)
                               : snprintf(text + *used, size - *used, "%s%lld", before, (long long)axis));
}

bool backend_want(Backend *be, const char *op, const char *name, const Tensor *t, Dtype dtype, int ndim, int64_t a,
                  int64_t b, int64_t c, int64_t d)
{
    const int64_t want[4] = {a, b, c, d};
    bool good = t->dtype == dtype && t->ndim == ndim;
    for (int i = 0; good && i < ndim; i++)
        good = want[i] < 0 ? t->shape[i] >= 0 : t->shape[i] == want[i];
    if (good && (t->data || tensor_count(t) == 0))
        return true;
    char found[96], wanted[96] = "";
    tensor_print_shape(t, found, sizeof(found));
    size_t used = 0;
    for (int i = 0; i < ndim; i++)
        print_axis(wanted, sizeof(wanted), &used, i ? "," : "[", want[i]);
    backend_fail(be, ERR_INTERNAL, "be_%s: %s is %s%s, wanted %s] %s", op, name, found, t->data ? "" : " without data",
                 wanted, dtype_name(dtype));
    return false;
}

bool backend_want_map(Backend *be, const char *op, const char *name, const FeatureMap *m, int b, int h, int w, int c)
{
    const int found[4] = {m->b, m->h, m->w, m->c}, want[4] = {b, h, w, c};
    bool good = m->data && m->b >= 0 && m->h > 0 && m->w > 0 && m->c > 0;
    for (int i = 0; i < 4; i++)
        good = good && (want[i] < 0 || found[i] == want[i]);
    if (good)
        return true;
    char wanted[96] = "";
    size_t used = 0;
    for (int i = 0; i < 4; i++)
        print_axis(wanted, sizeof(wanted), &used, i ? "," : "[", want[i]);
    backend_fail(be, ERR_INTERNAL, "be_%s: map %s is [%d,%d,%d,%d]%s, wanted %s] as [B,h,w,C]", op, name, m->b, m->h,
                 m->w, m->c, m->data ? "" : " without data", wanted);
    return false;
}

/* --- memory ------------------------------------------------------------------------------------- */

void *be_alloc(Backend *be, size_t bytes, Err *err)
{
    void *memory = be->ops->alloc(be, bytes, err);
    if (memory) {
        be->counters.allocations++;
        be->counters.allocated_bytes += (int64_t)bytes;
        device_memory_add(memory, bytes);
    }
    return memory;
}

void be_free(Backend *be, void *memory)
{
    if (memory) {
        device_memory_remove(memory);
        be->ops->free(be, memory);
    }
}

static bool memory_ready(Backend *be, const char *op, const Tensor *t)
{
    if (be->failed)
        return false;
    if (!t->data && tensor_bytes(t))
        backend_fail(be, ERR_INTERNAL, "be_%s: a tensor without data", op);
    return !be->failed && tensor_bytes(t) > 0;
}

void be_upload(Backend *be, Tensor dst, const void *host)
{
    if (memory_ready(be, "upload", &dst))
        be->ops->upload(be, dst.data, host, tensor_bytes(&dst));
}

void be_download(Backend *be, void *host, Tensor src)
{
    if (memory_ready(be, "download", &src))
        be->ops->download(be, host, src.data, tensor_bytes(&src));
}

void be_download_beside(Backend *be, void *host, Tensor src)
{
    if (memory_ready(be, "download_beside", &src))
        (be->ops->download_beside ? be->ops->download_beside : be->ops->download)(be, host, src.data,
                                                                                  tensor_bytes(&src));
}

void be_copy(Backend *be, Tensor dst, Tensor src)
{
    if (!memory_ready(be, "copy", &dst) || !memory_ready(be, "copy", &src))
        return;
    if (tensor_bytes(&dst) != tensor_bytes(&src))
        backend_fail(be, ERR_INTERNAL, "be_copy: %zu bytes to a tensor of %zu", tensor_bytes(&src), tensor_bytes(&dst));
    else
        be->ops->copy(be, dst.data, src.data, tensor_bytes(&dst));
}

size_t be_map_bytes(const Backend *be, int b, int h, int w, int c)
{
    return be->ops->map_bytes(be, b, h, w, c);
}

size_t be_memory_free(const Backend *be)
{
    return be->ops->memory_free ? be->ops->memory_free(be) : SIZE_MAX;
}

/* --- replays ------------------------------------------------------------------------------------ */

uint64_t be_replay_key(const char *what, const int64_t *numbers, int count)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, a number at a time */
    for (const char *c = what; *c; c++)
        hash = (hash ^ (uint64_t)*c) * 0x100000001b3u;
    for (int i = 0; i < count; i++) {
        hash = (hash ^ (uint64_t)numbers[i]) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

bool be_replay_begin(Backend *be, uint64_t key)
{
    if (be->failed)
        return false;
    bool queue = !be->ops->replay_begin || be->ops->replay_begin(be, key);
    be->counters.replays += !queue;
    return queue;
}

void be_replay_end(Backend *be)
{
    if (be->ops->replay_end)
        be->ops->replay_end(be);
}
