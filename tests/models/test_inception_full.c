/* The network at its real widths, weights and images by formula, against float64 goldens. */
#include "tests/models/network.h"

/* The generator itself, which the test of the network relies on. */
static void test_generator(void **state)
{
    (void)state;
    cJSON *json = golden_json(INCEPTION_GOLDEN("net/fullwidth_procedural.json"));
    const cJSON *item;
    cJSON_ArrayForEach(item, golden_get(golden_get(json, "generator"), "u01_check"))
    {
        uint64_t stream = stream_open(item->string);
        for (int i = 0; i < 4; i++)
            assert_true(stream_at(stream, (uint64_t)i) == cJSON_GetArrayItem(item, i)->valuedouble);
    }
    for (int k = 0; k < 2; k++) {
        const cJSON *check = cJSON_GetArrayItem(golden_get(json, "image_check"), k);
        uint8_t *rgb = procedural_image(golden_get(check, "key")->valuestring);
        int64_t sum = 0;
        for (int i = 0; i < 256 * 256 * 3; i++)
            sum += rgb[i];
        assert_int_equal(sum, (int64_t)golden_number(check, "sum"));
        for (int i = 0; i < 24; i++)
            assert_int_equal(rgb[i], cJSON_GetArrayItem(golden_get(check, "first24"), i)->valueint);
        free(rgb);
    }
    cJSON_Delete(json);
}

static void test_full_width(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/inception.safetensors", folder);
    procedural_weights(path, full_widths, 1008);
    Backend *be = network_backend();
    Inception *net = inception_open(path, be, &err);
    assert_ok(net != NULL, err);
    test_folder_remove(folder); /* the weights are in the backend now */
    assert_int_equal(inception_width(net), 2048);
    static float pool3[2048], logits[1008], spatial[INCEPTION_SPATIAL];
    static double biased[1008];
    uint64_t bias = stream_open("fc.bias");
    for (int k = 0; k < 2; k++) {
        uint8_t *rgb = procedural_image(k ? "img/1" : "img/0");
        assert_ok(inception_run(net, rgb, 1, 256, 256, RESIZE_PT, pool3, logits, spatial, &err), err);
        golden_row("fullwidth_pool3", 2, k, pool3, 5e-5);
        golden_row("fullwidth_sfid", 2, k, spatial, 5e-4);
        for (int i = 0; i < 1008; i++) /* the golden logits include the bias, ours leave it out */
            logits[i] = (float)(biased[i] = (double)logits[i] + 0.2 * (2 * stream_at(bias, (uint64_t)i) - 1));
        golden_row("fullwidth_logits", 2, k, logits, 5e-5);
        free(rgb);
    }
    inception_close(net);
    backend_close(be);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_generator), cmocka_unit_test(test_full_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
