/* Edit distance with transposed neighbours counted once ("noies" is one step from "noise"), letters compared without
 * case, '-' as '_'. A name is near when at most a third of the longer word must change; short words may change once. */
#include "core/nearest.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 63, BEGINNING = 3 /* letters that are enough of a name */ };

static int letter(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, int la, const char *b, int lb)
{
    int rows[3][LONGEST + 1]; /* the rows i, i-1 and i-2 of the usual table */
    int *now = rows[0], *last = rows[1], *before = rows[2];
    for (int j = 0; j <= lb; j++)
        now[j] = j;
    for (int i = 1; i <= la; i++) {
        int *oldest = before;
        before = last, last = now, now = oldest;
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int cost = letter(a[i - 1]) != letter(b[j - 1]);
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return now[lb];
}

/* The only name that begins with the word: "config" is meant to become "configuration". */
static const char *only_one_longer(const char *word, int word_len, const char *const *names, int count)
{
    const char *found = NULL;
    for (int i = 0; i < count; i++) {
        int same = 0;
        while (names[i] && same < word_len && letter(names[i][same]) == letter(word[same]))
            same++;
        if (!names[i] || same < word_len)
            continue;
        if (found && strcmp(found, names[i]) != 0)
            return NULL;
        found = names[i];
    }
    return found;
}

const char *nearest_name(const char *word, const char *const *names, int count)
{
    const char *best = NULL;
    int best_distance = 0;
    int word_len = (int)strnlen(word, LONGEST + 1);
    if (word_len > LONGEST)
        return NULL;
    for (int i = 0; i < count; i++) {
        int len = names[i] ? (int)strnlen(names[i], LONGEST + 1) : LONGEST + 1;
        if (len > LONGEST)
            continue;
        int d = distance(word, word_len, names[i], len);
        int longer = len > word_len ? len : word_len;
        int allowed = longer < 6 ? (longer < 3 ? 0 : 1) : longer / 3;
        if (d <= allowed && (!best || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best || word_len < BEGINNING ? best : only_one_longer(word, word_len, names, count);
}

const char *nearest_meant(const char *nearest, char text[MEANT_TEXT])
{
    if (nearest)
        snprintf(text, MEANT_TEXT, ". Did you mean '%s'?", nearest);
    else
        snprintf(text, MEANT_TEXT, ".");
    return text;
}
