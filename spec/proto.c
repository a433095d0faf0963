/* The line protocol: one row per message with its fields; encoding, incremental decoding and the check of each line
 * against its row. Refuses anything that is not in the table, so neither end has to check messages again.
 *
 * To add a message: an enum value and a line of the list in proto.h, a row here, both ends, PROTO_VERSION. */
#include "spec/proto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

typedef enum ValueType { NO_FIELD, TEXT, NUMBER, INDEX /* a whole number >= 0 */, FLAG, OBJECT, LIST } ValueType;

static const char *const value_names[] = {"",          "text",  "a number", "a whole number", "true or false",
                                          "an object", "a list"};

typedef struct Field {
    const char *name;
    ValueType type;
    bool optional;
} Field;

static const struct {
    const char *name;
    Field fields[10]; /* ends with one that has no name */
} messages[PROTO_TYPES] = {
    [PROTO_WORK] = {"work",
                    {{"token", TEXT, false},
                     {"job", TEXT, false},
                     {"phase", TEXT, false},
                     {"lo", INDEX, false},
                     {"hi", INDEX, false},
                     {"n", INDEX, false},
                     {"spec", OBJECT, false},
                     {"submitted", OBJECT, true}}},
    [PROTO_YIELD] = {"yield", {{"token", TEXT, false}}},
    [PROTO_CANCEL] = {"cancel", {{"token", TEXT, false}}},
    [PROTO_STOP] = {"stop", {{NULL, NO_FIELD, false}}},
    [PROTO_LOOK] = {"look",
                    {{"models", OBJECT, false},
                     {"references", OBJECT, false},
                     {"networks", LIST, false},
                     {"paths", LIST, false},
                     {"output_root", TEXT, false},
                     {"input_roots", TEXT, false}}},
    [PROTO_HELLO] = {"hello",
                     {{"version", INDEX, false},
                      {"pid", INDEX, false},
                      {"device", TEXT, false},
                      {"name", TEXT, false},
                      {"memory_mib", INDEX, false}}},
    [PROTO_LOADED] = {"loaded", {{"job", TEXT, false}, {"seconds", NUMBER, false}, {"warm", LIST, false}}},
    [PROTO_PROGRESS] =
        {"progress", {{"token", TEXT, false}, {"upto", INDEX, false}, {"rate", NUMBER, false}, {"stage", TEXT, false}}},
    [PROTO_FINISHED] = {"finished",
                        {{"token", TEXT, false},
                         {"upto", INDEX, false},
                         {"ms", NUMBER, false},
                         {"fid", NUMBER, true},
                         {"metrics", OBJECT, true},
                         {"images", INDEX, true},
                         {"peak_mib", NUMBER, true},
                         {"files", OBJECT, true}}},
    [PROTO_YIELDED] = {"yielded", {{"token", TEXT, false}, {"upto", INDEX, false}}},
    [PROTO_FAILED] = {"failed",
                      {{"token", TEXT, false},
                       {"upto", INDEX, false},
                       {"kind", TEXT, false},
                       {"policy", TEXT, false},
                       {"text", TEXT, false},
                       {"ends", FLAG, true}}},
    [PROTO_LOG] = {"log", {{"level", TEXT, false}, {"text", TEXT, false}}},
    [PROTO_ALIVE] = {"alive", {{"free_mib", NUMBER, true}}},
    [PROTO_SEEN] = {"seen",
                    {{"models", OBJECT, false},
                     {"references", OBJECT, false},
                     {"networks", OBJECT, false},
                     {"paths", OBJECT, false}}},
};

const char *proto_name(ProtoType type)
{
    return messages[type].name;
}

char *proto_encode(ProtoType type, cJSON *fields)
{
    cJSON *message = fields ? fields : cJSON_CreateObject();
    cJSON_DeleteItemFromObjectCaseSensitive(message, "type");
    cJSON_AddStringToObject(message, "type", messages[type].name);
    cJSON *name = cJSON_DetachItemFromObjectCaseSensitive(message, "type");
    cJSON_InsertItemInArray(message, 0, name); /* first, for human readers */
    char *text = cJSON_PrintUnformatted(message);
    cJSON_Delete(message);
    char *line = xasprintf("%s\n", text);
    cJSON_free(text);
    return line;
}

