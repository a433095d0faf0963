/* Any text is a job spec that survives a round trip, or an error. */
#include "spec/jobspec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    for (int form = 0; form < 2; form++) {
        Err err = {0};
        JobSpec *spec = NULL, *again = NULL;
        if (!jobspec_parse_text(text, (JobForm)form, &spec, &err)) {
            assert(err.kind != ERR_NONE && err.text[0] && !spec);
            continue;
        }
        cJSON *object = jobspec_to_json(spec, (JobForm)form);
        char *once = cJSON_PrintUnformatted(object);
        bool back = jobspec_parse_text(once, (JobForm)form, &again, &err);
        assert(back);
        cJSON *second = jobspec_to_json(again, (JobForm)form);
        char *twice = cJSON_PrintUnformatted(second);
        assert(strcmp(once, twice) == 0);
        cJSON_free(once);
        cJSON_free(twice);
        cJSON_Delete(object);
        cJSON_Delete(second);
        jobspec_free(spec);
        jobspec_free(again);
    }
    free(text);
    return 0;
}
