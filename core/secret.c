#include "core/secret.h"

#include <string.h>

void secret_mask(char *text)
{
    for (char *from = strstr(text, "://"); from; from = strstr(from, "://")) {
        from += 3;
        char *at = NULL;
        for (char *c = from; *c && !strchr(" \t\n\"'`", *c); c++)
            at = *c == '@' ? c : at;
        if (!at || (at - from >= 8 && strncmp(at - 8, "PASSWORD", 8) == 0))
            continue; /* no password, or the word for it in a form */
        size_t shown = at - from < 3 ? (size_t)(at - from) : 3;
        memset(from, '*', shown);
        memmove(from + shown, at, strlen(at) + 1);
        from += shown;
    }
}
