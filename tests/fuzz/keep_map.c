// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of tcp's that the next input takes again: linked into fuzz_tcp alone, in front of lcore_map() (--wrap).
 *
 * Two stacks begin and end with each input. To map and unmap their tables cost more than what most inputs do,
 * and all jobs of a process waited for one another in the kernel. What is kept is poisoned meanwhile: who
 * still points there from an earlier input is seen, as if it were unmapped.
 */
#include "dataplane/lcore/lcore.h"

#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_ASAN
#endif
#endif
#if defined(KEEP_ASAN) || defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes)   ((void)(p), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#endif

#define KEPT 64

void *__real_lcore_map(size_t bytes, int socket);
void __real_lcore_unmap(void *p, size_t bytes);
void *__wrap_lcore_map(size_t bytes, int socket);
void __wrap_lcore_unmap(void *p, size_t bytes);

static struct {
	void *p;
	size_t bytes;
} kept[KEPT];

void *
__wrap_lcore_map(size_t bytes, int socket)
{
	for (int i = 0; i < KEPT; i++) {
		void *p = kept[i].p;

		if (p == NULL || kept[i].bytes != bytes)
			continue;
		kept[i].p = NULL;
		ASAN_UNPOISON_MEMORY_REGION(p, bytes);
		return memset(p, 0, bytes);
	}
	return __real_lcore_map(bytes, socket);
}

void
__wrap_lcore_unmap(void *p, size_t bytes)
{
	for (int i = 0; p != NULL && i < KEPT; i++) {
		if (kept[i].p == NULL) {
			ASAN_POISON_MEMORY_REGION(p, bytes);
			kept[i].p = p;
			kept[i].bytes = bytes;
			return;
		}
	}
	__real_lcore_unmap(p, bytes);
}
