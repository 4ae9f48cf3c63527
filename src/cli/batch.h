/* batch.h - plena run with several prompts: they are decoded together. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_CLI_BATCH_H
#define PLENA_CLI_BATCH_H
#include "report.h"

struct batch_run {
    struct job *j; /* machine and model are there */
    struct opt_list prompt;
    const char *file; /* a prompt a line; may be NULL */
    uint64_t max_tokens, context, chunk;
    bool check, no_stop, dry_run;
    const struct report_opts *report;
};
/* Prompts as token ids, at least one each; *ids has room for `room` more. */
enum pl_status batch_prompt_ids(struct job *j, const char *prompt, size_t len, size_t room, uint32_t **ids, size_t *n);
bool batch_ends(const struct job *j, uint32_t id); /* an end-of-text token */
enum pl_status batch_run(struct batch_run *b);
#endif
