#include "kernels/cpu/primitive.h"

#include <assert.h>
#include <omp.h>

#include "core/mem.h"

/* What can only fail for want of memory, or because a description of ours is nonsense. */
static void must(dnnl_status_t status)
{
    assert(status == dnnl_success && "oneDNN refused a description");
    (void)status;
}

dnnl_memory_desc_t primitive_dense(dnnl_data_type_t type, dnnl_format_tag_t tag, int ndim, const int64_t *dims)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t all = {0};
    for (int i = 0; i < ndim; i++)
        all[i] = dims[i];
    must(dnnl_memory_desc_init_by_tag(&md, ndim, all, type, tag));
    return md;
}

dnnl_primitive_attr_t primitive_attr(bool sum, bool relu)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    must(dnnl_primitive_attr_create(&attr));
    must(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    must(dnnl_post_ops_create(&ops));
    if (sum)
        must(dnnl_post_ops_append_sum(ops, 1.0f));
    if (relu)
        must(dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f));
    must(dnnl_primitive_attr_set_post_ops(attr, ops));
    dnnl_post_ops_destroy(ops);
    return attr;
}

/* oneDNN divides work by OpenMP's thread count, which belongs to the calling thread. */
static void use_threads(const Cpu *cpu)
{
    if (omp_get_max_threads() != cpu->threads)
        omp_set_num_threads(cpu->threads);
}

const dnnl_memory_desc_t *primitive_md(const Primitive *p, int arg)
{
    return dnnl_primitive_desc_query_md(p->desc, dnnl_query_exec_arg_md, arg);
}

const char *primitive_name(const Primitive *p)
{
    const char *name = "?";
    dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, &name);
    return name;
}

bool primitive_make(Cpu *cpu, Primitive *p, const void *desc, const_dnnl_primitive_attr_t attr, Err *err)
{
    use_threads(cpu);
    *p = (Primitive){0};
    dnnl_status_t status = dnnl_primitive_desc_create(&p->desc, desc, attr, cpu->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&p->handle, p->desc);
    if (status != dnnl_success) {
        primitive_done(p);
        return err_set(err, status == dnnl_out_of_memory ? ERR_MEMORY : ERR_DEVICE,
                       "oneDNN makes no such operation (status %d)", (int)status);
    }
    const dnnl_memory_desc_t *md = primitive_md(p, DNNL_ARG_SCRATCHPAD);
    p->scratch_bytes = md ? dnnl_memory_desc_get_size(md) : 0;
    if (p->scratch_bytes)
        must(dnnl_memory_create(&p->scratch, md, cpu->engine, DNNL_MEMORY_NONE));
    cpu->base.counters.allocations++;
    return true;
}

void primitive_arg(Cpu *cpu, Primitive *p, int arg)
{
    assert(p->nargs < (int)countof(p->args));
    must(dnnl_memory_create(&p->memory[p->nargs], primitive_md(p, arg), cpu->engine, DNNL_MEMORY_NONE));
    p->args[p->nargs++] = arg;
}

void primitive_done(Primitive *p)
{
    for (int i = 0; i < p->nargs; i++)
        dnnl_memory_destroy(p->memory[i]);
    if (p->scratch)
        dnnl_memory_destroy(p->scratch);
    if (p->handle)
        dnnl_primitive_destroy(p->handle);
    if (p->desc)
        dnnl_primitive_desc_destroy(p->desc);
    *p = (Primitive){0};
}

void primitive_run(Cpu *cpu, const Primitive *p, void *const *pointers)
{
    dnnl_exec_arg_t args[countof(p->args) + 1];
    int n = 0;
    for (; n < p->nargs; n++) {
        dnnl_memory_set_data_handle(p->memory[n], pointers[n]);
        args[n] = (dnnl_exec_arg_t){.arg = p->args[n], .memory = p->memory[n]};
    }
    if (p->scratch) {
        void *scratch = cpu_scratch(cpu, SCRATCH_DNNL, p->scratch_bytes);
        if (!scratch)
            return;
        dnnl_memory_set_data_handle(p->scratch, scratch);
        args[n++] = (dnnl_exec_arg_t){.arg = DNNL_ARG_SCRATCHPAD, .memory = p->scratch};
    }
    use_threads(cpu);
    dnnl_status_t status = dnnl_primitive_execute(p->handle, cpu->stream, n, args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(cpu->stream);
    if (status != dnnl_success)
        backend_fail(&cpu->base, ERR_DEVICE, "oneDNN %s failed (status %d)", primitive_name(p), (int)status);
}

bool primitive_reorder(Cpu *cpu, const dnnl_memory_desc_t *from, const void *src, const dnnl_memory_desc_t *to,
                       void *dst, Err *err)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t handle = NULL;
    dnnl_memory_t in = NULL, out = NULL;
    use_threads(cpu);
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from, cpu->engine, to, cpu->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&handle, desc);
    if (status == dnnl_success)
        status = dnnl_memory_create(&in, from, cpu->engine, (void *)src);
    if (status == dnnl_success)
        status = dnnl_memory_create(&out, to, cpu->engine, dst);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, in}, {DNNL_ARG_TO, out}};
    if (status == dnnl_success)
        status = dnnl_primitive_execute(handle, cpu->stream, 2, args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(cpu->stream);
    dnnl_memory_destroy(in);
    dnnl_memory_destroy(out);
    dnnl_primitive_destroy(handle);
    dnnl_primitive_desc_destroy(desc);
    return status == dnnl_success || err_set(err, ERR_DEVICE, "oneDNN cannot repack weights (status %d)", (int)status);
}
