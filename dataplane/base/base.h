/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vocabulary of the whole program: branch hints, attributes, cache lines, small arithmetic.
 * Plain C: no DPDK, no I/O.
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SL_CACHE_LINE 64

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define sl_unused __attribute__((unused))
#define sl_cold __attribute__((cold, noinline))
/* Not the usual way through its caller, which would save registers for it: stays a call. */
#define sl_apart __attribute__((noinline))
#define sl_hot __attribute__((hot))
#define sl_must_check __attribute__((warn_unused_result))
#define sl_printf(fmt, args) __attribute__((format(printf, fmt, args)))
#define sl_cache_aligned __attribute__((aligned(SL_CACHE_LINE)))

#define SL_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define sl_container_of(ptr, type, member)                                                         \
	__extension__({                                                                            \
		const __typeof__(((type *)0)->member) *sl_mptr_ = (ptr);                           \
		(type *)((uintptr_t)sl_mptr_ - offsetof(type, member));                            \
	})

#define sl_min(a, b)                                                                               \
	__extension__({                                                                            \
		__typeof__(a) sl_a_ = (a);                                                         \
		__typeof__(b) sl_b_ = (b);                                                         \
		sl_a_ < sl_b_ ? sl_a_ : sl_b_;                                                     \
	})
#define sl_max(a, b)                                                                               \
	__extension__({                                                                            \
		__typeof__(a) sl_a_ = (a);                                                         \
		__typeof__(b) sl_b_ = (b);                                                         \
		sl_a_ > sl_b_ ? sl_a_ : sl_b_;                                                     \
	})

/* Round up to a multiple of a power of two. */
#define SL_ALIGN_UP(n, align) (((n) + (align)-1) & ~((__typeof__(n))(align)-1))

static inline bool
sl_is_pow2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Smallest power of two >= n; n must be 1..2^31. */
static inline uint32_t
sl_pow2_up(uint32_t n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/* A broken invariant: stops in debug builds; release builds trust the tests. */
#ifdef SL_CHECKS
#define sl_assert(cond) assert(cond)
#else
#define sl_assert(cond) ((void)sizeof(!(cond)))
#endif
