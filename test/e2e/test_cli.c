/* test_cli.c - the built program from outside: results, exit codes, messages, files. argv: plena, plena with flip.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_rig.h"

/* ---- run ---- */
static void check_stats(json_t *s)
{
    json_t *op, *unit;
    size_t i;
    json_int_t cycles = 0, insns = 0, bytes = 0;
    const char *name;
    json_array_foreach(at(s, "operators"), i, op)
    {
        cycles += INT_AT(op, "cycles");
        insns += INT_AT(op, "instructions");
        bytes += INT_AT(op, "hbm_bytes");
    }
    assert_int_equal(cycles, INT_AT(s, "cycles"));
    assert_int_equal(insns, INT_AT(s, "instructions"));
    assert_int_equal(bytes, INT_AT(s, "hbm_read_bytes") + INT_AT(s, "hbm_write_bytes"));
    json_object_foreach(at(s, "instructions_by_name"), name, unit) insns -= json_integer_value(unit);
    assert_int_equal(insns, 0);
    static const char *const units[] = {"matrix", "vector", "scalar", "load_m", "load_v", "store", "control"};
    for (size_t u = 0; u < PL_COUNT(units); u++)
        assert_true(json_is_integer(at(at(at(s, "units"), units[u]), "busy")));
    assert_true(REAL_AT(s, "array_utilisation") > 0 && REAL_AT(s, "array_utilisation") <= 1);
    assert_true(REAL_AT(s, "hbm_bandwidth_utilisation") > 0 && REAL_AT(s, "hbm_bandwidth_utilisation") <= 1);
    assert_true(json_is_object(at(s, "front_end")) && json_is_false(at(s, "sticky_nan")));
}

TEST(test_run_json)
{
    (void)state;
    DONE("run --prompt 'User: What is 2 plus 3?' --max-tokens 12 --check --json");
    json_t *o = json_out(r.out);
    assert_string_equal(TEXT_AT(o, "schema"), "plena.run/1");
    assert_string_equal(TEXT_AT(o, "version"), PL_VERSION);
    assert_string_equal(json_string_value(json_array_get(at(o, "command"), 1)), "run");
    assert_string_equal(TEXT_AT(o, "machine.name"), "small");
    assert_int_equal(INT_AT(o, "machine.array.mlen"), 64);
    assert_string_equal(TEXT_AT(o, "plan.weights"), "mxint8:16");
    assert_int_equal(INT_AT(o, "plan.blen"), 4);
    assert_int_equal(INT_AT(o, "prompt_tokens"), 23); /* bytes */
    assert_int_equal(INT_AT(o, "generated_tokens"), 12);
    assert_int_equal(json_array_size(at(o, "ids")), 35);
    assert_int_equal(strlen(TEXT_AT(o, "text")), 35);
    assert_int_equal(strncmp(TEXT_AT(o, "text"), TEXT_AT(o, "prompt"), 23), 0);
    assert_true(json_is_true(at(o, "check.equal")));
    assert_int_equal(INT_AT(o, "check.logits"), 12 * 128);
    assert_true(INT_AT(o, "ttft_cycles") > 0 && INT_AT(o, "ttft_cycles") < INT_AT(o, "stats.cycles"));
    assert_true(REAL_AT(o, "tps") > 0 && REAL_AT(o, "ttft_seconds") > 0);
    check_stats(at(o, "stats"));
    json_decref(o);
}

TEST(test_run_text)
{
    (void)state;
    DONE("run --prompt 'User: ' --max-tokens 5 --check -j 1");
    static char first[sizeof r.out];
    strcpy(first, r.out);
    assert_int_equal(strncmp(r.out, "User: ", 6), 0);
    contains(r.out, "TTFT ");
    contains(r.out, "TPS ");
    contains(r.out, "machine small");
    contains(r.out, "mlp.down_proj");
    contains(r.out, "HBM: ");
    contains(r.out, "check: 640 logits equal nn bit for bit\n");
    DONE("run --prompt 'User: ' --max-tokens 5 --check -j 2"); /* same words, cycles, tables */
    assert_string_equal(first, r.out);
    DONE("run --dry-run --prompt abc");
    contains(r.out, "would run 3 prompt tokens and up to 64 more");
}

