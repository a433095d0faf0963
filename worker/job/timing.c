/* The names are those of the sampler's stages and of report.json. To add a stage: an enum value, a name. */
#include "worker/job/timing.h"

#include <math.h>
#include <string.h>

#include "core/clock.h"

static const char *const names[STAGES] = {"load", "student", "teacher", "decode", "features", "write", "report"};

void stopwatch_enter(Stopwatch *watch, Stage stage)
{
    double now = mono_seconds();
    if (watch->now != STAGE_NONE)
        watch->seconds[watch->now] += now - watch->since;
    watch->now = stage;
    watch->since = now;
}

const char *stage_name(Stage stage)
{
    return stage < STAGES ? names[stage] : "";
}

Stage stage_parse(const char *name)
{
    for (int stage = 0; stage < STAGES; stage++)
        if (strcmp(name, names[stage]) == 0)
            return (Stage)stage;
    return STAGE_NONE;
}

cJSON *stages_to_json(const double seconds[STAGES])
{
    cJSON *object = cJSON_CreateObject();
    for (int stage = 0; stage < STAGES; stage++)
        if (seconds[stage] > 0) /* microseconds are enough */
            cJSON_AddNumberToObject(object, names[stage], round(seconds[stage] * 1e6) / 1e6);
    return object;
}

void stages_add_json(double seconds[STAGES], const cJSON *object)
{
    for (int stage = 0; stage < STAGES; stage++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, names[stage]);
        if (cJSON_IsNumber(value) && isfinite(value->valuedouble))
            seconds[stage] += value->valuedouble;
    }
}
