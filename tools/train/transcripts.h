/* transcripts.h - deterministic generator of agent-style tool-call transcripts, the text of the example checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRANSCRIPTS_H
#define TRANSCRIPTS_H
#include "plena/base.h"

/* Append one transcript (printable ASCII and newlines, about 250 bytes): a request, a tool call in JSON, its result, an
 * answer that uses the result. Same generator state, same text. */
void transcript_make(struct pl_rng *r, struct pl_buf *out);
#endif