static void put_bytes(const char *name, const void *p, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    OK(pl_file_write(path, p, n, &d));
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

/* Together each prompt goes on as it does alone. */
TEST(test_several_prompts)
{
    (void)state;
    char alone[64];
    DONE("run --prompt 'User: Hi' --max-tokens 9 --no-stop --json");
    json_t *o = json_out(r.out);
    snprintf(alone, sizeof alone, "%s", TEXT_AT(o, "text"));
    json_decref(o);
    put("prompts.txt", "User: Hi\nTool");
    DONE("run --prompt 'User: What is 2' --prompts @/prompts.txt --max-tokens 9 --no-stop --check --json");
    o = json_out(r.out);
    assert_string_equal(TEXT_AT(o, "schema"), "plena.run-batch/1");
    const json_t *list = at(o, "sequences");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(TEXT_AT(json_array_get(list, 1), "text"), alone);
    assert_int_equal(INT_AT(json_array_get(list, 2), "prompt_tokens"), 4);
    assert_int_equal(INT_AT(o, "decode_passes"), 8);
    assert_int_equal(INT_AT(o, "check.logits"), 3 * 9 * 128);
    check_stats(at(o, "stats"));
    json_decref(o);
    DONE("run --prompt a --prompt bcd --max-tokens 3 --no-stop");
    contains(r.out, "\n[1] bcd");
    DONE("run --prompt a --prompt b --dry-run");
    contains(r.out, "would run 2 sequences");
    put("none.txt", "");
    FAILS(2, "has no prompt", "run --prompts @/none.txt");
    DONE("compile --batch 3 --context 64 --dry-run --map");
    contains(r.out, "3 sequences of 64 tokens, 128 rows of cache each");
    contains(r.out, "Matrix SRAM of decode, 256 tiles");
    contains(r.out, "the first loaded by the layer before");
    FAILS(4, "for the KV cache of 9 sequences of 512 tokens", "compile --batch 9 --context 512 --dry-run --set hbm_bytes=2097152");
    FAILS(4, "cannot hold 900 rows of this model", "compile --batch 900 --dry-run");
}

TEST(test_reference_story)
{
    (void)state;
    static const char story[] = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
                                "big, red ball. She wanted to play with it, but it was too high\n";
    const char *model = shared_path("models/stories260k");
    if (!model)
        return;
    static const char *const formats[] = {"", "--weights none --act none --kv none", "--weights mxint8:16 --act mxint8:16 --kv mxint8:16"};
    for (size_t i = 0; i < PL_COUNT(formats); i++) {
        DONE("run %s --machine small --max-tokens 60 --check %s", model, formats[i]);
        if (strncmp(r.out, story, strlen(story)) != 0)
            fail_msg("%s: %.250s", formats[i], r.out);
        contains(r.out, "logits equal nn bit for bit");
    }
}

/* One bit of one logit in one pass differs: exit code 1, and where. */
TEST(test_check_sees_one_bit)
{
    (void)state;
    run_as(flipped, "run --max-tokens 6 --check --json");
    assert_int_equal(r.rc, 1);
    assert_string_equal(r.out, "");
    contains(r.err, "plena: after token 2: logit 7 is ");
    contains(r.err, " on the accelerator, ");
    run_as(flipped, "run --max-tokens 6 --check");
    assert_int_equal(r.rc, 1);
    run_as(flipped, "run --max-tokens 2 --check"); /* two passes: nothing to see yet */
    assert_int_equal(r.rc, 0);
    run_as(flipped, "run --max-tokens 6");
    assert_int_equal(r.rc, 0);
}

/* Every machine file runs the example; the largest only one token. */
TEST(test_every_shipped_machine)
{
    (void)state;
    size_t n = 0;
    DIR *configs = opendir(source_path("configs"));
    assert_non_null(configs);
    for (struct dirent *e; (e = readdir(configs));) {
        if (!strstr(e->d_name, ".yaml"))
            continue;
        const bool large = !strcmp(e->d_name, "paper.yaml");
        DONE("run --machine %s/%s --max-tokens %d --check", source_path("configs"), e->d_name, large ? 1 : 4);
        contains(r.out, "logits equal nn bit for bit");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(strlen(e->d_name) - 5), e->d_name);
        DONE("machine ls");
        contains(r.out, name);
        DONE("machine show %s >@/m.yaml", name);
        DONE("machine show @/m.yaml >@/m2.yaml"); /* what it prints is that machine */
        char a[16384], b[16384];
        slurp("m.yaml", a, sizeof a);
        slurp("m2.yaml", b, sizeof b);
        assert_string_equal(a, b);
        n++;
    }
    closedir(configs);
    for (size_t i = 0; pl_arch_list(i); i++)
        n--;
    assert_int_equal(n, 0); /* each file is embedded */
}

