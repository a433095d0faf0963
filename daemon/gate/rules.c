#include "daemon/gate/rules.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

typedef enum Access { ACCESS_DAEMONS, ACCESS_READ, ACCESS_CHANGE } Access;

/* Functions without a row are for daemons, so a new one is closed until it gets a row here. Who may change what is
 * decided in the queue, by the caller's name that the gate writes behind the arguments. */
static const Access functions[QUEUE_FNS] = {
    [QUEUE_SUBMIT] = ACCESS_CHANGE,  [QUEUE_CANCEL] = ACCESS_CHANGE,   [QUEUE_HOLD] = ACCESS_CHANGE,
    [QUEUE_RELEASE] = ACCESS_CHANGE, [QUEUE_PRIO] = ACCESS_CHANGE,     [QUEUE_SHARE] = ACCESS_CHANGE,
    [QUEUE_QUOTA] = ACCESS_CHANGE,   [QUEUE_SETTINGS] = ACCESS_CHANGE, [QUEUE_ADOPT] = ACCESS_CHANGE,
    [QUEUE_DRAIN] = ACCESS_CHANGE,   [QUEUE_RESUME] = ACCESS_CHANGE,   [QUEUE_GROUP_CANCEL] = ACCESS_CHANGE,
    [QUEUE_LIST] = ACCESS_READ,      [QUEUE_SHOW] = ACCESS_READ,       [QUEUE_HOSTS] = ACCESS_READ,
    [QUEUE_LOOK] = ACCESS_READ,

    [QUEUE_LOGS] = ACCESS_READ,      [QUEUE_WHY] = ACCESS_READ,        [QUEUE_ESTIMATE] = ACCESS_READ,
    [QUEUE_GROUP] = ACCESS_READ,     [QUEUE_GROUPS] = ACCESS_READ,     [QUEUE_CHECK] = ACCESS_READ,
    [QUEUE_EVENTS] = ACCESS_READ,
};

/* Questions of doctor, word by word. */
static const char *const questions[][4] = {
    {"PING"},
    {"TIME"},
    {"INFO", "server"},
    {"INFO", "persistence"},
    {"INFO", "replication"},
    {"INFO", "memory"},
    {"CONFIG", "GET", "appendonly"},
    {"CONFIG", "GET", "appendfsync"},
    {"CONFIG", "GET", "maxmemory-policy"},
};

static void say(GateVerdict *verdict, GateAction action, const char *text)
{
    verdict->action = action;
    snprintf(verdict->text, sizeof verdict->text, "%s", text);
}

/* Names the command as far as it can be printed. */
static void refuse_command(GateVerdict *verdict, const RespCommand *command)
{
    char name[48];
    size_t len = 0;
    for (; len < command->words[0].len && len + 1 < sizeof name; len++)
        name[len] = isgraph((unsigned char)command->words[0].data[len]) ? command->words[0].data[len] : '?';
    name[len] = 0;
    verdict->action = GATE_REFUSE;
    snprintf(
        verdict->text, sizeof verdict->text,
        "NOPERM ddqd lets users call the functions of ddq's clients and nothing else; %s with %d word%s is not one "
        "of them",
        name, command->count, command->count == 1 ? "" : "s");
}

static bool is_question(const RespCommand *command)
{
    for (size_t i = 0; i < countof(questions); i++) {
        int count = 0;
        while (count < 4 && questions[i][count] && count < command->count &&
               resp_word_is(command->words[count], questions[i][count]))
            count++;
        if (count == command->count && (count == 4 || !questions[i][count]))
            return true;
    }
    return false;
}

static bool function_find(RespWord name, QueueFn *ret_fn)
{
    for (int fn = 0; fn < QUEUE_FNS; fn++)
        if (name.len == strlen(queue_fn_name((QueueFn)fn)) &&
            memcmp(name.data, queue_fn_name((QueueFn)fn), name.len) == 0) {
            *ret_fn = (QueueFn)fn;
            return true;
        }
    return false;
}

/* FCALL ddq_NAME 1 {ddq} ARGUMENTS, and nothing behind it: that place is the gate's. */
static void judge_call(GateVerdict *verdict, const RespCommand *command)
{
    QueueFn fn;
    if (command->count != 5 || !resp_word_is(command->words[2], "1") || !resp_word_is(command->words[3], QUEUE_TAG))
        refuse_command(verdict, command);
    else if (!function_find(command->words[1], &fn) || functions[fn] == ACCESS_DAEMONS)
        say(verdict, GATE_REFUSE, "NOPERM this function is not one of those that ddqd lets users call");
    else
        *verdict = (GateVerdict){.action = GATE_CALL, .fn = fn, .changes = functions[fn] == ACCESS_CHANGE};
}

/* `word` is before, then at least one character of the alphabets of ids and names, then after. */
static bool is_channel(RespWord word, const char *before, const char *after)
{
    size_t head = strlen(before), tail = strlen(after);
    if (word.len <= head + tail || word.len > 200 || memcmp(word.data, before, head) != 0 ||
        memcmp(word.data + word.len - tail, after, tail) != 0)
        return false;
    for (size_t i = head; i < word.len - tail; i++)
        if (!isalnum((unsigned char)word.data[i]) && !memchr("._-/", word.data[i], 4))
            return false;
    return true;
}

GateVerdict gate_judge(const RespCommand *command)
{
    GateVerdict verdict = {.action = GATE_PLAIN};
    const RespWord *words = command->words;
    if (resp_word_is(words[0], "FCALL")) {
        judge_call(&verdict, command);
    } else if (resp_word_is(words[0], "SUBSCRIBE") && command->count == 2) {
        bool live = is_channel(words[1], "{ddq}:job:", ":live") || is_channel(words[1], "{ddq}:group:", ":live");
        verdict.action = GATE_SUBSCRIBE;
        if (!live)
            say(&verdict, GATE_REFUSE, "NOPERM this channel is not one of those that ddqd lets users listen to");
    } else if (resp_word_is(words[0], "AUTH")) {
        say(&verdict, GATE_REFUSE, "ERR AUTH ddqd knows the caller from the system and takes no password");
    } else if (resp_word_is(words[0], "SELECT") && command->count == 2) {
        say(&verdict, GATE_ANSWER, "OK"); /* there is one queue behind this socket, whatever its database */
    } else if (resp_word_is(words[0], "FUNCTION")) {
        say(&verdict, GATE_REFUSE, "NOPERM ddqd loads the queue's functions; a client cannot");
    } else if (!is_question(command)) {
        refuse_command(&verdict, command);
    }
    return verdict;
}
