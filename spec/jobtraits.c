#include "spec/jobtraits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "spec/jobkind.h"
#include "spec/jobspec_parts.h"

enum { KEY_MAX = 300 }; /* bytes of a pace or a load; the queue cuts there as well */

FieldRole jobspec_field_role(const char *name)
{
    const JobField *row;
    for (int i = 0; (row = jobspec_row(i)); i++)
        if (strcmp(row->name, name) == 0)
            return row->role;
    return (FieldRole)0;
}

bool jobspec_field_has(const char *name, unsigned trait)
{
    const JobField *row;
    for (int i = 0; (row = jobspec_row(i)); i++)
        if (row->traits & trait && strcmp(row->name, name) == 0)
            return true;
    return false;
}

bool jobspec_field_in(const char *name, JobForm form)
{
    const JobField *row;
    for (int i = 0; (row = jobspec_row(i)); i++)
        if (row->forms & 1u << form && strcmp(row->name, name) == 0)
            return true;
    return false;
}

bool jobspec_field_may_be_empty(const char *name)
{
    const JobField *row;
    for (int i = 0; (row = jobspec_row(i)); i++)
        if (row->type == TYPE_SET && strcmp(row->name, name) == 0)
            return true;
    return false;
}

const char *jobspec_field_word(const char *name, int i)
{
    const JobField *row;
    for (int r = 0; (row = jobspec_row(r)); r++)
        if (row->words && strcmp(row->name, name) == 0) {
            int count = 0;
            while (row->words[count] && count < i)
                count++;
            return row->words[count];
        }
    return NULL;
}

char **jobspec_path(const JobSpec *spec, JobForm form, unsigned traits, int i, const char **ret_name)
{
    const JobField *row;
    for (int r = 0; (row = jobspec_row(r)); r++)
        if (row->traits & traits && row->type == TYPE_TEXT && row->kinds & 1u << spec->kind &&
            row->forms & 1u << form && i-- == 0) {
            *ret_name = row->name;
            return (char **)((char *)spec + row->offset);
        }
    return NULL;
}

void jobspec_drop(cJSON *object, FieldRole role)
{
    const JobField *row;
    for (int i = 0; (row = jobspec_row(i)); i++)
        if (row->role == role)
            cJSON_DeleteItemFromObjectCaseSensitive(object, row->name);
}

/* --- what is not as in the recipe ----------------------------------------------------------------- */

static void add_value(Buf *text, const cJSON *value)
{
    const cJSON *item;
    char *printed;
    if (cJSON_IsString(value)) {
        buf_printf(text, "%s", value->valuestring);
    } else if (cJSON_IsArray(value)) {
        cJSON_ArrayForEach(item, value)
        {
            add_value(text, item);
            buf_printf(text, "%s", item->next ? "," : "");
        }
    } else {
        printed = value && !cJSON_IsNull(value) ? cJSON_PrintUnformatted(value) : NULL;
        buf_printf(text, "%s", printed ? printed : "none");
        cJSON_free(printed);
    }
}

char *jobspec_changes(const cJSON *from, const cJSON *to)
{
    static const char *const names[] = {"name", "recipe", "changed"};
    Buf text = {0};
    const char *field;
    for (int i = 0; (field = jobspec_field_name(i)); i++) {
        const FieldRole role = jobspec_field_role(field);
        const cJSON *was = cJSON_GetObjectItemCaseSensitive(from, field),
                    *is = cJSON_GetObjectItemCaseSensitive(to, field);
        bool counts = (role == CHANGES_PIXELS || role == CHANGES_REPORT) && jobspec_field_in(field, FORM_QUEUED);
        for (size_t k = 0; k < countof(names); k++)
            counts = counts && strcmp(field, names[k]) != 0;
        if (!counts || (!was && !is) || (was && is && cJSON_Compare(was, is, true)))
            continue;
        buf_printf(&text, "%s%s ", text.len ? ", " : "", field);
        add_value(&text, is);
    }
    return text.data;
}

bool jobspec_changes_keep_published(const char *changed)
{
    bool keep = true;
    for (const char *at = changed; at && *at;) {
        char name[64];
        const size_t len = strcspn(at, " ");
        snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : 0), at);
        if (jobspec_field_has(name, PUBLISHED))
            return true;
        /* a word that is no field is the rest of a value that holds ", " */
        keep = keep && (!jobspec_field_in(name, FORM_QUEUED) || jobspec_field_has(name, KEEPS_PUBLISHED));
        const char *next = strstr(at, ", ");
        at = next ? next + 2 : NULL;
    }
    return keep;
}