/* ---- eval ---- */
TEST(test_eval)
{
    (void)state;
    const char *text = source_path("examples/agent-0.8m/eval.jsonl");
    DONE("eval --text %s --limit 6 --weights mxint4:16 --json", text);
    json_t *o = json_out(r.out);
    assert_string_equal(TEXT_AT(o, "schema"), "plena.eval/1");
    assert_string_equal(TEXT_AT(o, "arithmetic"), "quantised");
    assert_string_equal(TEXT_AT(o, "plan.weights"), "mxint4:16");
    assert_string_equal(TEXT_AT(o, "plan.kv"), "mxint8:16");
    assert_int_equal(INT_AT(o, "sequences"), 6);
    assert_true(INT_AT(o, "predictions") > 100);
    const double ref = REAL_AT(o, "reference_perplexity");
    assert_true(REAL_AT(o, "perplexity") > ref && ref > 1 && REAL_AT(o, "unigram_perplexity") > 10 * ref);
    assert_true(REAL_AT(o, "kl") > 0 && REAL_AT(o, "top1_agreement") > 0.5 && REAL_AT(o, "top1_agreement") <= 1);
    json_decref(o);
    DONE("eval --text %s --limit 6 --reference --json", text);
    o = json_out(r.out);
    assert_string_equal(TEXT_AT(o, "arithmetic"), "fp32");
    assert_true(REAL_AT(o, "perplexity") == ref);
    assert_null(json_object_get(o, "kl"));
    json_decref(o);
    DONE("eval --text %s --context 64 --limit 2", source_path("test/e2e/meson.build")); /* plain text */
    contains(r.out, "fp32");
    contains(r.out, "2 sequences");
}

/* ---- compile, info, sim, dis, asm ---- */
TEST(test_image_round_trip)
{
    (void)state;
    char path[64];
    struct pl_arena a;
    struct pl_image img;
    struct pl_map map, mem;
    uint32_t *code;
    size_t n;
    DONE("compile -o @/a.img --machine tiny --context 48 --chunk 8 --kv mxint4:16");
    contains(r.out, "instruction words");
    DONE("info @/a.img");
    contains(r.out, "KV mxint4:16");
    contains(r.out, "entry     decode");
    DONE("dis @/a.img -o @/a.s");
    DONE("asm @/a.s -o @/a.mem");
    DONE("dis @/a.mem --pc -o @/b.s");
    DONE("asm @/b.s"); /* pc and word stand in comments */
    DONE("asm @/a.s --image -o @/b.img --machine tiny");
    pl_arena_init(&a);
    snprintf(path, sizeof path, "%s/a.img", dir);
    OK(pl_image_load(&a, path, &img, &map, &d));
    snprintf(path, sizeof path, "%s/a.mem", dir);
    OK(pl_file_map(path, &mem, &d));
    const struct pl_source src = {path, (const char *)mem.data, mem.len};
    OK(pl_asm_read_mem(&a, &src, &code, &n, &d));
    assert_int_equal(n, img.n_code);
    assert_memory_equal(code, img.code, n * 4); /* the same words */
    pl_file_unmap(&mem);
    pl_file_unmap(&map);
    snprintf(path, sizeof path, "%s/b.img", dir);
    OK(pl_image_load(&a, path, &img, &map, &d));
    assert_memory_equal(code, img.code, n * 4);
    pl_file_unmap(&map);
    pl_arena_fini(&a);
}

