#include "client/sieve.h"

#include <stddef.h>
#include <string.h>

#include "core/mem.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

static bool all_of(const char *text, const char *alphabet, size_t most)
{
    size_t len = strspn(text, alphabet);
    return len > 0 && len <= most && !text[len];
}

bool sieve_is_id(const char *text)
{
    return all_of(text, "0123456789abcdefghjkmnpqrstvwxyz", 26);
}

bool sieve_is_name(const char *text)
{
    return all_of(text, LETTERS DIGITS "_.-", 64) && *text != '.' && *text != '-';
}

bool sieve_is_label(const char *text)
{
    return all_of(text, LETTERS DIGITS "_.:/@+-", 128) && *text != '-';
}

/* --- the lists of answers ----------------------------------------------------------------------------------- */

/* The texts of an entry of `list`. An absent one is fine, one of another type is not. */
static const struct {
    const char *list, *field;
    bool (*is_one)(const char *text);
} places[] = {
    {"jobs", "id", sieve_is_id},         {"jobs", "user", sieve_is_name},   {"jobs", "name", sieve_is_name},
    {"rows", "id", sieve_is_id},         {"rows", "user", sieve_is_name},   {"rows", "name", sieve_is_name},
    {"points", "id", sieve_is_id},       {"points", "name", sieve_is_name}, {"groups", "user", sieve_is_name},
    {"groups", "group", sieve_is_name},  {"users", "user", sieve_is_name},  {"hosts", "host", sieve_is_name},
    {"workers", "name", sieve_is_label}, {"leases", "host", sieve_is_name}, {"leases", "worker", sieve_is_label},
};

static bool is_drained(const char *text)
{
    return strcmp(text, "*") == 0 || sieve_is_label(text); /* "*": the whole host */
}

/* Entries that are a name themselves: an object's keys, a list's texts. */
static const struct {
    const char *list;
    bool (*is_one)(const char *text);
} names[] = {
    {"models", sieve_is_label}, {"references", sieve_is_label}, {"library", sieve_is_label}, {"after", sieve_is_id},
    {"states", sieve_is_name},  {"point", sieve_is_name},       {"drains", is_drained},      {"busy", sieve_is_label},
};

/* The field of an entry, which is an object, or a row whose cells are in the order of `columns`. */
static const cJSON *field_of(const cJSON *entry, const char *field, const cJSON *columns)
{
    if (cJSON_IsObject(entry))
        return cJSON_GetObjectItemCaseSensitive(entry, field);
    const cJSON *cell = cJSON_IsArray(entry) && columns ? entry->child : NULL, *column = cell ? columns->child : NULL;
    while (cell && column && strcmp(cJSON_GetStringValue(column) ? column->valuestring : "", field) != 0) {
        cell = cell->next;
        column = column->next;
    }
    return column ? cell : NULL;
}

static bool is_wrong(const cJSON *entry, const char *list, const cJSON *columns)
{
    for (size_t i = 0; i < countof(places); i++) {
        const cJSON *value = strcmp(places[i].list, list) == 0 ? field_of(entry, places[i].field, columns) : NULL;
        if (value && !(cJSON_IsString(value) && places[i].is_one(value->valuestring)))
            return true;
    }
    for (size_t i = 0; i < countof(names); i++) {
        const char *name = entry->string ? entry->string : cJSON_GetStringValue(entry);
        if (strcmp(names[i].list, list) == 0 && name && !names[i].is_one(name))
            return true;
    }
    return false;
}

static int drop_from(cJSON *list, const cJSON *columns)
{
    int dropped = 0;
    cJSON *next;
    for (cJSON *entry = list->child; entry; entry = next) {
        next = entry->next;
        if (!is_wrong(entry, list->string, columns))
            continue;
        cJSON_Delete(cJSON_DetachItemViaPointer(list, entry));
        dropped++;
    }
    return dropped;
}

int sieve_reply(cJSON *reply)
{
    int dropped = 0;
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(reply, "columns");
    cJSON *item;
    cJSON_ArrayForEach(item, reply)
    {
        bool is_list = cJSON_IsArray(item) || cJSON_IsObject(item);
        if (is_list && item->string && strcmp(item->string, "spec") == 0)
            continue; /* the user's own words */
        if (is_list && item->string)
            dropped += drop_from(item, columns);
        if (is_list)
            dropped += sieve_reply(item);
    }
    return dropped;
}
