/* An image is the same file wherever in memory it was made. ISA-L's levels 1 and 2 let bits of the stream's address
 * into their hash table, so one process in eighty wrote other (valid) bytes for dark images; this walks through
 * addresses. */
#include "worker/images/images.h"

#include <malloc.h>
#include <sys/mman.h>

#include "tests/test.h"

enum { SIDE = 4, STEPS = 600, SPACER = 1 << 16 };

/* Fills the holes that the last image left, so the next one is made further down. */
static uintptr_t move_on(uintptr_t lowest)
{
    for (;;) {
        void *spacer = mmap(NULL, SPACER, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_true(spacer != MAP_FAILED);
        if ((uintptr_t)spacer < lowest)
            return (uintptr_t)spacer;
    }
}

static void test_addresses(void **state)
{
    (void)state;
    mallopt(M_MMAP_THRESHOLD, 4096); /* so the encoder's blocks come from mmap, */
    mallopt(M_TOP_PAD, 0);
    void *fill[200];
    for (size_t i = 0; i < countof(fill); i++) /* and not from what is left on top of the heap */
        fill[i] = xmalloc(2000);
    uint8_t black[SIDE * SIDE * 3] = {0}, *first = NULL;
    size_t first_size = 0;
    uintptr_t lowest = UINTPTR_MAX;
    for (int i = 0; i < STEPS; i++) {
        uint8_t *data = NULL;
        size_t size = 0;
        Err err = {0};
        assert_ok(image_encode_png(black, SIDE, SIDE, &data, &size, &err), err);
        if (first && (size != first_size || memcmp(data, first, size) != 0))
            fail_msg("image %d is %zu bytes and unlike the first of %zu", i, size, first_size);
        if (first)
            free(data);
        else
            first = data, first_size = size;
        lowest = move_on(lowest);
    }
    for (size_t i = 0; i < countof(fill); i++)
        free(fill[i]);
    free(first); /* the spacers end with the process */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
