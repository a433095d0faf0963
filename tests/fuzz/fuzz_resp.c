/* Any bytes give the same commands and the same verdicts whether they arrive at once or one by one. */
#include "daemon/gate/resp.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/gate/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The verdicts on all commands in the bytes, each parsed when `step` more bytes have arrived. */
static void judge(const char *bytes, size_t size, size_t step, Buf *ret_verdicts)
{
    for (size_t at = 0, have = 0; have < size || at < size;) {
        RespCommand command;
        size_t need = 0;
        const char *why = NULL;
        have = have + step > size ? size : have + step;
        RespResult result = resp_parse(bytes + at, have - at, &command, &need, &why);
        assert(result != RESP_MORE || need > have - at);
        assert(result != RESP_INVALID || why);
        if (result == RESP_COMPLETE) {
            GateVerdict verdict = gate_judge(&command);
            buf_printf(ret_verdicts, "%zu %d %s\n", at, verdict.action, verdict.text);
            assert(command.size > 0 && command.size <= have - at);
            at += command.size;
            have = have < at ? at : have;
        } else if (result == RESP_INVALID || have == size) {
            buf_printf(ret_verdicts, "%zu %s\n", at, result == RESP_INVALID ? "invalid" : "more");
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* exactly as long, so that reading beyond is seen */
    memcpy(copy, data, size);
    Buf whole = {0}, single = {0};
    judge(copy, size, size ? size : 1, &whole);
    judge(copy, size, 1, &single);
    assert(whole.len == single.len && (whole.len == 0 || memcmp(whole.data, single.data, whole.len) == 0));
    buf_free(&whole);
    buf_free(&single);
    free(copy);
    return 0;
}
