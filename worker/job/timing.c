/* The names are those of the sampler's stages and of report.json. To add a phase: an enum value, a name. */
#include "worker/job/timing.h"

#include <math.h>
#include <string.h>

#include "core/clock.h"

static const char *const names[PHASES] = {"load", "student", "teacher", "decode", "features", "write", "report"};

void stopwatch_enter(Stopwatch *watch, Phase phase)
{
    double now = mono_seconds();
    if (watch->now != PHASE_NONE)
        watch->seconds[watch->now] += now - watch->since;
    watch->now = phase;
    watch->since = now;
}

const char *phase_name(Phase phase)
{
    return phase < PHASES ? names[phase] : "";
}

Phase phase_parse(const char *name)
{
    for (int phase = 0; phase < PHASES; phase++)
        if (strcmp(name, names[phase]) == 0)
            return (Phase)phase;
    return PHASE_NONE;
}

cJSON *phases_to_json(const double seconds[PHASES])
{
    cJSON *object = cJSON_CreateObject();
    for (int phase = 0; phase < PHASES; phase++)
        if (seconds[phase] > 0) /* microseconds are enough */
            cJSON_AddNumberToObject(object, names[phase], round(seconds[phase] * 1e6) / 1e6);
    return object;
}

void phases_add_json(double seconds[PHASES], const cJSON *object)
{
    for (int phase = 0; phase < PHASES; phase++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, names[phase]);
        if (cJSON_IsNumber(value) && isfinite(value->valuedouble))
            seconds[phase] += value->valuedouble;
    }
}
