/* Help, printed from the table of verbs: on a terminal, and as docs/cli.md. */
#ifndef CLIENT_VERBS_HELP_H
#define CLIENT_VERBS_HELP_H

#include <stdio.h>

#include "client/verb.h"
#include "core/help.h"

void help_all(FILE *to);
void help_verb(const Verb *verb);
void help_markdown(void);
void help_glossary(const Help *help); /* also docs/glossary.md */

#endif
