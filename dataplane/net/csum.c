// SPDX-License-Identifier: BSD-3-Clause
/*
 * Internet checksum: 32-bit words summed into 64 bits, which cannot overflow for any packet.
 *
 * Runs on: workers. Long data goes 32 bytes at a time, with SSE2 (which every x86-64 has) or AVX2
 * where the CPU does; the tests hold both against the plain loop.
 */
#include "dataplane/net/csum.h"

#include <immintrin.h>

#include "dataplane/base/hot.h"

#define WIDE 64u // below, the plain loop is as fast

/* Up to 31 bytes, or any number. */
static inline uint64_t
add_rest(const uint8_t *p, size_t len, uint64_t sum)
{
	uint64_t all = 0, wraps = 0;
	uint32_t w = 0;

	// whole words, and how often they wrapped: the compiler makes an addition with carry of it
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t q;
		memcpy(&q, p, sizeof(q));
		all += q;
		wraps += all < q;
	}
	sum += (all & 0xffffffff) + (all >> 32) + wraps;
	if (len >= 4) {
		memcpy(&w, p, sizeof(w));
		sum += w;
		p += 4;
		len -= 4;
	}
	if (len >= 2) {
		uint16_t h;
		memcpy(&h, p, sizeof(h));
		sum += h;
		p += 2;
		len -= 2;
	}
	return len == 1 ? sum + *p : sum; // padded with a zero byte behind
}

/* A sum that was passed in may be near the end of its range. */
static inline uint64_t
narrow(uint64_t sum)
{
	return (sum & 0xffffffff) + (sum >> 32);
}

uint64_t
csum_add_plain(const void *data, size_t len, uint64_t sum)
{
	return add_rest(data, len, narrow(sum));
}

uint64_t
csum_add_sse2(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	const __m128i low = _mm_set1_epi64x(0xffffffff);
	__m128i a = _mm_setzero_si128(), b = a;
	uint64_t lane[2];

	for (; len >= 32; p += 32, len -= 32) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i w = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
		a = _mm_add_epi64(a, _mm_and_si128(v, low));
		b = _mm_add_epi64(b, _mm_srli_epi64(v, 32));
		a = _mm_add_epi64(a, _mm_and_si128(w, low));
		b = _mm_add_epi64(b, _mm_srli_epi64(w, 32));
	}
	_mm_storeu_si128((__m128i *)(void *)lane, _mm_add_epi64(a, b));
	return add_rest(p, len, narrow(sum) + lane[0] + lane[1]);
}

/*
 * Per vector two additions and a shift: `all` adds whole 64-bit words and may wrap, `high` adds their
 * high halves. What the low halves add up to cannot wrap, and follows: all - (high << 32).
 */
__attribute__((target("avx2"))) uint64_t
csum_add_avx2(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	__m256i all = _mm256_setzero_si256(), high = all, all2 = all, high2 = all;
	uint64_t lane[4];

	for (; len >= 64; p += 64, len -= 64) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
		__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
		all = _mm256_add_epi64(all, v);
		high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
		all2 = _mm256_add_epi64(all2, w);
		high2 = _mm256_add_epi64(high2, _mm256_srli_epi64(w, 32));
	}
	if (len >= 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
		all = _mm256_add_epi64(all, v);
		high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
		p += 32;
		len -= 32;
	}
	all = _mm256_add_epi64(all, all2);
	high = _mm256_add_epi64(high, high2);
	if (len >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		all2 = _mm256_cvtepu32_epi64(v);
		p += 16;
		len -= 16;
	} else {
		all2 = _mm256_setzero_si256();
	}
	all = _mm256_sub_epi64(all, _mm256_slli_epi64(high, 32)); // the low halves
	_mm256_storeu_si256(
		(__m256i *)(void *)lane, _mm256_add_epi64(_mm256_add_epi64(all, high), all2));
	return add_rest(p, len, narrow(sum) + lane[0] + lane[1] + lane[2] + lane[3]);
}

uint64_t
csum_add(const void *data, size_t len, uint64_t sum)
{
	if (len < WIDE)
		return add_rest(data, len, narrow(sum));
	return __builtin_cpu_supports("avx2") ? csum_add_avx2(data, len, sum)
					      : csum_add_sse2(data, len, sum);
}

uint64_t
csum_pseudo(const void *src, const void *dst, bool v6, uint8_t proto, uint32_t len)
{
	// the words "length" and "zero, protocol" in the order of memory
	uint64_t tail = (uint64_t)__builtin_bswap32(len) + ((uint32_t)proto << 24);
	uint32_t s, d;

	if (v6)
		return add_rest(src, 16, add_rest(dst, 16, tail));
	memcpy(&s, src, sizeof(s));
	memcpy(&d, dst, sizeof(d));
	return tail + s + d;
}
