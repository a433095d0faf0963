/* What a user of this host may send through the gate: the queue's functions for clients, the live channels, and the few
 * questions of `ddq doctor`. Everything else is refused with one sentence. One table, no other list. */
#ifndef DAEMON_GATE_RULES_H
#define DAEMON_GATE_RULES_H

#include <stdbool.h>

#include "daemon/gate/resp.h"
#include "queue/queue.h"

typedef enum GateAction {
    GATE_CALL,      /* a function of the queue: forward it with the caller behind it */
    GATE_PLAIN,     /* a question that changes nothing: forward it as it is */
    GATE_SUBSCRIBE, /* words[1] is a live channel */
    GATE_ANSWER,    /* answer +text, without Redis */
    GATE_REFUSE     /* answer -text */
} GateAction;

enum { GATE_TEXT_MAX = 240 };

typedef struct GateVerdict {
    GateAction action;
    QueueFn fn;               /* GATE_CALL */
    bool changes;             /* GATE_CALL: it changes the queue, so it is written to the audit log */
    char text[GATE_TEXT_MAX]; /* GATE_ANSWER, GATE_REFUSE */
} GateVerdict;

GateVerdict gate_judge(const RespCommand *command);

#endif
