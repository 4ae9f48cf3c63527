/* io.h - writing the trained model as a Hugging Face folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRAIN_IO_H
#define TRAIN_IO_H
#include "model.h"
#include "plena/base.h"

enum { END_OF_TEXT = 0 };
/* config.json, generation_config.json, tokenizer.json, model.safetensors (BF16, rounded to nearest even) in dir. */
enum pl_status checkpoint_write(const char *dir, const struct shape *s, const struct weights *w, struct pl_diag *d);
/* eval.jsonl: n transcripts of a generator seed, fields text and ids. */
enum pl_status eval_write(const char *dir, uint64_t seed, unsigned n, struct pl_diag *d);
#endif
