/* JPEG in: every kind of pixel against Pillow, to the last bit, and files that are not what they should be. */
#include "tests/images/corpus.h"

static const char *const corpus[] = {"rgb_444",
                                     "rgb_422",
                                     "rgb_420",
                                     "rgb_420_fine",
                                     "rgb_progressive",
                                     "rgb_optimised",
                                     "rgb_untransformed",
                                     "rgb_turned",
                                     "rgb_gamma",
                                     "grey",
                                     "grey_progressive",
                                     "cmyk",
                                     "cmyk_without_adobe",
                                     "ycck",
                                     "junk_before_marker"};

static void test_corpus(void **state)
{
    (void)state;
    corpus_check("jpeg", "jpg", corpus, countof(corpus), 37, 29);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const BadImage bad[] = {
        {"empty", "empty"},
        {"text", "does not begin like one"},
        {"half", "remature end"},
        {"no_end", "remature end"},
        {"header_alone", "cannot read this JPEG"},
        {"huge", "65000x65000"},
        {"hollow", "cannot hold"},
        {"no_height", "cannot read this JPEG"},
        {"damaged_scan", "cannot read this JPEG: Corrupt"},
        {"two_components", "2 components"},
        {"twelve_bits", "cannot read this JPEG: Unsupported JPEG data precision 12"},
        {"lossless", "cannot read this JPEG: Unsupported JPEG process"},
        {"many_scans", "more than 200 scans"},
    };
    corpus_refused("jpeg", "jpg", bad, countof(bad));
}

static void test_every_prefix(void **state)
{
    (void)state;
    corpus_prefixes(GOLDEN("jpeg/rgb_420.jpg"), image_decode);
    corpus_prefixes(GOLDEN("jpeg/grey_progressive.jpg"), image_decode);
    corpus_prefixes(GOLDEN("jpeg/cmyk.jpg"), image_decode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
