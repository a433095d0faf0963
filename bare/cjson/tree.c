/* The tree: making, finding, joining and comparing items. */
#include "cjson/cJSON.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static cJSON *new_item(int type)
{
    cJSON *item = calloc(1, sizeof *item);
    if (!item)
        abort();
    item->type = type;
    return item;
}

static char *copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        abort();
    return copy;
}

void cJSON_free(void *memory)
{
    free(memory);
}

void cJSON_Delete(cJSON *item)
{
    while (item) {
        cJSON *next = item->next;
        cJSON_Delete(item->child);
        free(item->valuestring);
        free(item->string);
        free(item);
        item = next;
    }
}

/* --- making ---------------------------------------------------------------------------------------- */

cJSON *cJSON_CreateNull(void)
{
    return new_item(cJSON_NULL);
}

cJSON *cJSON_CreateBool(cJSON_bool value)
{
    return new_item(value ? cJSON_True : cJSON_False);
}

cJSON *cJSON_CreateTrue(void)
{
    return new_item(cJSON_True);
}

cJSON *cJSON_CreateFalse(void)
{
    return new_item(cJSON_False);
}

double cJSON_SetNumberHelper(cJSON *item, double value)
{
    item->valueint = value >= INT_MAX ? INT_MAX : value <= INT_MIN ? INT_MIN : isnan(value) ? 0 : (int)value;
    return item->valuedouble = value;
}

cJSON *cJSON_CreateNumber(double value)
{
    cJSON *item = new_item(cJSON_Number);
    cJSON_SetNumberHelper(item, value);
    return item;
}

static cJSON *new_text(int type, const char *text)
{
    cJSON *item = new_item(type);
    item->valuestring = copy_text(text);
    return item;
}

cJSON *cJSON_CreateString(const char *text)
{
    return new_text(cJSON_String, text);
}

cJSON *cJSON_CreateRaw(const char *text)
{
    return new_text(cJSON_Raw, text);
}

cJSON *cJSON_CreateArray(void)
{
    return new_item(cJSON_Array);
}

cJSON *cJSON_CreateObject(void)
{
    return new_item(cJSON_Object);
}

cJSON *cJSON_CreateIntArray(const int *values, int count)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i]));
    return array;
}

cJSON *cJSON_CreateDoubleArray(const double *values, int count)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i]));
    return array;
}

cJSON *cJSON_CreateStringArray(const char *const *values, int count)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(values[i]));
    return array;
}

cJSON *cJSON_Duplicate(const cJSON *item, cJSON_bool recurse)
{
    if (!item)
        return NULL;
    cJSON *copy = new_text(item->type, item->valuestring);
    copy->valueint = item->valueint;
    copy->valuedouble = item->valuedouble;
    copy->string = copy_text(item->string);
    const cJSON *child;
    if (recurse)
        cJSON_ArrayForEach(child, item) cJSON_AddItemToArray(copy, cJSON_Duplicate(child, 1));
    return copy;
}

/* --- finding --------------------------------------------------------------------------------------- */

int cJSON_GetArraySize(const cJSON *array)
{
    int count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array) count++;
    return count;
}

cJSON *cJSON_GetArrayItem(const cJSON *array, int index)
{
    cJSON *item = array && index >= 0 ? array->child : NULL;
    while (item && index-- > 0)
        item = item->next;
    return item;
}

static cJSON *find(const cJSON *object, const char *name, int (*compare)(const char *, const char *))
{
    cJSON *item = object ? object->child : NULL;
    while (item && !(item->string && name && compare(item->string, name) == 0))
        item = item->next;
    return item;
}

cJSON *cJSON_GetObjectItem(const cJSON *object, const char *name)
{
    return find(object, name, strcasecmp);
}

cJSON *cJSON_GetObjectItemCaseSensitive(const cJSON *object, const char *name)
{
    return find(object, name, strcmp);
}

cJSON_bool cJSON_HasObjectItem(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItem(object, name) != NULL;
}

static int type_of(const cJSON *item)
{
    return item ? item->type & 0xff : cJSON_Invalid;
}

char *cJSON_GetStringValue(const cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

double cJSON_GetNumberValue(const cJSON *item)
{
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

cJSON_bool cJSON_IsBool(const cJSON *item)
{
    return (type_of(item) & (cJSON_True | cJSON_False)) != 0;
}

cJSON_bool cJSON_IsTrue(const cJSON *item)
{
    return type_of(item) == cJSON_True;
}

cJSON_bool cJSON_IsFalse(const cJSON *item)
{
    return type_of(item) == cJSON_False;
}

cJSON_bool cJSON_IsNull(const cJSON *item)
{
    return type_of(item) == cJSON_NULL;
}

cJSON_bool cJSON_IsNumber(const cJSON *item)
{
    return type_of(item) == cJSON_Number;
}

cJSON_bool cJSON_IsRaw(const cJSON *item)
{
    return type_of(item) == cJSON_Raw;
}

cJSON_bool cJSON_IsString(const cJSON *item)
{
    return type_of(item) == cJSON_String;
}

cJSON_bool cJSON_IsArray(const cJSON *item)
{
    return type_of(item) == cJSON_Array;
}

cJSON_bool cJSON_IsObject(const cJSON *item)
{
    return type_of(item) == cJSON_Object;
}

static cJSON_bool same_members(const cJSON *a, const cJSON *b, cJSON_bool case_sensitive)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, a)
    {
        const cJSON *other = find(b, item->string, case_sensitive ? strcmp : strcasecmp);
        if (!other || !cJSON_Compare(item, other, case_sensitive))
            return 0;
    }
    return 1;
}

