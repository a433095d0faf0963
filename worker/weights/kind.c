#include "worker/weights/kind.h"

#include "core/mem.h"

enum { SIGNS = 4 };

/* In the order of looking: a student has the weights of a plain model too. */
static const struct {
    const char *name, *what;
    const char *signs[SIGNS]; /* it has one of them */
} kinds[NETWORK_KINDS] = {
    [NETWORK_STUDENT] = {"student",
                         "a Distilled Decoding student, which goes in as the student",
                         {"n_d_embed.weight", "final_layer_conti.linear.weight",
                          "final_layer_conti.scale_shift_table"}},
    [NETWORK_TEXT] = {"text model",
                      "a LlamaGen model for texts, which ddq does not run",
                      {"cls_embedding.cap_proj.fc1.weight", "cls_embedding.uncond_embedding"}},
    [NETWORK_TEACHER] = {"teacher",
                         "a plain LlamaGen model, which goes in as the teacher",
                         {"cls_embedding.embedding_table.weight"}},
    [NETWORK_TOKENIZER] = {"tokenizer",
                           "a tokenizer, which goes in as the tokenizer",
                           {"quantize.embedding.weight", "post_quant_conv.weight"}},
    [NETWORK_INCEPTION] = {"inception",
                           "an Inception network, which goes in as the weights of [inception]",
                           {"Mixed_7c.branch_pool.conv.weight", "Mixed_7b.branch_pool.conv.weight"}},
};

const char *network_name(NetworkKind kind)
{
    return kinds[kind].name;
}

static const char *sign_in(const Weights *weights, NetworkKind kind)
{
    for (int i = 0; i < SIGNS && kinds[kind].signs[i]; i++)
        if (weights_has(weights, kinds[kind].signs[i]))
            return kinds[kind].signs[i];
    return NULL;
}

bool network_check(const Weights *weights, NetworkKind wanted, Err *err)
{
    const char *sign = NULL, *own = kinds[wanted].signs[0];
    NetworkKind kind = 0;
    while (kind < NETWORK_KINDS && !(sign = sign_in(weights, kind)))
        kind++;
    if (kind == NETWORK_KINDS || kind == wanted)
        return true;
    if (weights_has(weights, own))
        return err_set(err, ERR_FORMAT, "%s %s: it has %s, so it is %s", kinds[wanted].name, weights->path, sign,
                       kinds[kind].what);
    return err_set(err, ERR_FORMAT, "%s %s: no %s in it, but %s, so it is %s", kinds[wanted].name, weights->path, own,
                   sign, kinds[kind].what);
}
