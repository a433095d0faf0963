/* Did you mean? The nearest of a list of names, for messages about a word that is not one of them. */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

/* The element of names[count] nearest to `word` by edit distance, else the only one that begins with it, NULL if none
 * is near. NULL names are skipped. */
const char *nearest_name(const char *word, const char *const *names, int count);

/* ". Did you mean 'x'?" in text, or "." when nearest is NULL. Returns text. */
enum { MEANT_TEXT = 100 };
const char *nearest_meant(const char *nearest, char text[MEANT_TEXT]);

#endif
