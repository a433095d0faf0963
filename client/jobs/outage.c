#include "client/jobs/outage.h"

enum { LONGEST_MS = 60000 };

bool outage_wait(Outage *outage, Cmd *cmd, const Err *err)
{
    if ((err->kind != ERR_UNREACHABLE && err->kind != ERR_BUSY) || !cmd->redis)
        return false;
    if (!outage->since) {
        outage->since = mono_ms();
        cmd_say(cmd, "ddq: %s; waiting for it", err->text);
    }
    return mono_ms() - outage->since < LONGEST_MS;
}

void outage_over(Outage *outage)
{
    outage->since = 0;
}
