#include "daemon/gate/resp.h"

#include <string.h>
#include <strings.h>

/* One header line, TYPE DIGITS CR LF, at `at`. *ret_next is the place behind it. */
static RespResult parse_head(const char *bytes, size_t len, size_t at, char type, long most, long *ret_number,
                             size_t *ret_next, const char **ret_why)
{
    if (at >= len)
        return RESP_MORE;
    *ret_why = "a command is a list of texts, as Redis clients send it";
    if (bytes[at] != type)
        return RESP_INVALID;
    long number = 0;
    size_t i = at + 1;
    for (; i < len && i - at <= RESP_HEAD_MAX && bytes[i] >= '0' && bytes[i] <= '9'; i++) {
        number = number * 10 + (bytes[i] - '0');
        if (number > most) {
            *ret_why = type == '*' ? "a command has at most 8 words" : "a command has at most 2,621,440 bytes";
            return RESP_INVALID;
        }
    }
    if (i - at > RESP_HEAD_MAX || (i < len && (bytes[i] != '\r' || i == at + 1)) ||
        (i + 1 < len && bytes[i + 1] != '\n'))
        return RESP_INVALID;
    if (i + 1 >= len)
        return RESP_MORE;
    *ret_number = number;
    *ret_next = i + 2;
    return RESP_COMPLETE;
}

RespResult resp_parse(const char *bytes, size_t len, RespCommand *ret_command, size_t *ret_need, const char **ret_why)
{
    RespCommand command = {0};
    long count = 0;
    size_t at = 0;
    *ret_need = len + 1;
    RespResult result = parse_head(bytes, len, 0, '*', RESP_WORDS_MAX, &count, &at, ret_why);
    if (result != RESP_COMPLETE)
        return result;
    if (count < 1) {
        *ret_why = "an empty command";
        return RESP_INVALID;
    }
    for (; command.count < count; command.count++) {
        long size = 0;
        result = parse_head(bytes, len, at, '$', RESP_BYTES_MAX, &size, &at, ret_why);
        if (result != RESP_COMPLETE)
            return result;
        if (at + (size_t)size + 2 > RESP_BYTES_MAX) {
            *ret_why = "a command has at most 2,621,440 bytes";
            return RESP_INVALID;
        }
        if (at + (size_t)size + 2 > len) {
            *ret_need = at + (size_t)size + 2;
            return RESP_MORE;
        }
        if (memcmp(bytes + at + size, "\r\n", 2) != 0) {
            *ret_why = "a word is longer than its length says";
            return RESP_INVALID;
        }
        command.words[command.count] = (RespWord){bytes + at, (size_t)size};
        at += (size_t)size + 2;
    }
    command.size = at;
    *ret_command = command;
    return RESP_COMPLETE;
}

bool resp_word_is(RespWord word, const char *text)
{
    return word.len == strlen(text) && strncasecmp(word.data, text, word.len) == 0;
}
