/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_note.h -- a decision and the real answer it was made from, as the bytes
 * that the decision cache keeps beside the image.
 */
#ifndef RESOLVER_KMS_NOTE_H
#define RESOLVER_KMS_NOTE_H

#include "resolver/kms.h"

/* Length, or 0 when it does not fit: then the decision is not kept. srv are
 * the real answer's records. */
size_t kms_note_write(const struct policy_decision *, const struct kms_real *,
                      const struct srv *srv, uint8_t *out, size_t size);
/* 0 or -EBADMSG. Fills the decision, the real answer without its image, srv. */
int kms_note_read(const uint8_t *note, size_t len, struct policy_decision *, struct kms_real *,
                  struct srv *srv);

#endif
