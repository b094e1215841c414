/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intrusive doubly linked list with a sentinel head. A detached node points at itself, so that
 * deleting twice is harmless.
 */
#pragma once

#include "dataplane/base/base.h"

struct sl_list {
	struct sl_list *next, *prev;
};

static inline void
sl_list_init(struct sl_list *l)
{
	l->next = l->prev = l;
}

static inline bool
sl_list_is_empty(const struct sl_list *l)
{
	return l->next == l;
}

static inline void
sl_list_add_tail(struct sl_list *head, struct sl_list *n)
{
	n->next = head;
	n->prev = head->prev;
	head->prev->next = n;
	head->prev = n;
}

static inline void
sl_list_add_head(struct sl_list *head, struct sl_list *n)
{
	n->prev = head;
	n->next = head->next;
	head->next->prev = n;
	head->next = n;
}

static inline void
sl_list_del(struct sl_list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	n->next = n->prev = n;
}

#define sl_list_entry(ptr, type, member) sl_container_of(ptr, type, member)
#define sl_list_first(head, type, member) sl_list_entry((head)->next, type, member)
#define sl_list_foreach(pos, head)                                                                 \
	for (struct sl_list *pos = (head)->next; pos != (head); pos = pos->next)
#define sl_list_foreach_safe(pos, head)                                                            \
	for (struct sl_list *pos = (head)->next, *sl_next_ = pos->next; pos != (head);             \
		pos = sl_next_, sl_next_ = pos->next)
