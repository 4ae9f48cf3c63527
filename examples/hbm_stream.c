/* hbm_stream.c - the HBM model on its own: 64 MiB read in a row, cycles and bandwidth.
 *
 *   cc -std=c11 examples/hbm_stream.c $(pkg-config --static --cflags --libs plena-hbm) -o hbm_stream && ./hbm_stream hbm3 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <plena/hbm.h>

int main(int argc, char **argv)
{
    struct pl_diag d;
    struct pl_hbm_params p;
    struct pl_hbm *h = NULL;
    struct pl_hbm_done done;
    const struct pl_hbm_request all = {.addr = 0, .bytes = 64 << 20};
    if (pl_hbm_preset(argc > 1 ? argv[1] : "hbm3", &p, &d) != PL_OK || pl_hbm_new(&p, NULL, &h, &d) != PL_OK || pl_hbm_submit(h, &all, &d) != PL_OK) {
        fprintf(stderr, "%s\n", d.text);
        pl_hbm_free(h);
        return 1;
    }
    pl_hbm_advance(h, UINT64_MAX, &done, 1);
    const double ns = (double)done.done * p.clock_ps * 1e-3;
    printf("%llu cycles, %.1f of %.1f GB/s\n", (unsigned long long)done.done, (double)all.bytes / ns, pl_hbm_peak_gbs(&p));
    pl_hbm_free(h);
    return 0;
}
