/* Redis's wire format as a server reads it: one command of a client, a list of binary-safe words.
 *
 *     *5\r\n$5\r\nFCALL\r\n$10\r\nddq_cancel\r\n$1\r\n1\r\n$5\r\n{ddq}\r\n$12\r\n{"id":"k3f"}\r\n
 *
 * The bytes come from any user of this host, so nothing is read beyond what has arrived, nothing is copied, and a
 * command has hard limits. Inline commands (a line typed into a socket) are not part of it.
 * Source: https://redis.io/docs/latest/develop/reference/protocol-spec (RESP2). */
#ifndef DAEMON_GATE_RESP_H
#define DAEMON_GATE_RESP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RESP_WORDS_MAX = 8,
    RESP_BYTES_MAX = 2560 * 1024, /* of one command: the queue takes arguments of 2,500,000 characters */
    RESP_HEAD_MAX = 16            /* characters of a line "*5" or "$1000000" without its end */
};

typedef struct RespWord {
    const char *data; /* in the bytes that were parsed; not terminated */
    size_t len;
} RespWord;

typedef struct RespCommand {
    RespWord words[RESP_WORDS_MAX];
    int count;
    size_t size; /* bytes that the command took */
} RespCommand;

typedef enum RespResult {
    RESP_MORE, /* the command is not complete; *ret_need bytes in all are needed to go on */
    RESP_COMPLETE,
    RESP_INVALID /* these bytes are no command; *ret_why says what was found and what was wanted */
} RespResult;

RespResult resp_parse(const char *bytes, size_t len, RespCommand *ret_command, size_t *ret_need, const char **ret_why);

/* True if the word is this text, whatever its case. */
bool resp_word_is(RespWord word, const char *text);

#endif
