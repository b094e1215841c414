// SPDX-License-Identifier: BSD-3-Clause
/*
 * Internet checksum: 32-bit words summed into 64 bits, which cannot overflow for any packet.
 *
 * Runs on: workers. The loop is written so that the compiler turns it into vector additions.
 */
#include "dataplane/net/csum.h"

#include "dataplane/base/hot.h"

uint64_t
csum_add(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0, d = 0;

	for (; len >= 32; p += 32, len -= 32) {
		uint32_t w[8];
		memcpy(w, p, sizeof(w));
		a += (uint64_t)w[0] + w[1];
		b += (uint64_t)w[2] + w[3];
		c += (uint64_t)w[4] + w[5];
		d += (uint64_t)w[6] + w[7];
	}
	sum = (sum & 0xffffffff) + (sum >> 32) + (a & 0xffffffff) + (a >> 32) + b + c + d;
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t w;
		memcpy(&w, p, sizeof(w));
		sum += w;
	}
	if (len >= 2) {
		uint16_t w;
		memcpy(&w, p, sizeof(w));
		sum += w;
		p += 2;
		len -= 2;
	}
	if (len == 1) {
		uint16_t w = 0; // padded with a zero byte behind
		memcpy(&w, p, 1);
		sum += w;
	}
	return sum;
}

uint64_t
csum_pseudo(const void *src, const void *dst, bool v6, uint8_t proto, uint32_t len)
{
	size_t n = v6 ? 16 : 4;
	uint8_t tail[8] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len, 0, 0, 0, proto };

	return csum_add(tail, sizeof(tail), csum_add(src, n, csum_add(dst, n, 0)));
}
