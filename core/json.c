#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

const char *json_text(const cJSON *object, const char *field, const char *fallback)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, field));
    return text ? text : fallback;
}

double json_number(const cJSON *object, const char *field, double fallback)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, field);
    if (cJSON_IsRaw(value)) /* from json_add_number */
        return strtod(value->valuestring, NULL);
    return cJSON_IsNumber(value) ? value->valuedouble : fallback;
}

int64_t json_int(const cJSON *object, const char *field, int64_t fallback)
{
    double value = json_number(object, field, NAN);
    return fabs(value) <= 0x1p53 && value == floor(value) ? (int64_t)value : fallback;
}

bool json_true(const cJSON *object, const char *field)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, field));
}

/* Outside of strings all is ASCII. */
char *json_print(const cJSON *json, bool indented)
{
    char *text = indented ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
    Buf valid = {0};
    buf_add(&valid, "", 0);
    for (const char *at = text; at && *at;) {
        size_t size = utf8_size(at);
        if (size)
            buf_add(&valid, at, size);
        else
            buf_printf(&valid, "\\\\x%02x", (unsigned char)*at);
        at += size ? size : 1;
    }
    cJSON_free(text);
    return valid.data;
}

void json_number_text(double value, char ret_text[JSON_NUMBER_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret_text, JSON_NUMBER_TEXT, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value)
            return;
    }
}

static cJSON *number(double value)
{
    char text[JSON_NUMBER_TEXT];
    json_number_text(value, text);
    return isfinite(value) ? cJSON_CreateRaw(text) : cJSON_CreateNull();
}

void json_add_number(cJSON *object, const char *name, double value)
{
    cJSON_AddItemToObject(object, name, number(value));
}

cJSON *json_numbers(const double *values, int count)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, number(values[i]));
    return list;
}

void json_add_text(cJSON *object, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, name, text);
}
