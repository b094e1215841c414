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
	unsigned __int128 all = 0; // an addition with carry for each word
	uint32_t w = 0;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t q;
		memcpy(&q, p, sizeof(q));
		all += q;
	}
	sum += (uint64_t)(uint32_t)all + (uint32_t)(all >> 32) + (uint64_t)(all >> 64);
	if (len == 0)
		return sum;
	if (len & 4) {
		memcpy(&w, p, sizeof(w));
		sum += w;
		p += 4;
	}
	if (len & 2) {
		uint16_t h;
		memcpy(&h, p, sizeof(h));
		sum += h;
		p += 2;
	}
	return len & 1 ? sum + *p : sum; // padded with a zero byte behind
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
 * Three instructions per vector: 16-bit words less 2^15 are signed, and so are what the multiplication
 * by one adds them to in pairs. What was taken off is given back at the end. 32 bits hold the sum of
 * 1 MB; nobody has a packet of a sixteenth of it.
 */
__attribute__((target("avx2"))) uint64_t
csum_add_avx2(const void *data, size_t len, uint64_t sum)
{
	const __m256i bias = _mm256_set1_epi16(INT16_MIN), one = _mm256_set1_epi16(1);
	const uint8_t *p = data, *end = p + (len & ~(size_t)31);
	__m256i a = _mm256_setzero_si256(), b = a;
	__m128i h;

	if (unlikely(len > UINT16_MAX))
		return csum_add_sse2(data, len, sum);
	if ((len & 32) != 0) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
		b = _mm256_madd_epi16(_mm256_xor_si256(bias, v), one);
		p += 32;
	}
	for (; p != end; p += 64) {
		const __m256i *v = (const __m256i *)(const void *)p;
		__m256i x = _mm256_xor_si256(bias, _mm256_loadu_si256(v));
		__m256i y = _mm256_xor_si256(bias, _mm256_loadu_si256(v + 1));
		a = _mm256_add_epi32(a, _mm256_madd_epi16(x, one));
		b = _mm256_add_epi32(b, _mm256_madd_epi16(y, one));
	}
	a = _mm256_add_epi32(a, b);
	h = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
	h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1));
	// half as many words as bytes, each of them 2^15 too small
	sum = narrow(sum) + (uint64_t)((int64_t)_mm_cvtsi128_si32(h) + (int64_t)(len / 32) * 16 * 32768);
	return add_rest(end, len & 31, sum);
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
csum_pseudo6(const void *src, const void *dst, uint64_t tail)
{
	return add_rest(src, 16, add_rest(dst, 16, tail));
}
