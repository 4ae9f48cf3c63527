/* asm.c - bench asm: the text of a whole decode program, assembled and disassembled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"
#include "plena/isa.h"

enum { LINES = 200000 };

enum pl_status bench_asm(const struct bench_options *o, struct pl_diag *d)
{
    static const char *const line[] = {"M_MM 0, gp2, gp4", "S_ADDI_INT gp3, gp3, 64", "V_ADD_VV gp1, gp2, gp3, 0",
                                       "S_LD_FP f3, gp1, 12", "C_LOOP_START gp5, 16", "V_EXP_V gp1, gp1, 0", "C_LOOP_END gp5"};
    struct pl_arena a;
    struct pl_buf text, back;
    struct pl_asm as = {0};
    double best_asm, best_dis;
    enum pl_status s = PL_OK;
    pl_buf_init(&text);
    pl_buf_init(&back);
    for (size_t i = 0; i < LINES; i++)
        pl_buf_printf(&text, "    %s // %zu\n", line[i % PL_COUNT(line)], i);
    const struct pl_source src = {"bench.asm", text.data, text.len};
    pl_arena_init(&a);
    BENCH_BEST(o->reps, best_asm, {
        pl_arena_fini(&a);
        pl_arena_init(&a);
        s = pl_asm_text(&a, &src, &as, d);
    });
    if (s == PL_OK) {
        BENCH_BEST(o->reps, best_dis, {
            back.len = 0;
            pl_dis_text(as.code, as.n, false, &back);
        });
        bench_figure(o, "asm_lines_per_second", LINES / best_asm, "lines/s");
        bench_figure(o, "dis_lines_per_second", LINES / best_dis, "lines/s");
    }
    pl_arena_fini(&a);
    pl_buf_fini(&text);
    pl_buf_fini(&back);
    return s;
}
