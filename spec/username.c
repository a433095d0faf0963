#include "spec/username.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) && (unsigned char)c < 0x80;
}

bool username_ok(const char *name)
{
    if (!is_letter(name[0]) && name[0] != '_')
        return false;
    size_t len = 1;
    while (is_letter(name[len]) || (name[len] && strchr("._-", name[len])))
        len++;
    return !name[len] && len < USERNAME_MAX;
}

static bool looks_like_a_number(const char *name)
{
    return strncmp(name, "uid", 3) == 0 && name[3] && name[3 + strspn(name + 3, "0123456789")] == 0;
}

void username_from_login(const char *login, uid_t uid, char ret_name[USERNAME_MAX])
{
    if (login && username_ok(login) && !looks_like_a_number(login))
        snprintf(ret_name, USERNAME_MAX, "%s", login);
    else
        snprintf(ret_name, USERNAME_MAX, "uid%u", (unsigned)uid);
}