TEST(test_sim_files)
{
    (void)state;
    static const char params[] = "--param pos=0 --param tiles=0 --param last=0 --param ids=85";
    DONE("compile -o @/c.img --context 16 --chunk 1");
    DONE("sim @/c.img --entry decode %s --trace @/trace --stats @/stats --registers", params);
    contains(r.out, "halted after ");
    char head[4096], line[256];
    static char stats[1 << 16];
    slurp("stats", stats, sizeof stats);
    json_t *o = json_out(stats);
    assert_string_equal(TEXT_AT(o, "schema"), "plena.sim/1");
    check_stats(at(o, "stats"));
    slurp("trace", head, sizeof head);
    assert_int_equal(strncmp(head, "# seq issue start end pc word instruction\n0 ", 44), 0);
    snprintf(line, sizeof line, "%s/trace", dir);
    FILE *f = fopen(line, "r");
    json_int_t lines = -1; /* the head */
    while (fgets(line, sizeof line, f))
        lines++;
    fclose(f);
    assert_int_equal(lines, INT_AT(o, "stats.instructions"));
    /* The machine comes from the image; cycles do not need values. */
    DONE("sim @/c.img --entry decode %s --timing-only --json", params);
    json_t *t = json_out(r.out);
    assert_string_equal(TEXT_AT(t, "stopped"), "halted");
    assert_int_equal(INT_AT(t, "stats.cycles"), INT_AT(o, "stats.cycles"));
    json_decref(t);
    json_decref(o);
    FAILS(3, "the image is for mlen 64", "sim @/c.img --machine tiny");
    FAILS(3, "more than 10 instructions", "sim @/c.img --max-insns 10");
    FAILS(2, "no \"dekode\"; did you mean \"decode\"", "sim @/c.img --entry dekode");
    FAILS(2, "no \"poss\"; did you mean \"pos\"", "sim @/c.img --param poss=1");
    FAILS(2, "expected 32-bit values", "sim @/c.img --param pos=4294967296");
    FAILS(3, "pc 999999", "sim @/c.img --entry 999999");
}

TEST(test_info)
{
    (void)state;
    DONE("info agent-0.8m");
    contains(r.out, "4 layers, hidden 128");
    contains(r.out, "GQA");
    DONE("info %s", source_path("examples/agent-0.8m/model.safetensors"));
    contains(r.out, "lm_head.weight");
    DONE("info %s", source_path("examples/agent-0.8m/tokenizer.json"));
    contains(r.out, "of 128 tokens");
    DONE("info paper");
    contains(r.out, "mlen: 2048");
}

/* ---- help ---- */
TEST(test_help)
{
    (void)state;
    static const char *const verbs[] = {"run", "eval", "quantize", "ablate", "compile", "sim", "asm", "dis", "info", "machine", "bench"};
    static char help[sizeof r.out];
    DONE("help");
    strcpy(help, r.out);
    for (size_t i = 0; i < PL_COUNT(verbs); i++) {
        char usage[64];
        contains(help, verbs[i]);
        DONE("%s --help", verbs[i]);
        snprintf(usage, sizeof usage, "usage: plena %s ", verbs[i]);
        assert_int_equal(strncmp(r.out, usage, strlen(usage)), 0);
        assert_string_equal(r.err, "");
        static char own[sizeof r.out];
        strcpy(own, r.out);
        DONE("help %s", verbs[i]);
        if (strcmp(verbs[i], "machine") != 0) /* help machine: the parameters */
            assert_string_equal(own, r.out);
    }
    DONE("--help");
    assert_string_equal(help, r.out);
    DONE("help machine");
    contains(r.out, "prefetch_m_rows");
    DONE("help formats");
    contains(r.out, "mxfp4_e2m1");
    DONE("--version");
    assert_string_equal(r.out, "plena " PL_VERSION "\n");
    FAILS(2, "no command \"rum\"; did you mean \"run\"", "help rum");
}

/* ---- exit codes ---- */
TEST(test_usage_errors)
{
    (void)state;
    RUN(" ");
    assert_int_equal(r.rc, 2);
    contains(r.err, "usage: plena COMMAND");
    assert_string_equal(r.out, "");
    FAILS(2, "no command \"compil\"; did you mean \"compile\"", "compil");
    FAILS(2, "no option \"--promt\"; did you mean \"--prompt\"", "run --promt x");
    FAILS(2, "--prompt wants a value: TEXT", "run --prompt");
    FAILS(2, "--check=1 takes no value", "run --check=1");
    FAILS(2, "expected a number, found \"ten\"", "run --max-tokens ten");
    FAILS(2, "expected a number, found \"-1\"", "run --max-tokens=-1");
    FAILS(2, "--max-tokens must be 1..", "run --max-tokens 0");
    FAILS(2, "unexpected argument \"b\"", "run a b");
    FAILS(2, "--text FILE is missing", "eval");
    FAILS(2, "-o IMAGE is missing", "compile");
    FAILS(2, "IMAGE is missing", "sim");
    FAILS(2, "FILE is missing", "asm");
    FAILS(2, "FILE is missing", "dis");
    FAILS(2, "X is missing", "info");
    FAILS(2, "expected ls, or show", "machine list");
    FAILS(2, "NAME is missing", "bench");
    FAILS(2, "no benchmark \"gem\"", "bench gem");
    FAILS(2, "no machine parameter \"mlem\"; did you mean \"mlen\"", "run --set mlem=4");
    FAILS(2, "no machine parameter \"array.vlen\"", "run --set array.vlen=64");
    FAILS(2, "expected name=value", "run --set mlen");
}

