/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has which slot: run-time state (counters, server state, idle connections) lies in slots outside
 * the model, and survives a reload by name. Private to control's own files; all on main.
 *
 * Names: of a proxy, for its two halves apart; of a bind, its proxy and address; of a server, its
 * backend and itself. A slot is free again when the last generation that names it has gone.
 */
#pragma once

#include "dataplane/model/model.h"

enum slot_kind { SLOT_PROXY, SLOT_BIND, SLOT_SERVER, SLOT_KINDS };

struct slots;

/* How many of each kind a process that starts with m has for its whole life. */
void slots_capacity(const struct model *m, uint32_t cap[SLOT_KINDS]);
/* NULL: no memory. */
struct slots *slots_new(const uint32_t cap[SLOT_KINDS]);
void slots_free(struct slots *s);
/*
 * Gives all objects of m their slots, `since` and `moved`; m is not published yet. 0; -ENOSPC or
 * -ENOMEM with a sentence in err, and nothing has changed.
 */
int slots_assign(struct slots *s, struct model *m, char *err, size_t size);
/* m's generation is over. gone: called for each server slot that nobody has any more; may be NULL. */
void slots_release(struct slots *s, const struct model *m, void (*gone)(void *ctx, uint32_t slot),
	void *ctx);
uint32_t slots_used(const struct slots *s, enum slot_kind k);
