/* Completions of the last word of a command line, for the scripts of `ddq completion`. */
#ifndef CLIENT_VERBS_COMPLETE_H
#define CLIENT_VERBS_COMPLETE_H

#include "client/verbs/complete_words.h"

/* words[count]: the line without the program, up to the word that is being typed, which is `last` ("" for a new one).
 * Prints its completions, one per line, and the line COMPLETE_FILES where a file is allowed. Ids and names of the
 * queue, which any user may have written, are printed only if they have no meaning in any shell. Errors print nothing.
 */
void complete_print(Cmd *cmd, const char *const *words, int count, const char *last);

#endif
