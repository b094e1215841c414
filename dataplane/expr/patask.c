// SPDX-License-Identifier: BSD-3-Clause
/*
 * Changes of maps and ACL files that rules ask for ("http-request set-map" and the like): from workers
 * to main.
 *
 * Runs on: workers, which put a change into a bounded queue without a lock, and main, which makes it as
 * the runtime API would. What a worker reads is immutable, so a change is in force for all workers at
 * once, and a moment later than in HAProxy, where the rule itself makes it. Each place of the queue has
 * a number that says whose turn it is: a place's writer has taken it by compare-and-swap, and its reader
 * waits for the number behind.
 */
#include <stdlib.h>

#include "dataplane/expr/patset_priv.h"

int
pat_set_asks(struct pat_set *s)
{
	if (s->asks != NULL)
		return 0;
	s->asks = calloc(1, sizeof(*s->asks));
	if (s->asks == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < PAT_ASKS; i++)
		atomic_init(&s->asks->ask[i].seq, i);
	return 0;
}

bool
pat_file_ask(struct pat_file *f, enum pat_op op, struct sl_str key, struct sl_str value)
{
	struct pat_asks *q = f->set->asks;
	struct pat_ask *a;
	uint32_t at;

	if (q == NULL || key.len > PAT_ASK_TEXT || value.len > PAT_ASK_TEXT - key.len)
		return false;
	at = atomic_load_explicit(&q->in, memory_order_relaxed);
	for (;;) {
		uint32_t seq;

		a = &q->ask[at % PAT_ASKS];
		seq = atomic_load_explicit(&a->seq, memory_order_acquire);
		if (seq == at) {
			if (atomic_compare_exchange_weak_explicit(&q->in, &at, at + 1,
				    memory_order_relaxed, memory_order_relaxed))
				break;
		} else if ((int32_t)(seq - at) < 0) {
			return false; // main has not come round yet
		} else {
			at = atomic_load_explicit(&q->in, memory_order_relaxed);
		}
	}
	a->op = (uint8_t)op;
	a->file = f;
	a->nkey = (uint16_t)key.len;
	a->nvalue = (uint16_t)value.len;
	if (key.len > 0)
		memcpy(a->text, key.p, key.len);
	if (value.len > 0)
		memcpy(a->text + key.len, value.p, value.len);
	atomic_store_explicit(&a->seq, at + 1, memory_order_release);
	return true;
}

static struct pat_edit
edit_of(const struct pat_ask *a)
{
	return (struct pat_edit){ .op = (enum pat_op)a->op,
		.bounded = true,
		.key = sl_str_make(a->text, a->nkey),
		.value = sl_str_make(a->text + a->nkey, a->nvalue) };
}

/* The place of the i-th change behind those taken; NULL: there is none yet. */
static struct pat_ask *
peek(struct pat_asks *q, uint32_t i)
{
	struct pat_ask *a = &q->ask[(q->out + i) % PAT_ASKS];

	return atomic_load_explicit(&a->seq, memory_order_acquire) == q->out + i + 1 ? a : NULL;
}

#define TOGETHER 64u // changes of a file that are made at once: each costs a walk over the file

/* Later it may work: lists have had their grace, or there is memory. */
static bool
is_later(int rc)
{
	return rc == -EAGAIN || rc == -ENOMEM;
}

/* There was nothing to change where there is no such key; all else is lost. */
static void
count_refused(struct pat_asks *q, const int *each, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		q->refused += each[i] < 0 && each[i] != -ENOENT;
}

uint32_t
pat_set_refused(struct pat_set *s)
{
	uint32_t n = s->asks != NULL ? s->asks->refused : 0;

	if (n > 0)
		s->asks->refused = 0;
	return n;
}

/* Changes of one file in a row; how many of them need not come again. */
static uint32_t
make(struct pat_file *f, const struct pat_edit *e, uint32_t n)
{
	uint32_t made = n;
	int each[TOGETHER];
	char text[200];
	struct sl_buf why;
	int rc;

	if (pthread_mutex_trylock(&f->set->lock) != 0)
		return 0; // a script walks over a file: main does not wait for it
	sl_buf_init(&why, text, sizeof(text));
	rc = pat_edit_locked(f, e, n, each, &why);
	if (is_later(rc))
		made = 0;
	else if (rc < 0 && n == 1)
		each[0] = rc;
	// one of them is no such pattern or value: the others are made
	for (uint32_t i = 0; i < made && n > 1 && rc < 0; i++) {
		sl_buf_init(&why, text, sizeof(text));
		int one = pat_edit_locked(f, &e[i], 1, &each[i], &why);
		if (is_later(one))
			made = i;
		else if (one < 0)
			each[i] = one;
	}
	pthread_mutex_unlock(&f->set->lock);
	count_refused(f->set->asks, each, made);
	return made;
}

uint32_t
pat_set_serve(struct pat_set *s, uint32_t max)
{
	struct pat_asks *q = s->asks;
	struct pat_edit e[TOGETHER];
	uint32_t done = 0;

	while (q != NULL && done < max) {
		struct pat_ask *a = peek(q, 0);
		struct pat_file *f = a != NULL ? a->file : NULL;
		uint32_t n = 0, made;

		while (n < TOGETHER && done + n < max && a != NULL && a->file == f) {
			e[n++] = edit_of(a);
			a = peek(q, n);
		}
		made = n > 0 ? make(f, e, n) : 0;
		for (uint32_t i = 0; i < made; i++, q->out++)
			atomic_store_explicit(&q->ask[q->out % PAT_ASKS].seq, q->out + PAT_ASKS,
				memory_order_release);
		done += made;
		if (n == 0 || made < n)
			break; // they wait in their places; who finds none is told (pat_file_ask())
	}
	return done;
}