cJSON_bool cJSON_Compare(const cJSON *a, const cJSON *b, cJSON_bool case_sensitive)
{
    if (!a || !b || type_of(a) != type_of(b))
        return 0;
    switch (type_of(a)) {
    case cJSON_Number:
        return fabs(a->valuedouble - b->valuedouble) <=
               fmax(fabs(a->valuedouble), fabs(b->valuedouble)) * 2.220446049250313e-16;
    case cJSON_String:
    case cJSON_Raw:
        return a->valuestring && b->valuestring && strcmp(a->valuestring, b->valuestring) == 0;
    case cJSON_Object:
        return same_members(a, b, case_sensitive) && same_members(b, a, case_sensitive);
    case cJSON_Array: {
        const cJSON *x = a->child, *y = b->child;
        while (x && y && cJSON_Compare(x, y, case_sensitive)) {
            x = x->next;
            y = y->next;
        }
        return !x && !y;
    }
    default:
        return 1;
    }
}

/* --- joining --------------------------------------------------------------------------------------- */

cJSON_bool cJSON_AddItemToArray(cJSON *array, cJSON *item)
{
    if (!array || !item || array == item)
        return 0;
    item->next = NULL;
    if (array->child) {
        item->prev = array->child->prev;
        item->prev->next = item;
    } else {
        array->child = item;
    }
    array->child->prev = item;
    return 1;
}

cJSON_bool cJSON_AddItemToObject(cJSON *object, const char *name, cJSON *item)
{
    if (!object || !item || !name)
        return 0;
    char *copy = copy_text(name);
    free(item->string);
    item->string = copy;
    return cJSON_AddItemToArray(object, item);
}

cJSON_bool cJSON_InsertItemInArray(cJSON *array, int index, cJSON *item)
{
    cJSON *after = cJSON_GetArrayItem(array, index);
    if (!after)
        return cJSON_AddItemToArray(array, item);
    item->next = after;
    item->prev = after->prev;
    after->prev = item;
    if (array->child == after)
        array->child = item;
    else
        item->prev->next = item;
    return 1;
}

cJSON *cJSON_DetachItemViaPointer(cJSON *parent, cJSON *item)
{
    if (!parent || !item)
        return NULL;
    if (item == parent->child)
        parent->child = item->next;
    else
        item->prev->next = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else if (parent->child)
        parent->child->prev = item->prev;
    item->next = item->prev = NULL;
    return item;
}

cJSON *cJSON_DetachItemFromObjectCaseSensitive(cJSON *object, const char *name)
{
    return cJSON_DetachItemViaPointer(object, cJSON_GetObjectItemCaseSensitive(object, name));
}

cJSON *cJSON_DetachItemFromArray(cJSON *array, int index)
{
    return cJSON_DetachItemViaPointer(array, cJSON_GetArrayItem(array, index));
}

void cJSON_DeleteItemFromObjectCaseSensitive(cJSON *object, const char *name)
{
    cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(object, name));
}

void cJSON_DeleteItemFromArray(cJSON *array, int index)
{
    cJSON_Delete(cJSON_DetachItemFromArray(array, index));
}

cJSON_bool cJSON_ReplaceItemInObjectCaseSensitive(cJSON *object, const char *name, cJSON *item)
{
    cJSON *old = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!old || !item)
        return 0;
    int index = 0;
    for (const cJSON *at = object->child; at != old; at = at->next)
        index++;
    free(item->string);
    item->string = copy_text(name);
    cJSON_Delete(cJSON_DetachItemViaPointer(object, old));
    return cJSON_InsertItemInArray(object, index, item);
}

static cJSON *add(cJSON *object, const char *name, cJSON *item)
{
    if (cJSON_AddItemToObject(object, name, item))
        return item;
    cJSON_Delete(item);
    return NULL;
}

cJSON *cJSON_AddNullToObject(cJSON *object, const char *name)
{
    return add(object, name, cJSON_CreateNull());
}

cJSON *cJSON_AddBoolToObject(cJSON *object, const char *name, cJSON_bool value)
{
    return add(object, name, cJSON_CreateBool(value));
}

cJSON *cJSON_AddTrueToObject(cJSON *object, const char *name)
{
    return add(object, name, cJSON_CreateTrue());
}

cJSON *cJSON_AddFalseToObject(cJSON *object, const char *name)
{
    return add(object, name, cJSON_CreateFalse());
}

cJSON *cJSON_AddNumberToObject(cJSON *object, const char *name, double value)
{
    return add(object, name, cJSON_CreateNumber(value));
}

cJSON *cJSON_AddStringToObject(cJSON *object, const char *name, const char *text)
{
    return add(object, name, cJSON_CreateString(text));
}

cJSON *cJSON_AddRawToObject(cJSON *object, const char *name, const char *text)
{
    return add(object, name, cJSON_CreateRaw(text));
}

cJSON *cJSON_AddObjectToObject(cJSON *object, const char *name)
{
    return add(object, name, cJSON_CreateObject());
}

cJSON *cJSON_AddArrayToObject(cJSON *object, const char *name)
{
    return add(object, name, cJSON_CreateArray());
}