TEST(test_bad_input)
{
    (void)state;
    put("ok.s", "C_HALT\n");
    put("bad.s", "nop\n V_ADD_VW gp1, gp2, gp3\n");
    put("loop.s", "C_LOOP_START gp1, 3\n");
    put("fault.s", "M_MM 0, gp0, gp0\n");
    static const char cut[] = "PLENAIMG\2\0\0\0\xff\0\0\0{\"schema\"";
    put_bytes("bad.img", cut, sizeof cut - 1);
    put("bad.yaml", "array: {mlem: 16}\n");
    put("odd.yaml", "array: {mlen: 48}\n");
    put("bad.jsonl", "{\"text\": 5}\n");
    FAILS(3, "nowhere", "run nowhere");
    FAILS(3, "\"hugee\" is neither a file nor a shipped machine", "run --machine hugee");
    FAILS(3, "/none.yaml\" is neither a file nor", "run --machine @/none.yaml");
    FAILS(3, "/none.yaml: No such file", "run --config @/none.yaml");
    FAILS(3, "bad.yaml:1:9", "run --config @/bad.yaml");
    FAILS(3, "did you mean \"mlen\"", "run --config @/bad.yaml");
    FAILS(3, "must be powers of two", "run --machine @/odd.yaml");
    FAILS(3, "must be powers of two", "run --set mlen=48");
    FAILS(3, "array.mlen", "run --set mlen=many");
    FAILS(3, "array.mlen", "run --set mlen=100000");
    FAILS(3, "--weights: ", "run --weights mxint9");
    FAILS(3, "--kv: ", "run --kv mxnit8");
    FAILS(3, "--context 5000: the model has 1024 positions", "run --context 5000");
    FAILS(3, "the prompt has 5 tokens, the context 4", "run --prompt abcde --context 4");
    FAILS(3, "bad.s:2:2: unknown instruction \"V_ADD_VW\"; did you mean V_ADD_VV?\n   V_ADD_VW gp1, gp2, gp3\n   ^", "asm @/bad.s");
    FAILS(3, "has no C_LOOP_END", "asm @/loop.s");
    DONE("asm @/ok.s --image -o @/ok.img");
    FAILS(3, "is a program image, not an assembly text", "asm @/ok.img");
    FAILS(3, "truncated", "asm @/bad.img");
    FAILS(3, "tile 0 was never loaded", "sim @/fault.s");
    FAILS(3, "truncated", "sim @/bad.img");
    FAILS(3, "truncated", "info @/bad.img");
    FAILS(3, "none.img: No such file", "dis @/none.img");
    FAILS(3, "bad.jsonl", "eval --text @/bad.jsonl");
    FAILS(3, "is not a regular file", "dis @");
}

TEST(test_unsupported)
{
    (void)state;
    FAILS(4, "blocks of 64 are wider than min(mlen, vlen) = 16", "run --machine tiny --weights mxint8:64");
    FAILS(4, "sram.matrix_tiles = 4", "compile -o @/x.img --machine wide_vector --set matrix_tiles=4");
    char path[64];
    snprintf(path, sizeof path, "%s/model", dir);
    mkdir(path, 0755);
    put("model/config.json", "{\"model_type\": \"mamba\", \"architectures\": [\"MambaForCausalLM\"]}");
    FAILS(4, "mamba", "run @/model");
    static const char newer[] = "PLENAIMG\3\0\0\0\2\0\0\0{}";
    put_bytes("new.img", newer, sizeof newer - 1);
    FAILS(4, "new.img: image version 3", "info @/new.img");
}