/* --- arguments for the queue -------------------------------------------------------------------------- */

static const cJSON *value_of(const cJSON *spec, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(spec, name);
    return cJSON_IsNull(value) ? NULL : value;
}

static const char *text_of(const cJSON *spec, const char *name)
{
    const char *text = cJSON_GetStringValue(value_of(spec, name));
    return text ? text : "";
}

static cJSON *needs_of(const cJSON *spec, const JobKindRow *kind)
{
    cJSON *needs = cJSON_CreateArray();
    const char *name;
    for (int i = 0; (name = jobspec_field_name(i)); i++)
        if (jobspec_field_has(name, NAMES_OFFER) && *text_of(spec, name)) {
            char *need = xasprintf("%s:%s", name, text_of(spec, name));
            cJSON_AddItemToArray(needs, cJSON_CreateString(need));
            free(need);
        }
    const cJSON *saved;
    bool measures = (kind && kind->needs_network) || cJSON_GetArraySize(value_of(spec, "metrics")) > 0;
    cJSON_ArrayForEach(saved, value_of(spec, "save")) measures |=
        cJSON_IsString(saved) && strcmp(saved->valuestring, "features") == 0; /* as jobspec_needs_network */
    if (measures && !*text_of(spec, "reference")) /* a host that offers the reference has the network */
        cJSON_AddItemToArray(needs, cJSON_CreateString("inception"));
    return needs;
}

/* " VALUE" for each field with the trait, " -" where it is absent. */
static void add_values(Buf *key, const cJSON *spec, unsigned trait)
{
    const char *name;
    for (int i = 0; (name = jobspec_field_name(i)); i++) {
        if (!jobspec_field_has(name, trait))
            continue;
        const cJSON *value = value_of(spec, name);
        char *text = value ? cJSON_PrintUnformatted(value) : NULL;
        buf_printf(key, " %s", text ? text : "-");
        cJSON_free(text);
    }
}

static void add_presence(Buf *key, const cJSON *spec, unsigned trait)
{
    const char *name;
    for (int i = 0; (name = jobspec_field_name(i)); i++)
        if (jobspec_field_has(name, trait))
            buf_printf(key, " %s", value_of(spec, name) ? "teacher" : "-");
}

/* The words are those of earlier versions, so speeds and memory that were measured then still count. */
static void add_key(cJSON *args, const char *name, const cJSON *spec, unsigned values, unsigned presence)
{
    Buf key = {0};
    buf_printf(&key, "%s %s", text_of(spec, "kind"), text_of(spec, "model"));
    add_values(&key, spec, values);
    add_presence(&key, spec, presence);
    if (key.len > KEY_MAX)
        key.data[KEY_MAX] = 0;
    cJSON_DeleteItemFromObjectCaseSensitive(args, name);
    cJSON_AddStringToObject(args, name, key.data);
    buf_free(&key);
}

void jobspec_add_keys(cJSON *args, const cJSON *spec)
{
    add_key(args, "pace", spec, PACE, 0);
    add_key(args, "load", spec, LOAD, LOAD_IF_SET);
}

cJSON *jobspec_inputs(const cJSON *spec)
{
    cJSON *inputs = cJSON_CreateObject();
    const char *name;
    for (int i = 0; (name = jobspec_field_name(i)); i++)
        if (jobspec_field_has(name, LOCAL_FILE) && *text_of(spec, name)) /* `images` may be a number */
            cJSON_AddStringToObject(inputs, name, text_of(spec, name));
    return inputs;
}

cJSON *jobspec_submission(const cJSON *spec)
{
    const JobKindRow *kind = jobkind_named(text_of(spec, "kind"));
    cJSON *args = cJSON_CreateObject();
    const char *name;
    for (int i = 0; (name = jobspec_field_name(i)); i++) {
        const cJSON *value = value_of(spec, name);
        bool is_path = cJSON_IsString(value) && jobspec_field_has(name, LOCAL_FILE); /* `images` of a survey */
        if (value && !is_path && jobspec_field_has(name, SUBMITTED))
            cJSON_AddItemToObject(args, name, cJSON_Duplicate(value, true));
    }
    cJSON_AddItemToObject(args, "needs", needs_of(spec, kind));
    cJSON *inputs = jobspec_inputs(spec);
    if (inputs->child)
        cJSON_AddItemToObject(args, "inputs", inputs);
    else
        cJSON_Delete(inputs);
    jobspec_add_keys(args, spec);
    return args;
}
