/* test_quantize.c - plena quantize: what it writes runs bit for bit as nn says, survives interruption, refuses nonsense. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "run_plena.h"

#include "plena/model.h"

#define CALIBRATE "--calibrate " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --limit 3"
#define W4A4KV4 " --weights mxint4:16 --act mxint4:16 --kv mxint4:16 "

static void shell(const char *fmt, ...)
{
    char command[2048] = "cd ", args[1500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    snprintf(command + 3, sizeof command - 3, "%s && %s", folder, args);
    if (system(command) != 0)
        fail_msg("%s", command);
}

/* The command fails with this code and says these words. */
static void refused(int code, const char *words, const char *args)
{
    const int rc = plena(args);
    char *err = contents("err");
    if (rc != code || !strstr(err, words))
        fail_msg("%s: exit %d, \"%s\"; wanted %d, \"%s\"", args, rc, err, code, words);
    free(err);
}

TEST(test_checkpoint)
{
    (void)state;
    assert_int_equal(plena("quantize agent-0.8m " CALIBRATE W4A4KV4 "--compare --json -o q"), 0);
    json_t *report = load("out"), *m;
    size_t i;
    assert_string_equal(json_string_value(get(report, "schema")), "plena.quantize/1");
    assert_int_equal(json_array_size(get(report, "matrices")), 4 * 7 + 1);
    assert_true(fabs(json_number_value(get(report, "bits_per_quantised_weight")) - 4.5) < 1e-12); /* every K is a multiple of 16 */
    json_array_foreach(get(report, "matrices"), i, m)
    {
        const double ours = json_real_value(get(m, "output_error")), peer = json_real_value(get(m, "output_error_peer"));
        if (!(ours <= peer && peer < json_real_value(get(m, "output_error_nearest"))))
            fail_msg("%s: %g, peer %g", json_string_value(get(m, "name")), ours, peer);
        assert_true(fabs(json_number_value(get(m, "bits_per_weight")) - 4.5) < 1e-12);
    }
    json_decref(report);
    assert_int_equal(plena("info q"), 0);
    assert_true(says("out", "quantised by plena: weights mxint4:16, made for activations mxint4:16, KV mxint4:16"));
}

