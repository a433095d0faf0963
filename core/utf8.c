#include "core/utf8.h"

size_t utf8_size(const char *text)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte; of the second */
        size_t size;
    } forms[] = {{0x01, 0x7f, 0, 0xff, 1},    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (bytes[0] >= forms[i].first && bytes[0] <= forms[i].last &&
            (forms[i].size == 1 || (bytes[1] >= forms[i].low && bytes[1] <= forms[i].high))) {
            for (size_t k = 2; k < forms[i].size; k++)
                if (bytes[k] < 0x80 || bytes[k] > 0xbf)
                    return 0;
            return forms[i].size;
        }
    return 0;
}