/* --- decoding ------------------------------------------------------------------------------------- */

static bool value_fits(const cJSON *value, ValueType type)
{
    switch (type) {
    case TEXT:
        return cJSON_IsString(value);
    case NUMBER:
        return cJSON_IsNumber(value) && isfinite(value->valuedouble);
    case INDEX:
        return cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 9007199254740991.0 &&
               value->valuedouble == floor(value->valuedouble);
    case FLAG:
        return cJSON_IsBool(value);
    case OBJECT:
        return cJSON_IsObject(value);
    case LIST:
        return cJSON_IsArray(value);
    case NO_FIELD:
        break;
    }
    return false;
}

static bool check_fields(ProtoType type, const cJSON *message, Err *err)
{
    for (const Field *field = messages[type].fields; field->name; field++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(message, field->name);
        if (field->optional && (!value || cJSON_IsNull(value)))
            continue;
        if (!value)
            return err_set(err, ERR_PROTOCOL, "worker protocol: message \"%s\" lacks \"%s\"", messages[type].name,
                           field->name);
        if (!value_fits(value, field->type))
            return err_set(err, ERR_PROTOCOL, "worker protocol: message \"%s\": \"%s\" is not %s", messages[type].name,
                           field->name, value_names[field->type]);
    }
    return true;
}

static bool find_type(const cJSON *message, ProtoType *ret_type, Err *err)
{
    const char *name = json_text(message, "type", NULL);
    if (!name)
        return err_set(err, ERR_PROTOCOL, "worker protocol: a message without \"type\"");
    for (int type = 0; type < PROTO_TYPES; type++)
        if (strcmp(name, messages[type].name) == 0) {
            *ret_type = (ProtoType)type;
            return true;
        }
    return err_set(err, ERR_PROTOCOL, "worker protocol: unknown message \"%.40s\"", name);
}

typedef struct Listener {
    void (*on_message)(ProtoType type, const cJSON *message, void *ctx);
    void *ctx;
} Listener;

/* line is NUL-terminated and contains no newline. */
static bool take_line(const char *line, size_t len, const Listener *listener, Err *err)
{
    cJSON *message = strlen(line) == len ? cJSON_ParseWithOpts(line, NULL, true) : NULL;
    if (!cJSON_IsObject(message)) {
        cJSON_Delete(message);
        return err_set(err, ERR_PROTOCOL, "worker protocol: not a JSON object: \"%.60s\"", line);
    }
    ProtoType type = PROTO_ALIVE;
    bool good = find_type(message, &type, err) && check_fields(type, message, err);
    if (good)
        listener->on_message(type, message, listener->ctx);
    cJSON_Delete(message);
    return good;
}

static bool kill_reader(ProtoReader *reader)
{
    buf_free(&reader->line);
    reader->dead = true;
    return false;
}

bool proto_feed(ProtoReader *reader, const char *bytes, size_t len,
                void (*on_message)(ProtoType type, const cJSON *message, void *ctx), void *ctx, Err *err)
{
    const Listener listener = {on_message, ctx};
    if (reader->dead)
        return err_set(err, ERR_PROTOCOL, "worker protocol: bytes after a line that could not be read");
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline ? (size_t)(newline - bytes) : len;
        if (reader->line.len + part + 1 > PROTO_LINE_MAX) {
            err_set(err, ERR_PROTOCOL, "worker protocol: a line of more than %d bytes", PROTO_LINE_MAX);
            return kill_reader(reader);
        }
        buf_add(&reader->line, bytes, part);
        if (!newline)
            return true;
        if (!take_line(reader->line.data, reader->line.len, &listener, err))
            return kill_reader(reader);
        reader->line.len = 0;
        bytes += part + 1;
        len -= part + 1;
    }
    return true;
}

void proto_reader_free(ProtoReader *reader)
{
    buf_free(&reader->line);
}