/* The formats come from the checkpoint; sim computes the bits of nn. */
TEST(test_run_and_eval)
{
    (void)state;
    assert_int_equal(plena("run q --prompt user: --max-tokens 4 --check --json"), 0);
    json_t *o = load("out");
    assert_true(says("out", "mxint4:16"));
    json_decref(o);
    assert_int_equal(plena("run q --machine medium --prompt user: --max-tokens 3 --check"), 0);
    assert_true(says("out", "equal nn bit for bit"));
    assert_int_equal(plena("eval q --against agent-0.8m --text " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --skip 60 --json"), 0);
    o = load("out");
    const double ours = json_real_value(get(o, "kl"));
    json_decref(o);
    assert_int_equal(plena("eval agent-0.8m" W4A4KV4 "--text " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --skip 60 --json"), 0);
    o = load("out");
    print_message("KL to fp32: %.5f, rounded to nearest %.5f\n", ours, json_real_value(get(o, "kl")));
    assert_true(ours < json_real_value(get(o, "kl")));
    json_decref(o);
}

/* Rounding to nearest by quantize is what eval does to the original on the way. */
TEST(test_rtn_is_the_format)
{
    (void)state;
    assert_int_equal(plena("quantize agent-0.8m --recipe rtn --weights mxfp4_e2m1:16 --act mxint8:16 --kv mxint8:16 -o rtn"), 0);
    assert_int_equal(plena("eval rtn --text " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --limit 2 --json"), 0);
    json_t *a = load("out");
    assert_int_equal(plena("eval agent-0.8m --weights mxfp4_e2m1:16 --act mxint8:16 --kv mxint8:16 --text " PL_SOURCE_ROOT
                           "/examples/agent-0.8m/eval.jsonl --limit 2 --json"), 0);
    json_t *b = load("out");
    assert_true(json_real_value(get(a, "perplexity")) == json_real_value(get(b, "perplexity")));
    json_decref(a);
    json_decref(b);
}

/* Where to rotate, by name or by search; weights that make up for quantised inputs. The machine agrees bit for bit. */
TEST(test_transforms)
{
    (void)state;
    assert_int_equal(plena("quantize agent-0.8m " CALIBRATE W4A4KV4 "--rotate residual-block,values,down --aim 0.5 --no-center-keys -o folded"), 0);
    assert_int_equal(plena("run folded --machine narrow_vector --prompt user: --max-tokens 2 --check"), 0);
    assert_true(says("out", "equal nn bit for bit"));
    shell("grep -q '\"rotations\": \"residual-block,down,values\"' folded/config.json");
    assert_int_equal(plena("run q --machine narrow_vector --prompt user: --max-tokens 2 --check"), 0);
    assert_int_equal(plena("run q --machine wide_vector --prompt user: --max-tokens 2 --check"), 0);
    assert_int_equal(plena("quantize agent-0.8m --calibrate " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --limit 4" W4A4KV4
                           "--search none --propagation none --rotate search -o chosen"), 0);
    refused(2, "--rotate: \"qkw\": expected none, all", "quantize agent-0.8m " CALIBRATE W4A4KV4 "--rotate down,qkw -o x");
    refused(4, "activation format mxint4:16:e6m2: the machine has no E6M2 scales", "compile agent-0.8m --act mxint4:16:e6m2 -o x.pleo");
    refused(4, "weight format mxint4:16:full: the machine has no E6M2 scales", "run agent-0.8m --weights mxint4:16:full --prompt a");
    refused(4, "KV cache takes neither E6M2 scales", "eval agent-0.8m --text " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --limit 1 --kv mxint4:16:e6m2");
    refused(2, "residual and residual-block exclude each other", "quantize agent-0.8m " CALIBRATE W4A4KV4 "--rotate residual,residual-block -o x");
    refused(2, "--aim \"2\": expected a number from 0 to 1", "quantize agent-0.8m " CALIBRATE W4A4KV4 "--aim 2 -o x");
    refused(2, "needs --calibrate FILE", "quantize agent-0.8m --recipe rtn" W4A4KV4 "--rotate search -o x");
}

/* Rows with their standard errors; one calibrated on what it measures is refused. */
TEST(test_ablate)
{
    (void)state;
#define TEXTS "--calibrate " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl --calibrate-limit 3 --text " PL_SOURCE_ROOT "/examples/agent-0.8m/eval.jsonl "
    assert_int_equal(plena("ablate agent-0.8m " TEXTS "--skip 60 --limit 3" W4A4KV4 "--only 'activations, KV' --sites --csv rows.csv --svg rows.svg --json"), 0);
    json_t *o = load("out"), *rows = get(o, "rows");
    assert_string_equal(json_string_value(get(o, "schema")), "plena.ablate/1");
    assert_int_equal(json_array_size(rows), 5 + 9);
    for (size_t i = 0; i < 14; i++) {
        json_t *r = json_array_get(rows, i);
        assert_true(json_real_value(get(r, "kl")) > 0 && json_real_value(get(r, "kl_se")) > 0);
        const double limit = 2 * json_real_value(get(r, "kl_se"));
        if (i == 3) /* rotated everywhere, against K and Q alone */
            assert_true(limit > 0 && json_is_string(get(r, "verdict")));
    }
    json_decref(o);
    shell("test $(wc -l <rows.csv) = 15 && grep -q 'class=\"bar\"' rows.svg");
    refused(2, "is one of the calibration; leave it out with --skip", "ablate agent-0.8m " TEXTS W4A4KV4);
    refused(2, "no rows to measure", "ablate agent-0.8m " TEXTS "--skip 60 --limit 3" W4A4KV4 "--only nothing");
}

TEST(test_blocks_of_several_heads)
{
    (void)state;
    assert_int_equal(plena("quantize agent-0.8m --recipe rtn --weights mxint4:32 --act none --kv none -o several"), 4);
    assert_true(says("err", "blocks of 32 do not fit heads of 16 lanes"));
}

/* Files may grow to 64 KiB only: as on a full disk, a layer does not fit. What an earlier run has done is used by the next,
 * which ends with the same bytes. */
TEST(test_interrupted)
{
    (void)state;
    shell("(trap '' XFSZ; ulimit -f 128; ! '%s' quantize agent-0.8m " CALIBRATE W4A4KV4 "--compare -o again 2>err)", PL_PLENA);
    assert_true(says("err", "cannot write: File too large"));
    shell("test \"$(ls again)\" = quantize.json");
    refused(3, "again/config.json: No such file", "eval again --text x"); /* no checkpoint yet */
    refused(2, "was begun with another recipe (weights)",
            "quantize agent-0.8m " CALIBRATE " --weights mxint3:16 --act mxint4:16 --kv mxint4:16 --compare -o again");
    refused(2, "was begun with another recipe (calibration_", "quantize agent-0.8m " CALIBRATE " --skip 1" W4A4KV4 "--compare -o again");
    shell("cp q/model-00001-of-00005.safetensors q/model-00002-of-00005.safetensors again"); /* as a kill in layer 3 leaves it */
    shell("touch -d 2001-01-01 again/model-00002-of-00005.safetensors");
    assert_int_equal(plena("quantize agent-0.8m " CALIBRATE W4A4KV4 "--compare -o again"), 0);
    for (int i = 1; i <= 5; i++)
        shell("cmp q/model-0000%d-of-00005.safetensors again/model-0000%d-of-00005.safetensors", i, i);
    shell("test ! -f again/quantize.json && test -f again/report.json && cmp q/model.safetensors.index.json again/model.safetensors.index.json");
    shell("test -z \"$(find again -name 'model-00002*' -newermt 2002-01-01)\""); /* was not written again */
    refused(2, "already holds a checkpoint", "quantize agent-0.8m " CALIBRATE W4A4KV4 "--compare -o again");
}

TEST(test_refusals)
{
    (void)state;
    refused(2, "--calibrate FILE is missing", "quantize agent-0.8m --weights mxint4 -o x");
    refused(2, "-o DIR is missing", "quantize agent-0.8m --weights mxint4 " CALIBRATE);
    refused(2, "expected one of best, paper, rtn", "quantize agent-0.8m --recipe good " CALIBRATE " -o x");
    refused(2, "expected one of none, peer, block, column", "quantize agent-0.8m --propagation far " CALIBRATE " -o x");
    refused(2, "expected a number above 0", "quantize agent-0.8m --damping 0 " CALIBRATE " -o x");
    refused(2, "choose an MX format", "quantize agent-0.8m --weights none " CALIBRATE " -o x");
    refused(4, "is already quantised", "quantize q --weights mxint3:16 " CALIBRATE " -o x");
    refused(3, "cannot create", "quantize agent-0.8m " CALIBRATE W4A4KV4 "-o no/such/folder");
    shell("printf 'user: hello' >short.txt");
    refused(3, "calibration tokens are too few: the widest linear layer has 384 inputs",
            "quantize agent-0.8m --calibrate short.txt" W4A4KV4 "-o x");
    shell("test ! -e x");
}

/* Overwrite bytes of a tensor in a shard. */
static void patch(const char *file, const char *tensor, size_t at, const void *bytes, size_t n)
{
    struct pl_arena a;
    struct pl_map m;
    struct pl_safetensors st;
    pl_arena_init(&a);
    OK(pl_file_map(in_folder(file), &m, &d));
    OK(pl_safetensors_parse(&a, file, m.data, m.len, &st, &d));
    const struct pl_tensor *t = pl_safetensors_find(&st, tensor);
    assert_non_null(t);
    uint8_t *copy = malloc(m.len);
    memcpy(copy, m.data, m.len);
    memcpy(copy + (t->data - m.data) + at, bytes, n);
    const size_t len = m.len;
    pl_file_unmap(&m);
    OK(pl_file_write(in_folder(file), copy, len, &d));
    free(copy);
    pl_arena_fini(&a);
}

TEST(test_damaged)
{
    (void)state;
    static const uint8_t nan_bf16[2] = {0xc0, 0x7f}, nan_scale = 255;
    shell("cp -r " PL_SOURCE_ROOT "/examples/agent-0.8m bad && chmod -R u+w bad");
    patch("bad/model.safetensors", "model.layers.1.mlp.up_proj.weight", 2 * (5 * 128 + 9), nan_bf16, 2);
    refused(3, "model.layers.1.mlp.up_proj.weight\": the weight in row 5, column 9 is NaN",
            "quantize bad --recipe rtn" W4A4KV4 "-o x");
    shell("cp -r q damaged");
    patch("damaged/model-00002-of-00005.safetensors", "model.layers.1.mlp.up_proj.weight.mx_scales", 8 * 7, &nan_scale, 1);
    refused(3, "model.layers.1.mlp.up_proj.weight.mx_scales\": row 7 holds the scale 255", "eval damaged --text x");
    shell("cp q/model-00002-of-00005.safetensors damaged/ && truncate -s -9 damaged/model-00002-of-00005.safetensors");
    refused(3, "truncated?", "eval damaged --text x");
    shell("cp q/model-00002-of-00005.safetensors damaged/ && sed 's/\"weights\": \"mxint4:16\"/\"weights\": \"mxint4:32\"/' q/config.json"
          " >damaged/config.json");
    refused(3, "lm_head.weight.mx_scales\": expected U8 [128, 4]", "eval damaged --text x");
    shell("sed 's/\"version\": 1/\"version\": 2/' q/config.json >damaged/config.json");
    refused(4, "plena_quantization.version 2 is not supported", "eval damaged --text x");
    shell("sed 's/plena_quantization/other/' q/config.json >damaged/config.json");
    refused(3, "lm_head.weight\" is missing", "eval damaged --text x");
    shell("sed 's/\"weights\": \"mxint4:16\"/\"weights\": \"mxint\"/' q/config.json >damaged/config.json");
    refused(3, "plena_quantization.weights: \"mxint\" is not a number format", "eval damaged --text x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint),  cmocka_unit_test(test_run_and_eval), cmocka_unit_test(test_rtn_is_the_format), cmocka_unit_test(test_transforms), cmocka_unit_test(test_ablate),
        cmocka_unit_test(test_blocks_of_several_heads),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_refusals),     cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, simulate, clean);
}