TEST(test_verify_and_dumps)
{
    (void)state;
    DONE("compile --no-weights --verify -o @/v.img");
    DONE("verify @/v.img");
    contains(r.out, "v.img: 0 errors; ");
    DONE("verify @/v.img --json");
    json_t *o = json_out(r.out);
    assert_int_equal(json_array_size(at(o, "errors")), 0);
    assert_int_equal(INT_AT(o, "words"), INT_AT(o, "reached"));
    json_decref(o);
    put("bad.s", "nop\nV_EXP_V gp0, gp7\n");
    RUN("verify @/bad.s --machine tiny");
    assert_int_equal(r.rc, 1);
    contains(r.out, "pc 1: V_EXP_V gp0, gp7, 0: gp7 is read before it is written\n");
    contains(r.out, "bad.s: 1 errors; 2 words");
    static const struct {
        const char *pass, *words;
    } dump[] = {{"plan", "kv heads: 1 groups of 4"},         {"layout", "# layout of decode: 1 tokens a pass"}, {"hbm", "layers.0.gate_proj"},
                {"chain", "# chain of prefill"},             {"emit", "; attention.q_proj product 4"},       {"verify", "# verify: 0 errors"}};
    for (size_t i = 0; i < PL_COUNT(dump); i++) {
        DONE("compile --no-weights --dry-run --dump-after %s", dump[i].pass);
        contains(r.out, dump[i].words);
    }
    FAILS(2, "--dump-after link: there is no such pass", "compile --no-weights --dry-run --dump-after link");
    FAILS(2, "--without speed: there is no such extension", "compile --no-weights --dry-run --without speed");
}

TEST(test_unwritable)
{
    (void)state;
    put("ok.s", "C_HALT\n");
    FAILS(3, "/dev/full: cannot write", "asm @/ok.s -o /dev/full");
    FAILS(3, "/dev/full: cannot write", "asm @/ok.s --image -o /dev/full");
    FAILS(3, "/dev/full: cannot write", "compile -o /dev/full");
    FAILS(3, "/dev/full: cannot write", "compile -o @/y.img --dump /dev/full");
    FAILS(3, "/dev/full: cannot write", "sim @/ok.s --stats /dev/full --json");
    RUN("sim @/ok.s --trace /dev/full --json");
    assert_int_equal(r.rc, 3);
    contains(r.err, "/dev/full: cannot be written");
    FAILS(3, "cannot create", "asm @/ok.s -o @/no/such/folder");
    static const char *const talkers[] = {"machine ls", "asm @/ok.s", "info paper", "help machine", "run --max-tokens 1",
                                          "run --max-tokens 1 --json"};
    for (size_t i = 0; i < PL_COUNT(talkers); i++) {
        RUN("%s >/dev/full", talkers[i]);
        assert_int_equal(r.rc, 3);
        contains(r.err, "standard output: cannot be written");
    }
}

TEST(test_configuration)
{
    (void)state;
    put("over.yaml", "array: {blen: 8}\n");
    DONE("run --print-config --config @/over.yaml --set vector_rows=8192 --kv mxint4:32 >@/p.yaml");
    DONE("run --print-config --machine @/p.yaml");
    contains(r.out, "  blen: 8 #");
    contains(r.out, "  vector_rows: 8192 #");
    contains(r.out, "  kv_format: mxint4:32 #");
    contains(r.out, "  mlen: 64 #"); /* small, the default */
}

TEST(test_bench)
{
    (void)state;
    static const char *const names[] = {"gemm", "compile", "asm"};
    DONE("bench --list");
    for (size_t i = 0; i < PL_COUNT(names); i++)
        contains(r.out, names[i]);
    DONE("bench asm --reps 1 --json");
    size_t n = 0;
    for (char *line = strtok(r.out, "\n"); line; line = strtok(NULL, "\n"), n++) { /* one object a figure */
        json_t *o = json_out(line);
        assert_true(json_is_object(o) && json_is_string(at(o, "unit")));
        json_decref(o);
    }
    assert_true(n > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_json), cmocka_unit_test(test_run_text), cmocka_unit_test(test_several_prompts), cmocka_unit_test(test_reference_story),
        cmocka_unit_test(test_check_sees_one_bit), cmocka_unit_test(test_every_shipped_machine), cmocka_unit_test(test_eval),
        cmocka_unit_test(test_image_round_trip), cmocka_unit_test(test_sim_files), cmocka_unit_test(test_info),
        cmocka_unit_test(test_help), cmocka_unit_test(test_usage_errors), cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_unsupported), cmocka_unit_test(test_unwritable), cmocka_unit_test(test_verify_and_dumps), cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_bench),
    };
    if (argc != 3 || !mkdtemp(dir))
        return 2;
    plena = argv[1];
    flipped = argv[2];
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) || failed;
}
