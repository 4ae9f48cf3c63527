/* gen_rtl_pkg.c MACHINE [KEY=VALUE...] - print plena_pkg.sv of a shipped machine or of a YAML file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "plena/rtl.h"

int main(int argc, char **argv)
{
    struct pl_arch arch;
    struct pl_diag d = {0};
    struct pl_buf b;
    pl_buf_init(&b);
    enum pl_status s = argc > 1 ? pl_arch_load(argv[1], &arch, &d) : PL_EUSAGE;
    for (int i = 2; s == PL_OK && i < argc; i++)
        s = pl_arch_set(&arch, argv[i], &d);
    if (s == PL_OK)
        s = pl_arch_check(&arch, &d);
    if (s == PL_OK)
        s = pl_rtl_package(&arch, &b, &d);
    if (s != PL_OK)
        fprintf(stderr, "gen_rtl_pkg: %s\n", argc > 1 ? d.text : "usage: gen_rtl_pkg MACHINE [KEY=VALUE...]");
    else
        fwrite(b.data, 1, b.len, stdout);
    pl_buf_fini(&b);
    return s != PL_OK;
}
