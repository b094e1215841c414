// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages to a script thread from any other thread.
 *
 * The inbox is a stack in one atomic pointer: many push, the thread takes all at once and turns them
 * round, so that they run in the order in which they came. A message is embedded in its sender's
 * object: nothing is allocated, and there is no bound to hit.
 */
#include "control/script/script_priv.h"

struct script_thread *
script_here(lua_State *L)
{
	return script_state_of(L)->thread;
}

bool
script_is_abandoned(struct script_thread *t)
{
	return atomic_load_explicit(&t->slice, memory_order_acquire) == SLICE_GONE;
}

struct io_poll *
script_poll(const struct script_thread *t)
{
	return t->poll;
}

void
script_post(struct script_thread *t, struct script_note *n)
{
	struct script_note *head;

	if (atomic_exchange_explicit(&n->posted, true, memory_order_acq_rel))
		return;
	head = atomic_load_explicit(&t->inbox, memory_order_relaxed);
	do {
		n->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&t->inbox, &head, n, memory_order_release, memory_order_relaxed));
	waker_wake(&t->waker);
}

bool
notes_waiting(const struct script_thread *t)
{
	struct script_thread *w = (struct script_thread *)(uintptr_t)t;

	return atomic_load_explicit(&w->inbox, memory_order_acquire) != NULL;
}

uint32_t
notes_run(struct script_thread *t)
{
	struct script_note *n, *next, *ordered = NULL;
	uint32_t count = 0;

	if (!notes_waiting(t))
		return 0;
	n = atomic_exchange_explicit(&t->inbox, NULL, memory_order_acquire);
	for (; n != NULL; n = next) {
		next = n->next;
		n->next = ordered;
		ordered = n;
	}
	for (n = ordered; n != NULL; n = next, count++) {
		next = n->next; // from the next line on n may be posted again, or be gone after fn
		atomic_store_explicit(&n->posted, false, memory_order_release);
		n->fn(n);
	}
	return count;
}
