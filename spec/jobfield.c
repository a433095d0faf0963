/* One row per type: decode (JSON -> member), encode (member -> JSON), text (flag -> JSON), and a text of what it may
 * be. */
#include "spec/jobspec_parts.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum {
    TEXT_MAX = 4096,   /* a path */
    NAME_MAX_LEN = 64, /* as NAME of queue/queue.lua, which checks names again */
    LIST_MAX = 100000  /* so a spec fits in one line of the worker protocol */
};

static void *member(const JobField *field, const JobSpec *spec)
{
    return (char *)spec + field->offset;
}

/* "job field NAME: FOUND, wanted ..." */
static bool refuse(const JobField *field, const cJSON *value, Err *err)
{
    char *found = value ? cJSON_PrintUnformatted(value) : NULL;
    char *may_be = jobfield_may_be(field);
    err_set(err, ERR_USAGE, "job field %s: %.80s%s, wanted %.300s", field->name, found ? found : "not a number",
            found && strlen(found) > 80 ? "..." : "", may_be);
    free(may_be);
    cJSON_free(found);
    return false;
}

static bool whole_number(const cJSON *value, double min, double max)
{
    return cJSON_IsNumber(value) && isfinite(value->valuedouble) && value->valuedouble == floor(value->valuedouble) &&
           value->valuedouble >= min && value->valuedouble <= max;
}

static int word_index(const JobField *field, const char *word, size_t len)
{
    for (int i = 0; field->words[i]; i++)
        if (strlen(field->words[i]) == len && memcmp(field->words[i], word, len) == 0)
            return i;
    return -1;
}

/* --- text and names ------------------------------------------------------------------------------ */

static bool text_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    if (!cJSON_IsString(value) || !*value->valuestring)
        return refuse(field, value, err);
    size_t len = strlen(value->valuestring);
    if (len > TEXT_MAX)
        return err_set(err, ERR_USAGE, "job field %s: %zu bytes long, at most %d", field->name, len, TEXT_MAX);
    for (const char *c = value->valuestring; *c; c++)
        if (iscntrl((unsigned char)*c))
            return err_set(err, ERR_USAGE, "job field %s: contains the control character %d", field->name, *c);
    char **to = member(field, spec);
    free(*to);
    *to = xstrdup(value->valuestring);
    return true;
}

static bool name_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    size_t len = strlen(text);
    bool good = len > 0 && len <= NAME_MAX_LEN && text[0] != '.' && text[0] != '-';
    for (size_t i = 0; i < len; i++)
        good = good && (isalnum((unsigned char)text[i]) || strchr("._-", text[i]));
    return good ? text_decode(field, value, spec, err) : refuse(field, value, err);
}

static cJSON *text_encode(const JobField *field, const JobSpec *spec)
{
    char **from = member(field, spec);
    return *from ? cJSON_CreateString(*from) : NULL;
}

static cJSON *text_from_text(const JobField *field, const char *text)
{
    (void)field;
    return cJSON_CreateString(text);
}

static char *text_may_be(const JobField *field)
{
    (void)field;
    return xstrdup("text");
}

static char *name_may_be(const JobField *field)
{
    (void)field;
    return xasprintf("at most %d letters, digits, '.', '_' or '-', with none of '.' and '-' first", NAME_MAX_LEN);
}

/* --- numbers ------------------------------------------------------------------------------------- */

static bool int_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    if (!whole_number(value, field->min, field->max))
        return refuse(field, value, err);
    void *to = member(field, spec);
    if (field->size == sizeof(int))
        *(int *)to = (int)value->valuedouble;
    else
        *(int64_t *)to = (int64_t)value->valuedouble;
    return true;
}

static cJSON *int_encode(const JobField *field, const JobSpec *spec)
{
    const void *from = member(field, spec);
    int64_t value = field->size == sizeof(int) ? *(const int *)from : *(const int64_t *)from;
    return value == -1 && !field->fallback ? NULL : cJSON_CreateNumber((double)value);
}

