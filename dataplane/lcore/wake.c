// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sleeping and waking between threads: a flag and an eventfd.
 *
 * Runs on: every thread that owns a waker or pushes to one. One of the two places of the data plane
 * with a system call. The protocol is Dekker's: the sleeper stores its flag and then looks at the
 * rings; the pusher stores into the ring and then looks at the flag; with a full fence between
 * store and look on both sides, at least one of them sees the other.
 */
#include "dataplane/lcore/lcore.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int
waker_init(struct waker *w)
{
	atomic_store(&w->asleep, false);
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return w->fd < 0 ? -errno : 0;
}

void
waker_fini(struct waker *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* After a fence. Only who clears the flag writes: one write per sleep. */
static void
wake_if_asleep(struct waker *w)
{
	uint64_t one = 1;

	if (!atomic_load_explicit(&w->asleep, memory_order_relaxed) ||
		!atomic_exchange_explicit(&w->asleep, false, memory_order_acq_rel))
		return;
	// can only fail when the counter is at its end: then it is readable anyway
	if (write(w->fd, &one, sizeof(one)) < 0)
		return;
}

void
waker_wake(struct waker *w)
{
	atomic_thread_fence(memory_order_seq_cst);
	wake_if_asleep(w);
}

void
waker_prepare(struct waker *w)
{
	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Takes the flag back; if somebody was faster, his write is consumed. */
void
waker_cancel(struct waker *w)
{
	uint64_t n;

	if (atomic_exchange_explicit(&w->asleep, false, memory_order_acq_rel))
		return;
	// the writer cleared the flag first and may write a moment later: then the next wait
	// returns at once, which does no harm
	if (read(w->fd, &n, sizeof(n)) < 0)
		return;
}

void
waker_wait(struct waker *w, uint64_t timeout_us)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct timespec ts = { .tv_sec = (time_t)(timeout_us / 1000000),
		.tv_nsec = (long)(timeout_us % 1000000) * 1000 };
	int rc = ppoll(&p, 1, timeout_us == UINT64_MAX ? NULL : &ts, NULL);
	uint64_t n;

	if (rc < 0 && errno != EINTR)
		sl_assert(0);
	// perhaps of somebody who was late for the sleep before: his write must not end all that follow
	if (rc > 0 && read(w->fd, &n, sizeof(n)) < 0)
		rc = 0;
	if (rc <= 0 || atomic_load_explicit(&w->asleep, memory_order_relaxed))
		waker_cancel(w);
}

static bool
take_dirty(struct xpair *p)
{
	bool d = p->dirty && p->peer != NULL;

	p->dirty = false;
	return d;
}

void
lcore_wake_peers(struct lcore *lc)
{
	struct waker *wake[LCORE_MAX + SCRIPT_MAX + 2];
	uint32_t n = 0;

	for (uint16_t i = 0; i < lc->nlcores; i++) {
		if (lc->worker[i].dirty)
			wake[n++] = lc->worker[i].peer;
		lc->worker[i].dirty = false;
	}
	for (uint16_t i = 0; i < lc->nscripts; i++) {
		if (take_dirty(&lc->script[i]))
			wake[n++] = lc->script[i].peer;
	}
	if (take_dirty(&lc->main))
		wake[n++] = lc->main.peer;
	if (take_dirty(&lc->io))
		wake[n++] = lc->io.peer;
	if (n == 0)
		return;
	atomic_thread_fence(memory_order_seq_cst); // one for all
	for (uint32_t i = 0; i < n; i++)
		wake_if_asleep(wake[i]);
}
