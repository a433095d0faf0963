#include "worker/checkpoints/pickle_value.h"

#include <stdio.h>
#include <string.h>

bool pickle_is_text(const PickleValue *value, const char *text)
{
    return value->kind == PICKLE_TEXT && value->len == strlen(text) && memcmp(value->text, text, value->len) == 0;
}

bool pickle_is_global(const PickleValue *value, const char *module, const char *name)
{
    return value->kind == PICKLE_GLOBAL && value->len == strlen(module) &&
           memcmp(value->text, module, value->len) == 0 && value->name_len == strlen(name) &&
           memcmp(value->name, name, value->name_len) == 0;
}

bool pickle_is_int(const PickleValue *value, int64_t *ret_integer)
{
    if (value->kind != PICKLE_INT && value->kind != PICKLE_BOOL)
        return false;
    *ret_integer = value->integer;
    return true;
}

const PickleValue *pickle_get(const PickleValue *value, const char *key)
{
    if (value->kind != PICKLE_DICT && value->kind != PICKLE_OBJECT)
        return NULL;
    for (uint32_t i = value->count / 2; i-- > 0;)
        if (pickle_is_text(value->items[2 * i], key))
            return value->items[2 * i + 1];
    return NULL;
}

void pickle_print_global(const PickleValue *value, char *ret_text, size_t size)
{
    for (int depth = 0; value->kind == PICKLE_OBJECT && depth < 8; depth++)
        value = value->call;
    if (value->kind != PICKLE_GLOBAL) {
        snprintf(ret_text, size, "?");
        return;
    }
    snprintf(ret_text, size, "%.*s.%.*s", (int)(value->len < 80 ? value->len : 80), value->text,
             (int)(value->name_len < 80 ? value->name_len : 80), value->name);
}