static bool real_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < field->min ||
        value->valuedouble > field->max)
        return refuse(field, value, err);
    *(double *)member(field, spec) = value->valuedouble;
    return true;
}

static cJSON *real_encode(const JobField *field, const JobSpec *spec)
{
    double value = *(double *)member(field, spec);
    return isnan(value) ? NULL : cJSON_CreateNumber(value);
}

static cJSON *number_from_text(const JobField *field, const char *text)
{
    (void)field;
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(value) || isspace((unsigned char)*text))
        return NULL;
    return cJSON_CreateNumber(value);
}

static char *int_may_be(const JobField *field)
{
    return xasprintf("an integer from %.0f to %.0f", field->min, field->max);
}

static char *real_may_be(const JobField *field)
{
    return xasprintf("a number from %g to %g", field->min, field->max);
}

/* --- words --------------------------------------------------------------------------------------- */

static char *joined(const char *const *words, const char *last)
{
    Buf buf = {0};
    for (int i = 0; words[i]; i++)
        buf_printf(&buf, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : last, words[i]);
    return buf.data;
}

static bool word_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    int i = cJSON_IsString(value) ? word_index(field, value->valuestring, strlen(value->valuestring)) : -1;
    if (i < 0)
        return refuse(field, value, err);
    memcpy(member(field, spec), &i, sizeof i); /* every such member is an enum as wide as int */
    return true;
}

static cJSON *word_encode(const JobField *field, const JobSpec *spec)
{
    int i, words = 0;
    memcpy(&i, member(field, spec), sizeof i);
    while (field->words[words])
        words++;
    return i < words ? cJSON_CreateString(field->words[i]) : NULL; /* past the words: absent */
}

static char *word_may_be(const JobField *field)
{
    return joined(field->words, " or ");
}

static bool set_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    if (!cJSON_IsArray(value))
        return refuse(field, value, err);
    unsigned bits = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        int i = cJSON_IsString(item) ? word_index(field, item->valuestring, strlen(item->valuestring)) : -1;
        if (i < 0 || !(1u << i & (unsigned)field->max))
            return refuse(field, value, err);
        bits |= 1u << i;
    }
    *(unsigned *)member(field, spec) = bits;
    return true;
}

static cJSON *set_encode(const JobField *field, const JobSpec *spec)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; field->words[i]; i++)
        if (*(unsigned *)member(field, spec) & 1u << i)
            cJSON_AddItemToArray(list, cJSON_CreateString(field->words[i]));
    return list;
}

static cJSON *set_from_text(const JobField *field, const char *text)
{
    (void)field;
    cJSON *list = cJSON_CreateArray();
    while (*text) {
        size_t len = strcspn(text, ",");
        char *word = xasprintf("%.*s", (int)len, text);
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
        free(word);
        text += len + (text[len] == ',');
    }
    return list;
}

static char *set_may_be(const JobField *field)
{
    Buf buf = {0};
    buf_printf(&buf, "a list of any of");
    for (int i = 0; field->words[i]; i++)
        if (1u << i & (unsigned)field->max)
            buf_printf(&buf, " %s", field->words[i]);
    return buf.data;
}

/* --- lists of integers --------------------------------------------------------------------------- */

/* NULL if a value is not an integer of the field's range, or there are none or too many. */
static int *ints_decode(const JobField *field, const cJSON *value, int *ret_count)
{
    int count = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 0;
    if (count < 1 || count > LIST_MAX)
        return NULL;
    int *list = xcalloc((size_t)count, sizeof *list);
    int n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        if (!whole_number(item, field->min, field->max)) {
            free(list);
            return NULL;
        }
        list[n++] = (int)item->valuedouble;
    }
    *ret_count = count;
    return list;
}

static cJSON *ints_from_text(const JobField *field, const char *text)
{
    cJSON *list = cJSON_CreateArray();
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        char *word = xasprintf("%.*s", (int)len, at);
        cJSON *number = number_from_text(field, word);
        free(word);
        if (!number) {
            cJSON_Delete(list);
            return NULL;
        }
        cJSON_AddItemToArray(list, number);
        at += len;
        if (!*at)
            return list;
    }
}

