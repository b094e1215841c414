/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internet checksums (RFC 1071) in software; private to net. A sum is kept unfolded in 64 bits, in
 * the byte order of memory, so that parts can be added: data of odd length only as the last part.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/base.h"

uint64_t csum_add(const void *data, size_t len, uint64_t sum);
/* What csum_add() chooses from; any gives a sum that folds to the same. For tests. */
uint64_t csum_add_plain(const void *data, size_t len, uint64_t sum);
uint64_t csum_add_sse2(const void *data, size_t len, uint64_t sum);
uint64_t csum_add_avx2(const void *data, size_t len, uint64_t sum);
uint64_t csum_pseudo6(const void *src, const void *dst, uint64_t tail);

/* Pseudo header of either family (RFC 9293 3.1, RFC 8200 8.1). */
static inline uint64_t
csum_pseudo(const void *src, const void *dst, bool v6, uint8_t proto, uint32_t len)
{
	// the words "length" and "zero, protocol" in the order of memory
	uint64_t tail = (uint64_t)__builtin_bswap32(len) + ((uint32_t)proto << 24);
	uint32_t s, d;

	if (unlikely(v6))
		return csum_pseudo6(src, dst, tail);
	memcpy(&s, src, sizeof(s));
	memcpy(&d, dst, sizeof(d));
	return tail + s + d;
}

/* Of 32 bytes, as a TCP header with timestamps has. */
static inline uint64_t
csum_32(const void *data)
{
	unsigned __int128 all;
	uint64_t w[4];

	memcpy(w, data, sizeof(w));
	all = w[0];
	all += w[1];
	all += w[2];
	all += w[3];
	return (uint64_t)(uint32_t)all + (uint32_t)(all >> 32) + (uint64_t)(all >> 64);
}

static inline uint16_t
csum_fold(uint64_t sum)
{
	uint32_t half;

	// both halves added to each other: the upper one then has the carry of the lower one too
	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* The value for a checksum field. */
static inline uint16_t
csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* Data that includes a right checksum sums up to all ones. */
static inline bool
csum_is_good(uint64_t sum)
{
	return csum_fold(sum) == 0xffff;
}

/* An adjacent part that begins at an odd offset counts with its bytes swapped. */
static inline uint64_t
csum_swap(uint64_t sum)
{
	uint16_t f = csum_fold(sum);
	return (uint16_t)(f << 8 | f >> 8);
}
