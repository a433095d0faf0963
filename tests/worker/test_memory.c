/* The device memory that the worker holds and could use. */
#include "tests/test.h"

#include "kernels/backend.h"
#include "kernels/device_memory.h"
#include "worker/memory.h"

static void ledger_counts_what_is_held(void **state)
{
    (void)state;
    static char memory[1000][64];
    for (int i = 0; i < 1000; i++) /* more than the first table has room for */
        device_memory_add(memory[i], 10);
    assert_int_equal(device_memory_held(), 10000);
    for (int i = 0; i < 1000; i += 2)
        device_memory_remove(memory[i]);
    device_memory_remove(memory[0]); /* an absent address */
    assert_int_equal(device_memory_held(), 5000);
    assert_int_equal(device_memory_peak(), 10000);
    device_memory_restart();
    assert_int_equal(device_memory_peak(), 5000);
    for (int i = 1; i < 1000; i += 2) /* every one is found after its neighbours were removed */
        device_memory_remove(memory[i]);
    assert_int_equal(device_memory_held(), 0);
}

static void a_backend_enters_what_it_takes(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = backend_open("cpu", PREC_F32, 1, &err);
    assert_non_null(be);
    int64_t before = device_memory_held();
    device_memory_restart();
    void *memory = be_alloc(be, 3 << 20, &err);
    assert_int_equal(device_memory_held() - before, 3 << 20);
    be_free(be, memory);
    assert_int_equal(device_memory_held(), before);
    assert_int_equal(device_memory_peak() - before, 3 << 20);
    backend_close(be);
}

static void usable_is_free_and_held(void **state)
{
    (void)state;
    static char memory[64];
    int64_t before = memory_usable_mib("cpu");
    assert_true(before > 0);
    device_memory_add(memory, (size_t)1 << 50); /* far more than the machine's memory moves meanwhile */
    assert_true(memory_usable_mib("cpu") > before + (1 << 29));
    device_memory_remove(memory);
    assert_int_equal(memory_usable_mib("GPU-there-is-none-of-this-name"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ledger_counts_what_is_held),
                                       cmocka_unit_test(a_backend_enters_what_it_takes),
                                       cmocka_unit_test(usable_is_free_and_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
