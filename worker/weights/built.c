/* To let another name pass unread: a row in `unneeded`, with the reason why the network is the same without it. */
#include "worker/weights/built.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { ROWS_MAX = 12 };

#define TRAINING                                                                                                       \
    {"optimizer*", "state of the optimizer"}, {"lr_scheduler*", "state of the optimizer"},                             \
        {"model_ema.*", "averages, under names that have lost their dots"},                                            \
    {                                                                                                                  \
        "*.num_batches_tracked", "a counter"                                                                           \
    }
#define ROTARY                                                                                                         \
    {"freqs_cis", "rotary positions are computed; its shape is read"},                                                 \
        {"*.freqs_cis", "rotary positions are computed"}, {"*.inv_freq", "rotary positions are computed"},             \
        {"*.kv_cache.*", "keys and values of an earlier run"},                                                         \
    {                                                                                                                  \
        "causal_mask", "the mask is computed"                                                                          \
    }

static const CkptUnneeded unneeded[NETWORK_KINDS][ROWS_MAX] = {
    [NETWORK_STUDENT] = {ROTARY, TRAINING},
    [NETWORK_TEACHER] = {ROTARY, TRAINING},
    [NETWORK_TOKENIZER] = {{"encoder.*", "images are decoded alone"},
                           {"quant_conv.*", "images are decoded alone"},
                           {"quantize.codebook_used", "a statistic of training"},
                           {"loss.*", "discriminator and perceptual loss of training"},
                           TRAINING},
    [NETWORK_INCEPTION] = {{"fc.bias", "logits are taken without it, as the reference does"}, TRAINING},
};

void built_free(Built *built)
{
    cJSON_Delete(built->networks);
    cJSON_Delete(built->notes);
    *built = (Built){0};
}

void built_note(Built *built, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!built->notes)
        built->notes = cJSON_CreateArray();
    cJSON_AddItemToArray(built->notes, cJSON_CreateString(text));
}

cJSON *built_add(Built *built, NetworkKind kind, const Ckpt *ckpt, const char *choose, Err *err)
{
    const CkptUnneeded *table = unneeded[kind];
    const char *part = *ckpt_root(ckpt) ? ckpt_root(ckpt) : "top level";
    int counts[ROWS_MAX] = {0};
    size_t rows = 0;
    while (rows < ROWS_MAX && table[rows].pattern)
        rows++;
    if (!ckpt_all_read(ckpt, table, rows, counts, err)) {
        err_wrap(err, "%s", network_name(kind));
        return NULL;
    }
    if (!built->networks)
        built->networks = cJSON_CreateObject();
    cJSON *network = cJSON_AddObjectToObject(built->networks, network_name(kind)), *left = NULL;
    cJSON_AddStringToObject(network, "part", part);
    cJSON_AddNumberToObject(network, "tensors", ckpt_count(ckpt));
    for (size_t i = 0; i < rows; i++) {
        if (counts[i] && !left)
            left = cJSON_AddObjectToObject(network, "not_needed");
        if (counts[i])
            cJSON_AddNumberToObject(left, table[i].pattern, counts[i]);
    }
    if (ckpt_rivals(ckpt))
        built_note(built, "%s %s: the weights were read from its part %s; as many tensors are in %s%s%s",
                   network_name(kind), ckpt_path(ckpt), part, ckpt_rivals(ckpt), choose ? "; choose with " : "",
                   choose ? choose : "");
    return network;
}

void built_size(cJSON *network, const char *name, int value)
{
    cJSON_AddNumberToObject(network, name, value);
}

void built_choice(cJSON *network, const char *name, const SizeChoice *choice)
{
    char *from = xasprintf("%s_from", name);
    cJSON_AddNumberToObject(network, name, choice->value);
    cJSON_AddStringToObject(network, from, choice->from);
    free(from);
}

char *built_line(const cJSON *networks, int i)
{
    const cJSON *network = cJSON_GetArrayItem(networks, i), *fact;
    if (i < 0 || !network)
        return NULL;
    Buf line = {0};
    buf_printf(&line, "network=%s", network->string);
    cJSON_ArrayForEach(fact, network)
    {
        char *text = cJSON_PrintUnformatted(fact);
        bool word = cJSON_IsString(fact) && !strpbrk(fact->valuestring, " \"=");
        buf_printf(&line, " %s=%s", fact->string, word ? fact->valuestring : text);
        cJSON_free(text);
    }
    return line.data;
}
