/* What may stand at the end of a command line that is being typed, for the scripts of `ddq completion`. */
#ifndef CLIENT_VERBS_COMPLETE_H
#define CLIENT_VERBS_COMPLETE_H

#include "client/verbs/complete_words.h"

/* words[count]: the line without the program, up to the word that is being typed, which is `last` ("" for a new one).
 * Prints what it may become, one a line, and the line COMPLETE_FILES where a file may stand. Ids and names of the
 * queue, which anybody may have written, are printed only if no shell can take them for anything else. Faults are
 * silence: nobody reads messages while typing. */
void complete_print(Cmd *cmd, const char *const *words, int count, const char *last);

#endif