static bool steps_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    int count = 0;
    int *list = ints_decode(field, value, &count);
    bool good = list && list[0] == 0;
    for (int i = 1; good && i < count; i++)
        good = list[i] > list[i - 1];
    if (!good) {
        free(list);
        return refuse(field, value, err);
    }
    free(spec->t_list);
    spec->t_list = list;
    spec->t_count = count;
    return true;
}

static cJSON *steps_encode(const JobField *field, const JobSpec *spec)
{
    (void)field;
    return spec->t_list ? cJSON_CreateIntArray(spec->t_list, spec->t_count) : NULL;
}

static char *steps_may_be(const JobField *field)
{
    return xasprintf("a list of integers that starts with 0 and increases, at most %.0f", field->max);
}

static bool classes_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    if (cJSON_IsString(value)) {
        int i = word_index(field, value->valuestring, strlen(value->valuestring));
        if (i < 0)
            return refuse(field, value, err);
        spec->classes = (JobClasses)i;
        return true;
    }
    int count = 0;
    int *list = ints_decode(field, value, &count);
    if (!list)
        return refuse(field, value, err);
    free(spec->class_list);
    spec->class_list = list;
    spec->class_count = count;
    spec->classes = CLASSES_LIST;
    return true;
}

static cJSON *classes_encode(const JobField *field, const JobSpec *spec)
{
    if (spec->classes == CLASSES_LIST)
        return cJSON_CreateIntArray(spec->class_list, spec->class_count);
    return cJSON_CreateString(field->words[spec->classes]);
}

static cJSON *classes_from_text(const JobField *field, const char *text)
{
    return isdigit((unsigned char)*text) ? ints_from_text(field, text) : cJSON_CreateString(text);
}

static char *classes_may_be(const JobField *field)
{
    char *words = joined(field->words, ", ");
    char *text = xasprintf("%s or a list of 1 to %d classes", words, LIST_MAX);
    free(words);
    return text;
}

/* --- the table ----------------------------------------------------------------------------------- */

static const struct {
    bool (*decode)(const JobField *field, const cJSON *value, JobSpec *spec, Err *err);
    cJSON *(*encode)(const JobField *field, const JobSpec *spec);
    cJSON *(*from_text)(const JobField *field, const char *text);
    char *(*may_be)(const JobField *field);
} types[FIELD_TYPES] = {
    [TYPE_TEXT] = {text_decode, text_encode, text_from_text, text_may_be},
    [TYPE_NAME] = {name_decode, text_encode, text_from_text, name_may_be},
    [TYPE_INT] = {int_decode, int_encode, number_from_text, int_may_be},
    [TYPE_REAL] = {real_decode, real_encode, number_from_text, real_may_be},
    [TYPE_WORD] = {word_decode, word_encode, text_from_text, word_may_be},
    [TYPE_SET] = {set_decode, set_encode, set_from_text, set_may_be},
    [TYPE_STEPS] = {steps_decode, steps_encode, ints_from_text, steps_may_be},
    [TYPE_CLASSES] = {classes_decode, classes_encode, classes_from_text, classes_may_be},
};

bool jobfield_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err)
{
    return types[field->type].decode(field, value, spec, err);
}

cJSON *jobfield_encode(const JobField *field, const JobSpec *spec)
{
    return types[field->type].encode(field, spec);
}

cJSON *jobfield_from_text(const JobField *field, const char *text, Err *err)
{
    cJSON *value = types[field->type].from_text(field, text);
    if (!value) {
        char *may_be = jobfield_may_be(field);
        err_set(err, ERR_USAGE, "%s: \"%.80s\", wanted %s", field->name, text, may_be);
        free(may_be);
    }
    return value;
}

char *jobfield_may_be(const JobField *field)
{
    return types[field->type].may_be(field);
}
