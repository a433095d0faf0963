/* The part of cJSON that ddq uses; the struct is laid out as in the package. See bare/README.md. */
#ifndef BARE_CJSON_H
#define BARE_CJSON_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define cJSON_Invalid (0)
#define cJSON_False   (1 << 0)
#define cJSON_True    (1 << 1)
#define cJSON_NULL    (1 << 2)
#define cJSON_Number  (1 << 3)
#define cJSON_String  (1 << 4)
#define cJSON_Array   (1 << 5)
#define cJSON_Object  (1 << 6)
#define cJSON_Raw     (1 << 7)

typedef int cJSON_bool;

typedef struct cJSON {
    struct cJSON *next, *prev; /* the first item's prev is the last item */
    struct cJSON *child;
    int type;
    char *valuestring;
    int valueint;
    double valuedouble;
    char *string; /* its name in an object */
} cJSON;

cJSON *cJSON_Parse(const char *text);
cJSON *cJSON_ParseWithLength(const char *text, size_t size);
cJSON *cJSON_ParseWithOpts(const char *text, const char **ret_end, cJSON_bool must_end);
char *cJSON_Print(const cJSON *item);
char *cJSON_PrintUnformatted(const cJSON *item);
void cJSON_Delete(cJSON *item);
void cJSON_free(void *memory);

cJSON *cJSON_CreateNull(void);
cJSON *cJSON_CreateBool(cJSON_bool value);
cJSON *cJSON_CreateTrue(void);
cJSON *cJSON_CreateFalse(void);
cJSON *cJSON_CreateNumber(double value);
cJSON *cJSON_CreateString(const char *text);
cJSON *cJSON_CreateRaw(const char *text);
cJSON *cJSON_CreateArray(void);
cJSON *cJSON_CreateObject(void);
cJSON *cJSON_CreateIntArray(const int *values, int count);
cJSON *cJSON_CreateDoubleArray(const double *values, int count);
cJSON *cJSON_CreateStringArray(const char *const *values, int count);
cJSON *cJSON_Duplicate(const cJSON *item, cJSON_bool recurse);
cJSON_bool cJSON_Compare(const cJSON *a, const cJSON *b, cJSON_bool case_sensitive);

int cJSON_GetArraySize(const cJSON *array);
cJSON *cJSON_GetArrayItem(const cJSON *array, int index);
cJSON *cJSON_GetObjectItem(const cJSON *object, const char *name); /* in any case of letters */
cJSON *cJSON_GetObjectItemCaseSensitive(const cJSON *object, const char *name);
cJSON_bool cJSON_HasObjectItem(const cJSON *object, const char *name);
char *cJSON_GetStringValue(const cJSON *item);
double cJSON_GetNumberValue(const cJSON *item);

cJSON_bool cJSON_IsBool(const cJSON *item);
cJSON_bool cJSON_IsTrue(const cJSON *item);
cJSON_bool cJSON_IsFalse(const cJSON *item);
cJSON_bool cJSON_IsNull(const cJSON *item);
cJSON_bool cJSON_IsNumber(const cJSON *item);
cJSON_bool cJSON_IsRaw(const cJSON *item);
cJSON_bool cJSON_IsString(const cJSON *item);
cJSON_bool cJSON_IsArray(const cJSON *item);
cJSON_bool cJSON_IsObject(const cJSON *item);

cJSON_bool cJSON_AddItemToArray(cJSON *array, cJSON *item);
cJSON_bool cJSON_AddItemToObject(cJSON *object, const char *name, cJSON *item);
cJSON_bool cJSON_InsertItemInArray(cJSON *array, int index, cJSON *item);
cJSON_bool cJSON_ReplaceItemInObjectCaseSensitive(cJSON *object, const char *name, cJSON *item);
cJSON *cJSON_DetachItemViaPointer(cJSON *parent, cJSON *item);
cJSON *cJSON_DetachItemFromObjectCaseSensitive(cJSON *object, const char *name);
cJSON *cJSON_DetachItemFromArray(cJSON *array, int index);
void cJSON_DeleteItemFromObjectCaseSensitive(cJSON *object, const char *name);
void cJSON_DeleteItemFromArray(cJSON *array, int index);
cJSON *cJSON_AddNullToObject(cJSON *object, const char *name);
cJSON *cJSON_AddBoolToObject(cJSON *object, const char *name, cJSON_bool value);
cJSON *cJSON_AddTrueToObject(cJSON *object, const char *name);
cJSON *cJSON_AddFalseToObject(cJSON *object, const char *name);
cJSON *cJSON_AddNumberToObject(cJSON *object, const char *name, double value);
cJSON *cJSON_AddStringToObject(cJSON *object, const char *name, const char *text);
cJSON *cJSON_AddRawToObject(cJSON *object, const char *name, const char *text);
cJSON *cJSON_AddObjectToObject(cJSON *object, const char *name);
cJSON *cJSON_AddArrayToObject(cJSON *object, const char *name);

double cJSON_SetNumberHelper(cJSON *item, double value);
#define cJSON_SetNumberValue(item, value) ((item) ? cJSON_SetNumberHelper(item, (double)(value)) : (value))
#define cJSON_ArrayForEach(element, array)                                                                             \
    for (element = ((array) != NULL) ? (array)->child : NULL; element != NULL; element = element->next)

#ifdef __cplusplus
}
#endif
#endif
