/* fuzz_config.c - any bytes as config.json: refused, or a model whose rotation frequencies are
 * finite. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <math.h>

#include "plena/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct pl_source src = {"fuzz", (const char *)data, len};
    struct pl_model_config c;
    struct pl_diag d = {{0}};
    if (pl_model_config_parse(&src, &c, &d) != PL_OK) {
        fuzz_refused(&d);
        return 0;
    }
    static double inv_freq[2048];
    PROPERTY(c.head_dim / 2 <= PL_COUNT(inv_freq) && c.n_heads % c.n_kv_heads == 0, &d);
    pl_rope_inv_freq(&c, inv_freq);
    for (uint32_t i = 0; i < c.head_dim / 2; i++)
        PROPERTY(isfinite(inv_freq[i]) && inv_freq[i] > 0, &d);
    return 0;
}

void fuzz_seeds(fuzz_emit *emit, void *ctx)
{
    static const char llama3[] = "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,"
                                 "\"intermediate_size\":128,\"num_hidden_layers\":2,"
                                 "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":"
                                 "16,\"rope_theta\":500000.0,\"rms_norm_eps\":1e-5,"
                                 "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_"
                                 "freq_factor\":1.0,\"high_freq_factor\":4.0,"
                                 "\"original_max_position_embeddings\":8192},\"eos_token_id\":[1,2]"
                                 ",\"bos_token_id\":0,\"tie_word_embeddings\":true}";
    static const char linear[] = "{\"model_type\":\"mistral\",\"vocab_size\":9,\"hidden_size\":8,"
                                 "\"intermediate_size\":8,\"num_hidden_layers\":1,"
                                 "\"num_attention_heads\":2,\"rope_scaling\":{\"type\":\"linear\","
                                 "\"factor\":2},\"sliding_window\":null}";
    emit(ctx, llama3, sizeof llama3 - 1);
    emit(ctx, linear, sizeof linear - 1);
    fuzz_seed_file(emit, ctx, PL_SOURCE_ROOT "/examples/agent-0.8m/config.json", 4096);
}
