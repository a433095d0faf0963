#include <stdio.h>

#include "client/cmd.h"
#include "spec/proto.h"

static bool version_run(Cmd *cmd, Err *err)
{
    (void)err;
    if (!cmd->json) {
        printf("ddq %s\n", DDQ_VERSION);
        return true;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "version", DDQ_VERSION);
    cJSON_AddNumberToObject(object, "queue", QUEUE_VERSION);
    cJSON_AddNumberToObject(object, "protocol", PROTO_VERSION);
    cmd_json(object);
    return true;
}

const Verb verb_version = {
    .name = "version",
    .args = "",
    .summary = "Print the version; --json adds those of queue and worker protocol",
    .run = version_run,
};
