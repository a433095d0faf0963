#include "worker/report/parts.h"

char *reporting_path(const Reporting *r, const char *name)
{
    return folder_path(r->run->spec->output, name);
}

void reporting_produced(Reporting *r, const char *name)
{
    cJSON_AddItemToArray(r->outputs, cJSON_CreateString(name));
}
