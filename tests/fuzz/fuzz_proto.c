/* Any bytes give the same messages whether they arrive at once or one by one. */
#include "spec/proto.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    char *text = cJSON_PrintUnformatted(message);
    buf_printf(ctx, "%s %s\n", proto_name(type), text);
    cJSON_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf whole = {0}, single = {0};
    ProtoReader one = {0}, other = {0};
    Err err = {0};
    bool good = proto_feed(&one, (const char *)data, size, on_message, &whole, &err);
    bool same = true;
    for (size_t i = 0; i < size && same; i++)
        same = proto_feed(&other, (const char *)data + i, 1, on_message, &single, &err);
    assert(good == same);
    assert(whole.len == single.len && (whole.len == 0 || memcmp(whole.data, single.data, whole.len) == 0));
    proto_reader_free(&one);
    proto_reader_free(&other);
    buf_free(&whole);
    buf_free(&single);
    return 0;
}
