/* main.c - plena: finds the subcommand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

char **cli_argv;

static int cmd_help(const struct verb *v, int argc, char **argv);

static const struct verb verbs[] = {
    {"run", "[MODEL]", "generate text on the simulated accelerator; report time, traffic and use", cmd_run},
    {"eval", "[MODEL]", "perplexity, KL and top-1 agreement under given formats", cmd_eval},
    {"quantize", "MODEL --calibrate FILE -o DIR", "weights to MX blocks by GPTQ: a quantised checkpoint", cmd_quantize},
    {"compile", "[MODEL] -o IMAGE", "compile a checkpoint to a program image", cmd_compile},
    {"sim", "IMAGE", "run a program image or an assembly text; trace and statistics", cmd_sim},
    {"asm", "FILE", "assemble to a .mem text or a program image", cmd_asm},
    {"dis", "FILE", "disassemble a program image or a .mem text", cmd_dis},
    {"verify", "PROGRAM", "prove the rules of a program image, assembly or .mem text without running it", cmd_verify},
    {"hbm", "TRACE | --list", "an address trace through the HBM model: cycles, bandwidth, latency, what binds", cmd_hbm},
    {"info", "X", "describe a checkpoint, a safetensors file, a tokenizer, an image or a machine", cmd_info},
    {"machine", "ls | show NAME|FILE", "list the shipped machines, or print one", cmd_machine},
    {"bench", "--list | NAME", "speed of this program, one figure per line", cmd_bench},
    {"help", "[COMMAND | machine | formats]", "explain a command, the machine parameters, the number formats", cmd_help},
};

static void usage(FILE *f)
{
    fprintf(f, "plena %s: from a checkpoint to text, cycles and proof\n\nusage: plena COMMAND [options]\n\n", PL_VERSION);
    for (size_t i = 0; i < PL_COUNT(verbs); i++)
        fprintf(f, "  %-8s %s\n", verbs[i].name, verbs[i].doc);
    fprintf(f, "\nplena COMMAND --help tells its options. Exit codes: 0 done, 1 a comparison failed, 2 usage, 3 bad input,\n"
               "4 unsupported.\n");
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < PL_COUNT(verbs); i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    const char *names[PL_COUNT(verbs)];
    for (size_t i = 0; i < PL_COUNT(verbs); i++)
        names[i] = verbs[i].name;
    const char *near = pl_nearest(name, names, PL_COUNT(names));
    fprintf(stderr, "plena: no command \"%s\"%s%s%s; see plena help\n", name, near ? "; did you mean \"" : "", near ? near : "",
            near ? "\"?" : "");
    return NULL;
}

static int cmd_help(const struct verb *v, int argc, char **argv)
{
    (void)v;
    if (argc < 2) {
        usage(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "machine")) {
        struct pl_buf b;
        pl_buf_init(&b);
        pl_arch_help(&b);
        fputs(b.data, stdout);
        pl_buf_fini(&b);
        return 0;
    }
    if (!strcmp(argv[1], "formats")) {
        puts("none             the machine's vector format, no quantisation\n"
             "bf16 fp16 eXmY   plain minifloat, X exponent and Y fraction bits\n"
             "mxintB[:N]       MXINT, B = 2..8 bits, blocks of N = 4..64 (default 16) with an 8-bit exponent\n"
             "mxfpB_eXmY[:N]   MXFP, elements of B = 1+X+Y bits: mxfp4_e2m1, mxfp6_e3m2, mxfp8_e4m3, mxfp8_e5m2, ...\n"
             "...:N:RULE       scale rule of the block: floor (OCP, default), ceil, search");
        return 0;
    }
    const struct verb *of = find_verb(argv[1]);
    char help[] = "--help";
    char *args[] = {argv[1], help, NULL};
    return of ? of->run(of, 2, args) : 2;
}

int main(int argc, char **argv)
{
    cli_argv = argv;
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("plena " PL_VERSION);
        return 0;
    }
    const bool help = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
    const struct verb *v = find_verb(help ? "help" : argv[1]);
    if (!v)
        return 2;
    const int rc = v->run(v, argc - 1, argv + 1);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "plena: standard output: cannot be written\n");
        return rc ? rc : 3;
    }
    return rc;
}
