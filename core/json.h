/* Members of a JSON object, read and written the same way in all programs.
 *
 * Readers take any cJSON value: what is not an object, or a member that is absent or of another type, gives the
 * fallback. Texts belong to the object. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

const char *json_text(const cJSON *object, const char *field, const char *fallback);
double json_number(const cJSON *object, const char *field, double fallback);
/* A whole number of at most 2^53 in size; the fallback for any other. */
int64_t json_int(const cJSON *object, const char *field, int64_t fallback);
bool json_true(const cJSON *object, const char *field); /* false when absent or not a boolean */

/* What people and other programs read: reports, and every --json. Names of files may hold bytes that are no UTF-8,
 * which JSON has no form for: such a byte becomes the text \\xff, so the whole is valid whatever a name is. Messages
 * between our own programs and files that are read back keep the bytes, because their paths are opened. Caller frees.
 */
char *json_print(const cJSON *json, bool indented);

/* The shortest text that reads back as the same double. */
enum { JSON_NUMBER_TEXT = 32 };
void json_number_text(double value, char ret_text[JSON_NUMBER_TEXT]);
/* Adds a number with all of its bits (cJSON alone prints 15 digits); null for a value that is not finite. */
void json_add_number(cJSON *object, const char *name, double value);
cJSON *json_numbers(const double *values, int count); /* an array of such numbers; the caller owns it */
void json_add_text(cJSON *object, const char *name, const char *text); /* nothing for NULL */

#endif
